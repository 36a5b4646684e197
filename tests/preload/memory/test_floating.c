/* SPDX-License-Identifier: Apache-2.0 */
/* Managed memory of the program's own, preloaded on a simulated device of 64 MiB of which 48 are the budget. */
#include "../world.h"

#include <ebbtide.h>

size_t simgpu_managed_bytes(CUdeviceptr start, size_t bytes, int ordinal);

enum {
    BUDGET_MIB = 48
};

static CUdeviceptr managed(size_t mib)
{
    CUdeviceptr address;

    OK(cuMemAllocManaged(&address, mib * MIB, CU_MEM_ATTACH_GLOBAL));
    return address;
}

static void bring(CUdeviceptr address, size_t mib, CUmemLocationType to)
{
    OK(cuMemPrefetchAsync(address, mib * MIB, (CUmemLocation){.type = to}, 0, NULL));
    OK(cuCtxSynchronize());
}

static size_t free_mib(void)
{
    size_t free_bytes, total_bytes;

    OK(cuMemGetInfo(&free_bytes, &total_bytes));
    cr_expect_eq(total_bytes, BUDGET_MIB * MIB, "%zu", total_bytes);
    return free_bytes / MIB;
}

static struct ebb_stats stats(void)
{
    struct ebb_stats now = {.struct_bytes = sizeof(now)};

    cr_assert_eq(ebb_get_stats(&now), 0);
    return now;
}

static size_t used_mib(void)
{
    return stats().tier[EBB_TIER_DEVICE].used_bytes / MIB;
}

Test(floating, managed_memory_of_twice_the_device_is_not_refused)
{
    struct world world = world_make();
    size_t before = free_mib();
    CUdeviceptr part[4], whole;

    for (unsigned i = 0; i < 4; i++)
        part[i] = managed(32);
    whole = managed(256);
    cr_expect_eq(free_mib(), before, "nothing of it is anywhere yet");
    for (unsigned i = 0; i < 4; i++) {
        OK(cuMemsetD32(part[i], bits_of((float)i), 32 * MIB / sizeof(float)));
        OK(cuCtxSynchronize());
    }
    for (unsigned i = 0; i < 4; i++) {
        cr_expect(all_are(part[i], 32 * MIB / sizeof(float), (float)i), "part %u", i);
        OK(cuMemFree(part[i]));
    }
    OK(cuMemFree(whole));
    cr_expect_eq(free_mib(), before);
    world_end(&world);
}

Test(floating, what_of_it_is_on_the_device_counts)
{
    struct world world = world_make();
    size_t before = free_mib(), used = used_mib();
    CUdeviceptr address = managed(100);

    bring(address, 16, CU_MEM_LOCATION_TYPE_DEVICE);
    cr_expect_eq(simgpu_managed_bytes(address, 100 * MIB, 0), 16 * MIB);
    cr_expect_eq(before - free_mib(), 16);
    cr_expect_eq(used_mib() - used, 16);
    bring(address, 16, CU_MEM_LOCATION_TYPE_HOST);
    cr_expect_eq(free_mib(), before);
    bring(address, 16, CU_MEM_LOCATION_TYPE_DEVICE);
    OK(cuMemFree(address));
    cr_expect_eq(free_mib(), before);
    cr_expect_eq(used_mib(), used);
    world_end(&world);
}

Test(floating, it_makes_room_for_blocks)
{
    struct world world = world_make();
    size_t used = used_mib();
    CUdeviceptr address = managed(100), block[5];

    OK(cuMemsetD32(address, bits_of(7), 100 * MIB / sizeof(float)));
    bring(address, 64, CU_MEM_LOCATION_TYPE_DEVICE);
    cr_expect_eq(free_mib(), 0);
    for (unsigned i = 0; i < 5; i++) {
        OK(cuMemAlloc(&block[i], 8 * MIB));
        OK(cuMemsetD32(block[i], bits_of((float)i), 8 * MIB / sizeof(float)));
    }
    for (unsigned i = 0; i < 5; i++)
        cr_expect(all_are(block[i], 8 * MIB / sizeof(float), (float)i), "block %u", i);
    cr_expect_eq(stats().evictions, 0, "the driver's pages leave, and no block");
    cr_expect(all_are(address, 100 * MIB / sizeof(float), 7));
    for (unsigned i = 0; i < 5; i++)
        OK(cuMemFree(block[i]));
    OK(cuMemFree(address));
    cr_expect_eq(used_mib(), used);
    world_end(&world);
}

Test(rooted, managed_memory_that_takes_its_room_at_once_is_held_to_the_budget)
{
    struct world world = world_make();
    size_t before = free_mib();
    CUdeviceptr address = managed(32), more;

    cr_expect_eq(before - free_mib(), 32);
    cr_expect_eq(cuMemAllocManaged(&more, 32 * MIB, CU_MEM_ATTACH_GLOBAL), CUDA_ERROR_OUT_OF_MEMORY);
    OK(cuMemFree(address));
    cr_expect_eq(free_mib(), before);
    world_end(&world);
}
