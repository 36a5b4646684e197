/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded on two simulated devices, each at a memory node of its own that holds 16 MiB of handles, with a budget of 16 MiB
 * for each device: where the host memory lies that blocks go to. Only what is mapped may leave here.
 */
#include "../world.h"

size_t simgpu_node_bytes(int node);

#define BLOCK_BYTES (4 * MIB)
#define BLOCK_COUNT (BLOCK_BYTES / sizeof(float))

static void make(CUdeviceptr *block, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        OK(cuMemAlloc(&block[i], BLOCK_BYTES));
        OK(cuMemsetD32(block[i], bits_of((float)i), BLOCK_COUNT));
    }
}

static void check_and_free(const CUdeviceptr *block, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        cr_expect(all_are(block[i], BLOCK_COUNT, (float)i), "block %u", i);
        OK(cuMemFree(block[i]));
    }
}

Test(nodes, the_next_node_holds_what_the_first_has_no_room_for)
{
    struct world world = world_make();
    CUdeviceptr block[10]; /* 16 MiB of them on the device */

    make(block, 10);
    cr_expect_eq(simgpu_node_bytes(0), 16 * MIB);
    cr_expect_geq(simgpu_node_bytes(1), 8 * MIB);
    check_and_free(block, 10);
    world_end(&world);
}

Test(nodes, memory_of_no_node_in_particular_follows_when_all_are_full)
{
    struct world world = world_make();
    CUdeviceptr block[16]; /* 48 MiB away */

    make(block, 16);
    cr_expect_eq(simgpu_node_bytes(0), 16 * MIB);
    cr_expect_eq(simgpu_node_bytes(1), 16 * MIB);
    check_and_free(block, 16);
    world_end(&world);
}

Test(nodes, a_device_begins_with_its_own_node)
{
    struct world world = world_make();
    CUdeviceptr block[6];
    CUcontext second;

    OK(cuDevicePrimaryCtxRetain(&second, 1));
    OK(cuCtxSetCurrent(second));
    make(block, 6);
    cr_expect_geq(simgpu_node_bytes(1), 8 * MIB);
    cr_expect_eq(simgpu_node_bytes(0), 0);
    check_and_free(block, 6);
    OK(cuCtxSetCurrent(world.context));
    OK(cuDevicePrimaryCtxRelease(1));
    world_end(&world);
}

Test(containers, memory_of_no_node_in_particular_serves_where_none_may_be_named)
{
    struct world world = world_make();
    CUdeviceptr block[10];

    make(block, 10);
    cr_expect_eq(simgpu_node_bytes(0), 0);
    check_and_free(block, 10);
    world_end(&world);
}
