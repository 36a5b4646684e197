/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded on two simulated devices with budgets of 16 MiB each and no peer access: what a context may do with blocks
 * of the other device, which it may do with what cuMemAlloc gives without the library.
 */
#include "../../simgpu/tests/far_device.h"
#include "../world.h"

#include <sched.h>

enum {
    BLOCKS = 8 /* twice the budget */
};
#define BLOCK_BYTES (4 * MIB)
#define BLOCK_COUNT (BLOCK_BYTES / sizeof(float))

static struct world world;
static CUcontext other;

static CUdeviceptr make(CUcontext context, float value)
{
    CUdeviceptr block;

    OK(cuCtxPushCurrent(context));
    OK(cuMemAlloc(&block, BLOCK_BYTES));
    OK(cuMemsetD32(block, bits_of(value), BLOCK_COUNT));
    OK(cuCtxSynchronize());
    OK(cuCtxPopCurrent(NULL));
    return block;
}

static void begin(void)
{
    world = world_make();
    OK(cuDevicePrimaryCtxRetain(&other, 1));
}

static CUstream stream_new(void)
{
    CUstream stream;

    OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    return stream;
}

/* What the device that has the block finds in it. */
static bool holds(CUdeviceptr block, float value)
{
    bool good;

    OK(cuCtxPushCurrent(other));
    good = all_are(block, BLOCK_COUNT, value);
    OK(cuCtxPopCurrent(NULL));
    return good;
}

Test(cross_device, every_copy_and_set_of_the_other_devices_block_is_made)
{
    const struct far_use *lists[] = {far_uses, far_uses_ptds};
    CUdeviceptr far, near;
    CUstream stream;

    begin();
    far = make(other, 1);
    near = make(world.context, 2);
    stream = stream_new();
    for (unsigned i = 0; i < 2; i++)
        for (const struct far_use *use = lists[i]; use->name; use++) {
            cr_expect_eq(use->make(far, near, stream), CUDA_SUCCESS, "%s in a stream", use->name);
            OK(cuStreamSynchronize(stream));
            cr_expect_eq(use->make(far, near, NULL), CUDA_SUCCESS, "%s", use->name);
            OK(cuCtxSynchronize());
        }
    OK(cuStreamDestroy(stream));
    OK(cuMemFree(far));
    OK(cuMemFree(near));
}

Test(cross_device, blocks_are_copied_between_devices)
{
    CUdeviceptr far, near;
    CUstream stream;

    begin();
    far = make(other, 1);
    near = make(world.context, 2);
    stream = stream_new();
    OK(cuMemcpyDtoD(near, far, BLOCK_BYTES));
    cr_expect(all_are(near, BLOCK_COUNT, 1));
    OK(cuMemsetD32(near, bits_of(3), BLOCK_COUNT));
    OK(cuMemcpy(far, near, BLOCK_BYTES));
    OK(cuCtxSynchronize());
    cr_expect(holds(far, 3));
    OK(cuMemsetD32Async(near, bits_of(4), BLOCK_COUNT, stream));
    OK(cuMemcpyAsync(far, near, BLOCK_BYTES, stream));
    OK(cuMemsetD32Async(near, bits_of(5), BLOCK_COUNT, stream));
    OK(cuStreamSynchronize(stream));
    cr_expect(holds(far, 4));
    OK(cuMemcpyDtoDAsync(near, far, BLOCK_BYTES, stream));
    OK(cuStreamSynchronize(stream));
    cr_expect(all_are(near, BLOCK_COUNT, 4));
    OK(cuStreamDestroy(stream));
    OK(cuMemFree(far));
    OK(cuMemFree(near));
}

/* Nothing of the program's lies where its block begins. */
Test(cross_device, what_shares_a_block_is_copied_between_devices)
{
    enum {
        COUNT = 1 << 12
    };
    CUdeviceptr first, far, near;
    CUstream stream;

    begin();
    stream = stream_new();
    OK(cuCtxPushCurrent(other));
    OK(cuMemAlloc(&first, 1 << 20));
    OK(cuMemAlloc(&far, COUNT * sizeof(float)));
    OK(cuMemFree(first));
    OK(cuCtxPopCurrent(NULL));
    OK(cuMemAlloc(&near, COUNT * sizeof(float)));
    OK(cuMemsetD32(far, bits_of(7), COUNT));
    OK(cuMemcpyDtoD(near, far, COUNT * sizeof(float)));
    OK(cuCtxSynchronize());
    cr_expect(all_are(near, COUNT, 7));
    OK(cuMemsetD32Async(near, bits_of(8), COUNT, stream));
    OK(cuMemcpyAsync(far, near, COUNT * sizeof(float), stream));
    OK(cuStreamSynchronize(stream));
    cr_expect(all_are(far, COUNT, 8));
    OK(cuStreamDestroy(stream));
    OK(cuMemFree(far));
    OK(cuMemFree(near));
}

Test(cross_device, rows_and_slices_are_copied_between_devices)
{
    CUDA_MEMCPY2D rows = {.srcMemoryType = CU_MEMORYTYPE_DEVICE,
                          .dstMemoryType = CU_MEMORYTYPE_UNIFIED,
                          .srcPitch = 4096,
                          .dstPitch = 4096,
                          .WidthInBytes = 2048,
                          .Height = BLOCK_BYTES / 4096};
    CUDA_MEMCPY3D slices = {.srcMemoryType = CU_MEMORYTYPE_DEVICE,
                            .dstMemoryType = CU_MEMORYTYPE_DEVICE,
                            .srcXInBytes = 2048,
                            .dstXInBytes = 2048,
                            .srcPitch = 4096,
                            .dstPitch = 4096,
                            .srcHeight = BLOCK_BYTES / 8192,
                            .dstHeight = BLOCK_BYTES / 8192,
                            .WidthInBytes = 2048,
                            .Height = BLOCK_BYTES / 8192,
                            .Depth = 2};
    CUdeviceptr far, near;

    begin();
    rows.srcDevice = slices.srcDevice = near = make(world.context, 6);
    rows.dstDevice = slices.dstDevice = far = make(other, 1);
    OK(cuMemcpy2D(&rows));
    OK(cuCtxSynchronize());
    cr_expect(!holds(far, 6));
    OK(cuMemcpy3DAsync(&slices, NULL));
    OK(cuCtxSynchronize());
    cr_expect(holds(far, 6), "the left half, and the right half");
    OK(cuMemFree(far));
    OK(cuMemFree(near));
}

Test(cross_device, the_host_reads_writes_and_sets_the_other_devices_block)
{
    float *host;
    CUdeviceptr far;
    CUstream stream;

    begin();
    far = make(other, 1);
    stream = stream_new();
    OK(cuMemHostAlloc((void **)&host, BLOCK_BYTES, 0));
    for (unsigned i = 0; i < BLOCK_COUNT; i++)
        host[i] = 7;
    OK(cuMemcpyHtoD(far, host, BLOCK_BYTES));
    cr_expect(all_are(far, BLOCK_COUNT, 7));
    OK(cuMemsetD32(far, bits_of(8), BLOCK_COUNT));
    cr_expect(all_are(far, BLOCK_COUNT, 8), "read behind the set");
    OK(cuMemsetD32Async(far, bits_of(9), BLOCK_COUNT, stream));
    OK(cuMemcpyDtoHAsync(host, far, BLOCK_BYTES, stream));
    OK(cuMemsetD32Async(far, bits_of(10), BLOCK_COUNT, stream));
    OK(cuStreamSynchronize(stream));
    cr_expect_eq(host[0], 9);
    cr_expect_eq(host[BLOCK_COUNT - 1], 9);
    OK(cuMemcpyHtoDAsync(far, host, BLOCK_BYTES, stream));
    OK(cuStreamSynchronize(stream));
    cr_expect(holds(far, 9));
    OK(cuStreamDestroy(stream));
    OK(cuMemFreeHost(host));
    OK(cuMemFree(far));
}

static void wait_for(void *flag)
{
    while (!__atomic_load_n((int *)flag, __ATOMIC_ACQUIRE))
        sched_yield();
}

Test(cross_device, what_goes_by_the_other_context_keeps_its_place_in_the_stream)
{
    CUdeviceptr far, near;
    CUstream stream;
    int flag = 0;

    begin();
    far = make(other, 1);
    near = make(world.context, 2);
    stream = stream_new();
    OK(cuLaunchHostFunc(stream, wait_for, &flag));
    OK(cuMemsetD32Async(far, bits_of(3), BLOCK_COUNT, stream));
    OK(cuMemcpyAsync(near, far, BLOCK_BYTES, stream));
    cr_expect_eq(cuStreamQuery(stream), CUDA_ERROR_NOT_READY);
    __atomic_store_n(&flag, 1, __ATOMIC_RELEASE);
    OK(cuStreamSynchronize(stream));
    cr_expect(all_are(near, BLOCK_COUNT, 3), "the copy came after the set, and the set after the host");
    OK(cuStreamDestroy(stream));
    OK(cuMemFree(far));
    OK(cuMemFree(near));
}

/* The host function runs until the host has read and set the block: nobody but the two contexts has to do with that. */
Test(cross_device, nobody_waits_for_what_the_other_context_is_doing, .timeout = 60)
{
    CUdeviceptr far;
    CUstream busy;
    int flag = 0;

    begin();
    far = make(other, 1);
    OK(cuCtxPushCurrent(other));
    OK(cuStreamCreate(&busy, CU_STREAM_DEFAULT));
    OK(cuLaunchHostFunc(busy, wait_for, &flag));
    OK(cuCtxPopCurrent(NULL));
    cr_expect(all_are(far, BLOCK_COUNT, 1));
    OK(cuMemsetD32(far, bits_of(2), BLOCK_COUNT));
    cr_expect(all_are(far, BLOCK_COUNT, 2));
    __atomic_store_n(&flag, 1, __ATOMIC_RELEASE);
    OK(cuStreamSynchronize(busy));
    OK(cuStreamDestroy(busy));
    OK(cuMemFree(far));
}

/* EBBTIDE_DRAIN_MS is longer than the test may take. */
Test(busy_device, memory_of_one_device_moves_while_the_other_is_busy, .timeout = 60)
{
    CUdeviceptr block[BLOCKS];
    CUstream busy;
    int flag = 0;

    begin();
    OK(cuCtxPushCurrent(other));
    OK(cuStreamCreate(&busy, CU_STREAM_NON_BLOCKING));
    OK(cuLaunchHostFunc(busy, wait_for, &flag));
    OK(cuCtxPopCurrent(NULL));
    for (unsigned i = 0; i < BLOCKS; i++)
        block[i] = make(world.context, (float)i);
    for (unsigned i = 0; i < BLOCKS; i++)
        cr_expect(all_are(block[i], BLOCK_COUNT, (float)i));
    cr_expect_eq(cuStreamQuery(busy), CUDA_ERROR_NOT_READY);
    for (unsigned i = 0; i < BLOCKS; i++)
        OK(cuMemFree(block[i]));
    __atomic_store_n(&flag, 1, __ATOMIC_RELEASE);
    OK(cuStreamSynchronize(busy));
    OK(cuStreamDestroy(busy));
}

/* Unmapped it could not be copied: rather is there no room for others. */
Test(copying_device, memory_stays_until_the_other_device_has_copied_it, .timeout = 60)
{
    CUdeviceptr block[BLOCKS], far;
    CUstream busy;
    unsigned count = 1;
    int flag = 0;

    begin();
    far = make(other, 0);
    block[0] = make(world.context, 7);
    OK(cuCtxPushCurrent(other));
    OK(cuStreamCreate(&busy, CU_STREAM_NON_BLOCKING));
    OK(cuLaunchHostFunc(busy, wait_for, &flag));
    OK(cuMemcpyDtoDAsync(far, block[0], BLOCK_BYTES, busy));
    OK(cuCtxPopCurrent(NULL));
    while (count < BLOCKS && cuMemAlloc(&block[count], BLOCK_BYTES) == CUDA_SUCCESS)
        count++;
    cr_expect_lt(count, BLOCKS);
    __atomic_store_n(&flag, 1, __ATOMIC_RELEASE);
    OK(cuStreamSynchronize(busy));
    cr_expect(holds(far, 7));
    OK(cuStreamDestroy(busy));
    for (unsigned i = 0; i < count; i++)
        OK(cuMemFree(block[i]));
    OK(cuMemFree(far));
}

Test(cross_device, blocks_that_are_away_come_back_for_it)
{
    CUdeviceptr far[BLOCKS], near;

    begin();
    near = make(world.context, 0);
    for (unsigned i = 0; i < BLOCKS; i++)
        far[i] = make(other, (float)i);
    for (unsigned i = 0; i < BLOCKS; i++) {
        OK(cuMemcpyDtoD(near, far[i], BLOCK_BYTES));
        cr_expect(all_are(near, BLOCK_COUNT, (float)i));
        OK(cuMemsetD32(far[i], bits_of((float)(i + 1)), BLOCK_COUNT));
    }
    for (unsigned i = 0; i < BLOCKS; i++) {
        cr_expect(all_are(far[i], BLOCK_COUNT, (float)(i + 1)));
        OK(cuMemFree(far[i]));
    }
    OK(cuMemFree(near));
}

Test(cross_device, native_memory_is_the_other_side_of_a_block_too)
{
    CUdeviceptr far, small, theirs;
    float read = 0;

    begin();
    far = make(other, 4);
    OK(cuMemAlloc(&small, 4096));
    OK(cuCtxPushCurrent(other));
    OK(cuMemAlloc(&theirs, 4096));
    OK(cuCtxPopCurrent(NULL));
    OK(cuMemcpyDtoD(small, far, 4096));
    OK(cuMemcpyDtoH(&read, small, sizeof read));
    cr_expect_eq(read, 4);
    OK(cuMemsetD32(far, bits_of(5), BLOCK_COUNT));
    OK(cuMemcpyDtoD(theirs, far, 4096));
    OK(cuMemcpyDtoH(&read, theirs, sizeof read));
    cr_expect_eq(read, 5, "both are the other device's");
    OK(cuMemFree(small));
    OK(cuMemFree(theirs));
    OK(cuMemFree(far));
}

Test(cross_device, a_captured_copy_between_devices_is_replayed)
{
    CUdeviceptr far, near;
    CUgraphExec exec;
    CUstream stream;
    CUgraph graph;

    begin();
    far = make(other, 1);
    near = make(world.context, 2);
    stream = stream_new();
    OK(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
    OK(cuMemcpyAsync(far, near, BLOCK_BYTES, stream));
    OK(cuStreamEndCapture(stream, &graph));
    OK(cuGraphInstantiate(&exec, graph, 0));
    cr_expect(holds(far, 1));
    OK(cuGraphLaunch(exec, stream));
    OK(cuStreamSynchronize(stream));
    cr_expect(holds(far, 2));
    OK(cuGraphExecDestroy(exec));
    OK(cuGraphDestroy(graph));
    OK(cuStreamDestroy(stream));
    OK(cuMemFree(far));
    OK(cuMemFree(near));
}

Test(cross_device, what_the_driver_refuses_is_refused)
{
    CUdeviceptr far;

    begin();
    far = make(other, 1);
    cr_expect_eq(cuMemcpyHtoD(far + BLOCK_BYTES - 2, &far, 4), CUDA_ERROR_INVALID_VALUE);
    cr_expect_eq(cuMemsetD32(far + 1, 0, 1), CUDA_ERROR_INVALID_VALUE);
    OK(cuMemsetD32(far, bits_of(2), BLOCK_COUNT));
    cr_expect(all_are(far, BLOCK_COUNT, 2));
    OK(cuMemFree(far));
}
