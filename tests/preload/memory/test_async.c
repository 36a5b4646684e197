/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded on the simulated driver with a device budget of 16 MiB: memory that is allocated and freed in the order of
 * streams. Each case ends without hazards. */
#include "ordered.h"

#include <pthread.h>

enum {
    BLOCKS = 6
};

Test(async, more_than_the_budget_lives_in_blocks)
{
    struct world world = begin();
    CUstream stream = make_stream();
    CUdeviceptr block[BLOCKS];

    for (unsigned i = 0; i < BLOCKS; i++) {
        block[i] = allocate(BLOCK_BYTES, stream);
        OK(cuMemsetD32Async(block[i], i, WORDS, stream));
    }
    for (unsigned i = 0; i < BLOCKS; i++) {
        unsigned word = 99;

        OK(cuMemcpyDtoHAsync(&word, block[i] + BLOCK_BYTES - 4, sizeof(word), stream));
        OK(cuMemFreeAsync(block[i], stream));
        OK(cuStreamSynchronize(stream));
        cr_expect_eq(word, i);
    }
    cr_expect_eq(figure(pool_of(&world), CU_MEMPOOL_ATTR_USED_MEM_CURRENT), 0);
    cr_expect_eq(figure(pool_of(&world), CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), 0);
    end(&world);
}

Test(async, the_same_stream_has_at_once_what_it_freed)
{
    struct world world = begin();
    CUstream stream = make_stream();

    EACH_SIZE(bytes)
    {
        CUdeviceptr first = allocate(bytes, stream), second;

        hold(stream);
        OK(cuMemsetD8Async(first, 1, bytes, stream));
        OK(cuMemFreeAsync(first, stream));
        second = allocate(bytes - 100, stream);
        cr_expect_eq(second, first);
        OK(cuMemsetD8Async(second, 2, bytes - 100, stream));
        atomic_store(&let_go, true);
        OK(cuMemFreeAsync(second, stream));
    }
    end(&world);
}

Test(async, another_stream_has_it_only_once_it_is_passed)
{
    struct world world = begin();
    CUstream stream = make_stream(), other = make_stream();

    allow_only(pool_of(&world), CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC);
    EACH_SIZE(bytes)
    {
        CUdeviceptr first, second, third;

        OK(cuMemFreeAsync(allocate(bytes / 2, other), other));
        first = allocate(bytes, stream);
        hold(stream);
        OK(cuMemsetD8Async(first, 1, bytes, stream));
        OK(cuMemFreeAsync(first, stream));
        second = allocate(bytes, other);
        cr_expect_neq(second, first);
        OK(cuMemsetD8Async(second, 2, bytes, other));
        atomic_store(&let_go, true);
        while (cuStreamQuery(stream) == CUDA_ERROR_NOT_READY) /* gives nothing back */
            ;
        third = allocate(bytes, other);
        cr_expect_eq(third, first);
        OK(cuMemFreeAsync(second, other));
        OK(cuMemFreeAsync(third, other));
    }
    end(&world);
}

/* 16 MiB, of which one stream has freed all and not come to it. */
Test(async, another_stream_waits_for_it_where_no_room_is_left)
{
    struct world world = begin();
    CUstream stream = make_stream(), other = make_stream();
    CUdeviceptr first, second;
    unsigned word = 0;

    OK(cuMemFreeAsync(allocate(2 * MIB, other), other));
    OK(cuStreamSynchronize(other));
    first = allocate(16 * MIB, stream);
    hold(stream);
    OK(cuMemsetD32Async(first, 1, 4 * WORDS, stream));
    OK(cuMemFreeAsync(first, stream));
    second = allocate(16 * MIB, other);
    cr_expect_eq(second, first);
    OK(cuMemsetD32Async(second, 2, 4 * WORDS, other));
    cr_expect_eq(cuStreamQuery(other), CUDA_ERROR_NOT_READY);
    atomic_store(&let_go, true);
    OK(cuMemcpyDtoHAsync(&word, second, sizeof(word), other));
    OK(cuStreamSynchronize(other));
    cr_expect_eq(word, 2);
    end(&world);
}

Test(async, memory_that_is_freed_is_given_back_when_somebody_waits)
{
    struct world world = begin();
    CUmemoryPool pool = pool_of(&world);
    CUstream stream = make_stream();
    CUdeviceptr block = allocate(BLOCK_BYTES, stream);
    cuuint64_t threshold = BLOCK_BYTES;
    CUevent event;

    OK(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
    cr_expect_eq(figure(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT), BLOCK_BYTES);
    OK(cuMemFreeAsync(block, stream));
    cr_expect_eq(figure(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT), 0);
    cr_expect_eq(figure(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), BLOCK_BYTES);
    OK(cuEventRecord(event, stream));
    OK(cuEventSynchronize(event));
    cr_expect_eq(figure(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), 0);

    OK(cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &threshold));
    block = allocate(BLOCK_BYTES, stream);
    OK(cuMemFreeAsync(allocate(2 * MIB, stream), stream));
    OK(cuMemFreeAsync(block, stream));
    OK(cuStreamSynchronize(stream));
    cr_expect_eq(figure(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), BLOCK_BYTES);
    cr_expect_eq(figure(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH), BLOCK_BYTES + 2 * MIB);
    threshold = 0;
    OK(cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH, &threshold));
    cr_expect_eq(figure(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH), BLOCK_BYTES);
    OK(cuMemPoolTrimTo(pool, 0));
    cr_expect_eq(figure(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), 0);
    end(&world);
}

Test(async, what_pools_keep_makes_room_for_others)
{
    struct world world = begin();
    cuuint64_t threshold = UINT64_MAX;
    CUmemoryPool pool = pool_of(&world);
    CUstream stream = make_stream();
    CUdeviceptr block;

    OK(cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &threshold));
    OK(cuMemFreeAsync(allocate(12 * MIB, stream), stream));
    OK(cuStreamSynchronize(stream));
    cr_expect_eq(figure(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), 12 * MIB);
    OK(cuMemAlloc(&block, 14 * MIB));
    cr_expect_eq(figure(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), 0);
    OK(cuMemFree(block));

    hold(stream); /* what is not passed is waited for */
    block = allocate(12 * MIB, stream);
    OK(cuMemsetD32Async(block, 1, 3 * WORDS, stream));
    OK(cuMemFreeAsync(block, stream));
    atomic_store(&let_go, true);
    OK(cuMemAlloc(&block, 14 * MIB));
    OK(cuMemFree(block));
    end(&world);
}

Test(async, a_stream_that_is_destroyed_still_tells)
{
    struct world world = begin();
    CUstream stream = make_stream(), other = make_stream();
    CUdeviceptr block = allocate(BLOCK_BYTES, stream);

    hold(stream);
    OK(cuMemsetD32Async(block, 1, WORDS, stream));
    OK(cuMemFreeAsync(block, stream));
    OK(cuStreamDestroy(stream));
    OK(cuStreamSynchronize(other));
    cr_expect_eq(figure(pool_of(&world), CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), BLOCK_BYTES);
    atomic_store(&let_go, true);
    OK(cuCtxSynchronize());
    cr_expect_eq(figure(pool_of(&world), CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), 0);
    end(&world);
}

Test(async, an_allocation_tells_what_it_is)
{
    struct world world = begin();
    CUmemPoolProps props = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                            .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}};
    CUstream stream = make_stream();
    CUmemoryPool pool, told;
    CUdeviceptr block, base;
    size_t bytes;

    OK(cuMemPoolCreate(&pool, &props));
    OK(cuMemAllocFromPoolAsync(&block, 3 * MIB, pool, stream));
    OK(cuPointerGetAttribute(&told, CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE, block + MIB));
    cr_expect_eq(told, pool);
    OK(cuMemGetAddressRange(&base, &bytes, block + 5));
    cr_expect_eq(base, block);
    cr_expect_eq(bytes, 3 * MIB);
    cr_expect_eq(figure(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT), 4 * MIB);
    OK(cuMemPoolDestroy(pool));
    OK(cuMemsetD8Async(block, 1, 3 * MIB, stream));
    OK(cuMemFreeAsync(block, stream));
    cr_expect_eq(cuMemFreeAsync(block, stream), CUDA_ERROR_INVALID_VALUE);
    block = allocate(3 * MIB, stream);
    OK(cuPointerGetAttribute(&told, CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE, block));
    cr_expect_eq(told, pool_of(&world));
    OK(cuMemFree(block));
    cr_expect_eq(cuMemFreeAsync(block, stream), CUDA_ERROR_INVALID_VALUE);
    cr_expect_eq(figure(pool_of(&world), CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), 0);
    end(&world);
}

/* ---- who else is there ----------------------------------------------------------------------------------------- */

static void *free_in_own(void *out)
{
    CUdeviceptr block = allocate(BLOCK_BYTES, CU_STREAM_PER_THREAD);

    hold(CU_STREAM_PER_THREAD);
    OK(cuMemsetD32Async(block, 1, WORDS, CU_STREAM_PER_THREAD));
    OK(cuMemFreeAsync(block, CU_STREAM_PER_THREAD));
    *(CUdeviceptr *)out = block;
    return NULL;
}

static void *free_in_own_of(void *world)
{
    CUdeviceptr block;

    OK(cuCtxSetCurrent(((const struct world *)world)->context));
    free_in_own(&block);
    return (void *)(uintptr_t)block;
}

Test(async, the_default_streams_of_two_threads_are_two)
{
    struct world world = begin();
    void *first;
    CUdeviceptr second;
    pthread_t thread;

    for (int i = CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES;
         i <= CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES; i++)
        allow(pool_of(&world), (CUmemPool_attribute)i, 0);
    cr_assert_eq(pthread_create(&thread, NULL, free_in_own_of, &world), 0);
    cr_assert_eq(pthread_join(thread, &first), 0);
    second = allocate(BLOCK_BYTES, CU_STREAM_PER_THREAD);
    cr_expect_neq(second, (uintptr_t)first);
    OK(cuMemsetD32Async(second, 2, WORDS, CU_STREAM_PER_THREAD));
    atomic_store(&let_go, true);
    OK(cuMemFreeAsync(second, CU_STREAM_PER_THREAD));
    cr_expect_eq(allocate(BLOCK_BYTES, CU_STREAM_PER_THREAD), second);
    OK(cuCtxSynchronize());
    cr_expect_eq(figure(pool_of(&world), CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), BLOCK_BYTES);
    end(&world);
}

/* cuMemFreeAsync, of memory that cuMemAlloc gave, too, waits for nothing. */
Test(async, memory_out_of_no_pool_is_freed_in_the_order_of_a_stream)
{
    struct world world = begin();
    CUstream stream = make_stream();

    EACH_SIZE(bytes)
    {
        size_t before, after, total, held = bytes < 2 * MIB ? 2 * MIB : bytes;
        CUdeviceptr address;

        OK(cuMemGetInfo(&before, &total));
        OK(cuMemAlloc(&address, bytes));
        hold(stream);
        OK(cuMemsetD8Async(address, 1, bytes, stream));
        OK(cuMemFreeAsync(address, stream));
        cr_expect_eq(cuStreamQuery(stream), CUDA_ERROR_NOT_READY);
        cr_expect_eq(cuMemFree(address), CUDA_ERROR_INVALID_VALUE);
        cr_expect_eq(cuMemFreeAsync(address, stream), CUDA_ERROR_INVALID_VALUE);
        OK(cuMemGetInfo(&after, &total));
        cr_expect_eq(after, before - held);
        atomic_store(&let_go, true);
        OK(cuStreamSynchronize(stream));
        OK(cuMemGetInfo(&after, &total));
        cr_expect_eq(after, before);
    }
    cr_expect_eq(figure(pool_of(&world), CU_MEMPOOL_ATTR_USED_MEM_HIGH), 0);
    end(&world);
}

/* What a graph allocates is the driver's own. */
Test(async, a_capture_allocates_for_its_graph)
{
    struct world world = begin();
    CUstream stream = make_stream(), other = make_stream();
    CUdeviceptr block, kept = allocate(BLOCK_BYTES, other);
    CUgraphExec executable;
    unsigned word = 0;
    CUgraph graph;

    OK(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
    OK(cuMemAllocAsync(&block, BLOCK_BYTES, stream));
    OK(cuMemsetD32Async(block, 7, WORDS, stream));
    OK(cuMemFreeAsync(allocate(BLOCK_BYTES, other), other)); /* goes on as ever */
    OK(cuMemsetD32Async(kept, 3, WORDS, other));
    cr_expect_eq(cuMemFreeAsync(kept, stream), CUDA_ERROR_INVALID_VALUE);
    OK(cuMemcpyDtoDAsync(kept, block, 4, stream));
    OK(cuMemFreeAsync(block, stream));
    OK(cuStreamEndCapture(stream, &graph));
    OK(cuStreamSynchronize(other));
    cr_expect_eq(figure(pool_of(&world), CU_MEMPOOL_ATTR_USED_MEM_CURRENT), BLOCK_BYTES);
    OK(cuGraphInstantiate(&executable, graph, 0));
    OK(cuGraphLaunch(executable, stream));
    OK(cuStreamSynchronize(stream));
    OK(cuMemcpyDtoH(&word, kept, sizeof(word)));
    cr_expect_eq(word, 7);
    OK(cuGraphExecDestroy(executable));
    OK(cuGraphDestroy(graph));
    OK(cuMemFreeAsync(kept, stream));
    end(&world);
}

Test(async, a_context_that_is_reset_takes_along_what_was_freed_in_it)
{
    struct world world = begin();
    CUstream stream = make_stream();
    CUdeviceptr kept[] = {allocate(BLOCK_BYTES, stream), allocate(SMALL_BYTES, stream)};

    EACH_SIZE(bytes)
    {
        CUdeviceptr freed = allocate(bytes, stream);

        OK(cuMemsetD8Async(freed, 1, bytes, stream));
        OK(cuMemFreeAsync(freed, stream));
    }
    OK(cuDevicePrimaryCtxReset(world.device));
    cr_expect_eq(figure(pool_of(&world), CU_MEMPOOL_ATTR_USED_MEM_CURRENT), 0);
    cr_expect_eq(figure(pool_of(&world), CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), 0);
    OK(cuDevicePrimaryCtxRelease(world.device));
    world = world_make();
    stream = make_stream();
    for (unsigned i = 0; i < 2; i++)
        cr_expect_eq(cuMemFreeAsync(kept[i], stream), CUDA_ERROR_INVALID_VALUE);
    OK(cuMemFreeAsync(allocate(16 * MIB, stream), stream));
    end(&world);
}
