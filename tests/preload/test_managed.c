/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded with EBBTIDE_ALLOCATOR=managed, budgets of 16 MiB for the device and 32 MiB for the host. */
#include "world.h"

/* Of the simulated driver: how much of a range a device, or the host, holds; and of all a device has. */
size_t simgpu_managed_bytes(CUdeviceptr start, size_t bytes, int ordinal);
size_t simgpu_used_bytes(int ordinal);

enum {
    HOST = -1,
    WORDS = 1 << 20
};

#define BLOCK_BYTES (6 * MIB)

static size_t room(void)
{
    size_t free_bytes, total_bytes;

    OK(cuMemGetInfo(&free_bytes, &total_bytes));
    return free_bytes;
}

static CUdeviceptr make(uint64_t bytes, float value)
{
    CUdeviceptr block;

    OK(cuMemAlloc(&block, bytes));
    OK(cuMemsetD32(block, bits_of(value), WORDS));
    return block;
}

Test(managed, the_oldest_leaves_and_comes_back_before_a_launch_that_names_it)
{
    struct world world = world_make();
    CUdeviceptr first = make(BLOCK_BYTES, 1), second = make(BLOCK_BYTES, 2), third;

    cr_expect_eq(room(), 4 * MIB);
    OK(world_add(&world, second, second, WORDS, NULL)); /* after which the first is the older one */
    third = make(BLOCK_BYTES, 3);
    cr_expect_gt(simgpu_managed_bytes(first, BLOCK_BYTES, HOST), 0, "at least what the third needs");
    cr_expect_eq(simgpu_managed_bytes(second, BLOCK_BYTES, HOST), 0);
    OK(world_add(&world, first, third, WORDS, NULL));
    cr_expect_eq(simgpu_managed_bytes(first, BLOCK_BYTES, HOST), 0, "sent before the launch was made");
    cr_expect_gt(simgpu_managed_bytes(second, BLOCK_BYTES, HOST), 0);
    cr_expect(all_are(first, WORDS, 4));
    cr_expect(all_are(second, WORDS, 4));
    cr_expect(all_are(third, WORDS, 3));
    OK(cuMemFree(first));
    OK(cuMemFree(second));
    OK(cuMemFree(third));
    cr_expect_eq(room(), 16 * MIB);
    cr_expect_eq(simgpu_used_bytes(0), 0, "nothing freed is kept");
    world_end(&world);
}

Test(managed, what_comes_back_waits_for_no_work_of_the_program)
{
    struct world world = world_make();
    CUdeviceptr block[3];
    CUstream stream;

    for (unsigned i = 0; i < 3; i++)
        block[i] = make(BLOCK_BYTES, (float)i);
    OK(cuMemFree(block[2]));
    OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    OK(cuStreamSynchronize(stream));
    cr_expect_gt(simgpu_managed_bytes(block[0], BLOCK_BYTES, HOST), 0);
    OK(world_add(&world, block[0], block[1], WORDS, stream));
    cr_expect_eq(simgpu_managed_bytes(block[0], BLOCK_BYTES, HOST), 0);
    OK(cuStreamSynchronize(stream));
    cr_expect(all_are(block[0], WORDS, 1));
    OK(cuStreamDestroy(stream));
    OK(cuMemFree(block[0]));
    OK(cuMemFree(block[1]));
    world_end(&world);
}

Test(managed, both_budgets_full_is_out_of_memory_and_changes_nothing)
{
    struct world world = world_make();
    CUdeviceptr block[8], more;
    unsigned count = 0;

    while (count < 8 && cuMemAlloc(&block[count], BLOCK_BYTES) == CUDA_SUCCESS) {
        OK(cuMemsetD32(block[count], bits_of((float)count), WORDS));
        count++;
    }
    cr_expect_geq(count, 4);
    cr_expect_leq(count, 7);
    cr_expect_eq(cuMemAlloc(&more, BLOCK_BYTES), CUDA_ERROR_OUT_OF_MEMORY);
    for (unsigned i = 0; i < count; i++) {
        cr_expect(all_are(block[i], WORDS, (float)i));
        OK(cuMemFree(block[i]));
    }
    cr_expect_eq(room(), 16 * MIB);
    world_end(&world);
}

/* Without a budget of its own: what the driver has free is the limit, and the driver never has to choose what leaves. */
Test(full, a_device_that_is_full_makes_the_oldest_leave)
{
    struct world world = world_make();
    CUdeviceptr first = make(BLOCK_BYTES, 1), second = make(BLOCK_BYTES, 2), third;

    OK(world_add(&world, second, second, WORDS, NULL));
    third = make(BLOCK_BYTES, 3);
    cr_expect_gt(simgpu_managed_bytes(first, BLOCK_BYTES, HOST), 0);
    cr_expect_eq(simgpu_managed_bytes(second, BLOCK_BYTES, HOST), 0);
    OK(world_add(&world, first, third, WORDS, NULL));
    cr_expect_eq(simgpu_managed_bytes(first, BLOCK_BYTES, HOST), 0);
    cr_expect(all_are(first, WORDS, 4));
    cr_expect(all_are(second, WORDS, 4));
    OK(cuMemFree(first));
    OK(cuMemFree(second));
    OK(cuMemFree(third));
    world_end(&world);
}

Test(managed, programs_see_the_memory_that_they_asked_for)
{
    struct world world = world_make();
    CUdeviceptr block = make(BLOCK_BYTES - 4096, 1), base;
    CUmemorytype type;
    unsigned is_managed = 2;
    size_t bytes;

    OK(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, block + 4096));
    cr_expect_eq(type, CU_MEMORYTYPE_DEVICE);
    OK(cuPointerGetAttribute(&is_managed, CU_POINTER_ATTRIBUTE_IS_MANAGED, block));
    cr_expect_eq(is_managed, 0);
    OK(cuMemGetAddressRange(&base, &bytes, block + 4096));
    cr_expect_eq(base, block);
    cr_expect_eq(bytes, BLOCK_BYTES - 4096);
    OK(cuMemFree(block));
    world_end(&world);
}

/* Blocks lie among the program's own memory, which stays the driver's affair. */
Test(managed, memory_of_others_between_the_blocks_is_left_alone)
{
    struct world world = world_make();
    CUdeviceptr block = make(BLOCK_BYTES, 1), own;
    void *pinned;
    unsigned is_managed = 0;

    OK(cuMemAllocManaged(&own, 2 * MIB, CU_MEM_ATTACH_GLOBAL));
    OK(cuPointerGetAttribute(&is_managed, CU_POINTER_ATTRIBUTE_IS_MANAGED, own));
    cr_expect_eq(is_managed, 1);
    OK(cuMemHostAlloc(&pinned, 4096, 0));
    OK(cuMemcpyDtoH(pinned, block, 4096));
    cr_expect_eq(*(float *)pinned, 1);
    OK(cuMemFreeHost(pinned));
    cr_expect_eq(cuMemFree(block + 4096), CUDA_ERROR_INVALID_VALUE);
    cr_expect_eq(cuMemFree(0xdead0000), CUDA_ERROR_INVALID_VALUE);
    OK(cuMemFree(own));
    OK(cuMemFree(block));
    cr_expect_eq(cuMemFree(block), CUDA_ERROR_INVALID_VALUE, "twice");
    world_end(&world);
}

Test(managed, blocks_end_with_their_context)
{
    struct world world = world_make();
    CUcontext context;
    CUdeviceptr block;

    OK(cuCtxCreate(&context, NULL, 0, world.device));
    block = make(BLOCK_BYTES, 1);
    OK(cuCtxDestroy(context));
    OK(cuCtxSetCurrent(world.context));
    cr_expect_eq(room(), 16 * MIB);
    cr_expect_eq(cuMemFree(block), CUDA_ERROR_INVALID_VALUE);
    world_end(&world);
}
