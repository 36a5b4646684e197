/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded on the simulated driver with a device budget of 16 MiB: memory that is allocated and freed in the order of
 * streams. Each case ends without hazards. */
#include "../world.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    BLOCKS = 6
};
#define BLOCK_BYTES (4 * MIB)
#define WORDS       (BLOCK_BYTES / 4)

static CUstream make_stream(void)
{
    CUstream stream;

    OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    return stream;
}

static CUdeviceptr allocate(size_t bytes, CUstream stream)
{
    CUdeviceptr address;

    OK(cuMemAllocAsync(&address, bytes, stream));
    return address;
}

static CUmemoryPool pool_of(const struct world *world)
{
    CUmemoryPool pool;

    OK(cuDeviceGetMemPool(&pool, world->device));
    return pool;
}

static cuuint64_t figure(CUmemoryPool pool, CUmemPool_attribute attribute)
{
    cuuint64_t bytes;

    OK(cuMemPoolGetAttribute(pool, attribute, &bytes));
    return bytes;
}

static void allow(CUmemoryPool pool, CUmemPool_attribute attribute, int allowed)
{
    OK(cuMemPoolSetAttribute(pool, attribute, &allowed));
}

/* Only that way of reuse. */
static void allow_only(CUmemoryPool pool, CUmemPool_attribute attribute)
{
    for (int i = CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES;
         i <= CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES; i++)
        allow(pool, (CUmemPool_attribute)i, (CUmemPool_attribute)i == attribute);
}

/* A stream that stands still until it is let go. */
static atomic_bool let_go;

static void stand(void *arg)
{
    const atomic_bool *go = arg;

    while (!atomic_load(go))
        ;
}

static void hold(CUstream stream)
{
    atomic_store(&let_go, false);
    OK(cuLaunchHostFunc(stream, stand, &let_go));
}

/* What the simulated device says is on standard error. */
static FILE *errors;

static struct world begin(void)
{
    errors = tmpfile();
    cr_assert(errors);
    cr_assert_geq(dup2(fileno(errors), STDERR_FILENO), 0);
    return world_make();
}

static unsigned hazards(void)
{
    unsigned count = 0;
    char line[1024];

    rewind(errors);
    while (fgets(line, sizeof(line), errors))
        count += strncmp(line, "simgpu: hazard", 14) == 0;
    return count;
}

static void end(struct world *world)
{
    OK(cuCtxSynchronize());
    world_end(world);
    cr_expect_eq(hazards(), 0);
}

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
    CUdeviceptr first = allocate(BLOCK_BYTES, stream), second;

    hold(stream);
    OK(cuMemsetD32Async(first, 1, WORDS, stream));
    OK(cuMemFreeAsync(first, stream));
    second = allocate(BLOCK_BYTES - 1, stream);
    cr_expect_eq(second, first);
    OK(cuMemsetD32Async(second, 2, WORDS - 1, stream));
    atomic_store(&let_go, true);
    OK(cuMemFreeAsync(second, stream));
    end(&world);
}

Test(async, another_stream_has_it_only_once_it_is_passed)
{
    struct world world = begin();
    CUstream stream = make_stream(), other = make_stream();
    CUdeviceptr first, second;

    allow_only(pool_of(&world), CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC);
    OK(cuMemFreeAsync(allocate(2 * MIB, other), other));
    first = allocate(BLOCK_BYTES, stream);
    hold(stream);
    OK(cuMemsetD32Async(first, 1, WORDS, stream));
    OK(cuMemFreeAsync(first, stream));
    second = allocate(BLOCK_BYTES, other);
    cr_expect_neq(second, first);
    OK(cuMemsetD32Async(second, 2, WORDS, other));
    atomic_store(&let_go, true);
    while (cuStreamQuery(stream) == CUDA_ERROR_NOT_READY) /* gives nothing back */
        ;
    cr_expect_eq(allocate(BLOCK_BYTES, other), first);
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

Test(async, a_block_out_of_no_pool_is_freed_in_the_order_of_a_stream)
{
    struct world world = begin();
    CUstream stream = make_stream();
    size_t before, after, total;
    CUdeviceptr block;

    OK(cuMemGetInfo(&before, &total));
    OK(cuMemAlloc(&block, BLOCK_BYTES));
    hold(stream);
    OK(cuMemsetD32Async(block, 1, WORDS, stream));
    OK(cuMemFreeAsync(block, stream));
    cr_expect_eq(cuStreamQuery(stream), CUDA_ERROR_NOT_READY);
    cr_expect_eq(cuMemFree(block), CUDA_ERROR_INVALID_VALUE);
    cr_expect_eq(cuMemFreeAsync(block, stream), CUDA_ERROR_INVALID_VALUE);
    OK(cuMemGetInfo(&after, &total));
    cr_expect_eq(after, before - BLOCK_BYTES);
    atomic_store(&let_go, true);
    OK(cuStreamSynchronize(stream));
    OK(cuMemGetInfo(&after, &total));
    cr_expect_eq(after, before);
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
    CUdeviceptr block = allocate(BLOCK_BYTES, stream), freed = allocate(BLOCK_BYTES, stream);

    OK(cuMemsetD32Async(freed, 1, WORDS, stream));
    OK(cuMemFreeAsync(freed, stream));
    OK(cuDevicePrimaryCtxReset(world.device));
    cr_expect_eq(figure(pool_of(&world), CU_MEMPOOL_ATTR_USED_MEM_CURRENT), 0);
    cr_expect_eq(figure(pool_of(&world), CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), 0);
    OK(cuDevicePrimaryCtxRelease(world.device));
    world = world_make();
    stream = make_stream();
    cr_expect_eq(cuMemFreeAsync(block, stream), CUDA_ERROR_INVALID_VALUE);
    OK(cuMemFreeAsync(allocate(16 * MIB, stream), stream));
    end(&world);
}

/* ---- ways of reuse ------------------------------------------------------------------------------------------------ */

static const size_t sizes[] = {BLOCK_BYTES, 5000};

#define EACH_SIZE(bytes) for (unsigned i = 0, bytes; i < 2 && (bytes = (unsigned)sizes[i], true); i++)

/* None at all. */
static void allow_none(CUmemoryPool pool)
{
    allow_only(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD);
}

static CUevent make_event(void)
{
    CUevent event;

    OK(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
    return event;
}

/* Freed in a stream that stands still before it. */
static CUdeviceptr free_behind(size_t bytes, CUstream stream)
{
    CUdeviceptr address = allocate(bytes, stream);

    OK(cuMemsetD8Async(address, 1, bytes, stream));
    OK(cuMemFreeAsync(address, stream));
    return address;
}

/* Whether a stream is given that memory, and uses what it is given. */
static bool is_given(CUdeviceptr address, size_t bytes, CUstream stream)
{
    CUdeviceptr given = allocate(bytes, stream);

    OK(cuMemsetD8Async(given, 2, bytes, stream));
    OK(cuMemFreeAsync(given, stream));
    return given == address;
}

Test(async, a_stream_that_waits_for_an_event_behind_a_free_has_what_was_freed)
{
    EACH_SIZE(bytes)
    {
        struct world world = begin();
        CUstream stream = make_stream(), other = make_stream();
        CUevent event = make_event();
        CUdeviceptr freed;

        allow_only(pool_of(&world), CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES);
        hold(stream);
        freed = free_behind(bytes, stream);
        OK(cuEventRecord(event, stream));
        OK(cuStreamWaitEvent(other, event, 0));
        cr_expect_eq(allocate(bytes, other), freed, "although no other stream was known when it was freed");
        freed = free_behind(bytes, stream);
        OK(cuEventRecordWithFlags(event, stream, 0));
        OK(cuStreamWaitEvent(other, event, 0));
        cr_expect(is_given(freed, bytes, other));
        cr_expect_eq(cuStreamQuery(other), CUDA_ERROR_NOT_READY);
        atomic_store(&let_go, true);
        end(&world);
    }
}

Test(async, a_stream_follows_others_through_a_third)
{
    EACH_SIZE(bytes)
    {
        struct world world = begin();
        CUstream stream = make_stream(), third = make_stream(), other = make_stream();
        CUevent event = make_event();
        CUdeviceptr freed;

        allow_only(pool_of(&world), CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES);
        hold(stream);
        freed = free_behind(bytes, stream);
        OK(cuEventRecord(event, stream));
        OK(cuStreamWaitEvent(third, event, 0));
        OK(cuEventRecord(event, third));
        OK(cuStreamWaitEvent(other, event, 0));
        cr_expect(is_given(freed, bytes, other));
        atomic_store(&let_go, true);
        end(&world);
    }
}

Test(async, an_event_of_before_the_free_is_no_dependency)
{
    EACH_SIZE(bytes)
    {
        struct world world = begin();
        CUstream stream = make_stream(), other = make_stream();
        CUevent event = make_event();
        CUdeviceptr freed, earlier;

        allow_only(pool_of(&world), CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES);
        hold(stream);
        earlier = allocate(bytes, stream);
        freed = allocate(bytes, stream);
        OK(cuMemFreeAsync(earlier, stream));
        OK(cuEventRecord(event, stream));
        OK(cuMemsetD8Async(freed, 1, bytes, stream));
        OK(cuMemFreeAsync(freed, stream));
        OK(cuStreamWaitEvent(other, event, 0));
        cr_expect(is_given(earlier, bytes, other));
        allocate(bytes, other); /* the same again: nothing is freed in between */
        cr_expect_not(is_given(freed, bytes, other));
        atomic_store(&let_go, true);
        end(&world);
    }
}

/* What an event was recorded behind once, it is not for ever. */
Test(async, an_event_that_is_recorded_anew_tells_of_that_alone)
{
    EACH_SIZE(bytes)
    {
        struct world world = begin();
        CUstream stream = make_stream(), other = make_stream();
        CUevent event = make_event();
        CUdeviceptr freed;

        allow_only(pool_of(&world), CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES);
        hold(stream);
        freed = free_behind(bytes, stream);
        OK(cuEventRecord(event, stream));
        OK(cuEventRecord(event, make_stream()));
        OK(cuStreamWaitEvent(other, event, 0));
        cr_expect_not(is_given(freed, bytes, other));
        OK(cuEventRecord(event, stream));
        OK(cuEventDestroy(event));
        event = make_event(); /* at the same place, perhaps */
        OK(cuStreamWaitEvent(other, event, 0));
        cr_expect_not(is_given(freed, bytes, other));
        atomic_store(&let_go, true);
        end(&world);
    }
}

/* A graph that records it may run after all that was seen. */
Test(async, an_event_that_graphs_record_is_no_dependency)
{
    EACH_SIZE(bytes)
    {
        struct world world = begin();
        CUstream stream = make_stream(), other = make_stream(), third = make_stream();
        CUevent event[3] = {make_event(), make_event(), make_event()};
        CUgraphNodeParams params = {.type = CU_GRAPH_NODE_TYPE_EVENT_RECORD, .eventRecord = {event[1]}};
        CUdeviceptr freed;
        CUgraphExec executable;
        CUgraph graph, captured;
        CUgraphNode node;

        allow_only(pool_of(&world), CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES);
        OK(cuGraphCreate(&graph, 0));
        OK(cuGraphAddEventRecordNode(&node, graph, NULL, 0, event[0]));
        OK(cuGraphAddNode(&node, graph, NULL, NULL, 0, &params));
        OK(cuStreamBeginCapture(third, CU_STREAM_CAPTURE_MODE_RELAXED));
        OK(cuEventRecordWithFlags(event[2], third, CU_EVENT_RECORD_EXTERNAL));
        OK(cuStreamEndCapture(third, &captured));
        hold(stream);
        freed = free_behind(bytes, stream);
        for (unsigned j = 0; j < 3; j++)
            OK(cuEventRecord(event[j], stream));
        OK(cuGraphInstantiate(&executable, graph, 0));
        OK(cuGraphLaunch(executable, third));
        OK(cuGraphExecDestroy(executable));
        OK(cuGraphInstantiate(&executable, captured, 0));
        OK(cuGraphLaunch(executable, third));
        OK(cuGraphExecDestroy(executable));
        for (unsigned j = 0; j < 3; j++)
            OK(cuStreamWaitEvent(other, event[j], 0));
        cr_expect_not(is_given(freed, bytes, other));
        atomic_store(&let_go, true);
        OK(cuGraphDestroy(graph));
        OK(cuGraphDestroy(captured));
        end(&world);
    }
}

Test(async, dependencies_are_not_followed_where_that_is_not_allowed)
{
    EACH_SIZE(bytes)
    {
        struct world world = begin();
        CUstream stream = make_stream(), other = make_stream();
        CUevent event = make_event();
        CUdeviceptr freed;

        allow_only(pool_of(&world), CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC);
        hold(stream);
        freed = free_behind(bytes, stream);
        OK(cuEventRecord(event, stream));
        OK(cuStreamWaitEvent(other, event, 0));
        cr_expect_not(is_given(freed, bytes, other));
        atomic_store(&let_go, true);
        end(&world);
    }
}

/* A stream that the legacy one waits for, and one that it does not. */
Test(async, the_legacy_stream_and_blocking_ones_follow_each_other)
{
    EACH_SIZE(bytes)
    {
        struct world world = begin();
        CUstream loose = make_stream(), blocking;
        CUdeviceptr freed;

        OK(cuStreamCreate(&blocking, CU_STREAM_DEFAULT));
        allow_only(pool_of(&world), CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES);
        hold(blocking);
        freed = free_behind(bytes, blocking);
        cr_expect_not(is_given(freed, bytes, loose));
        cr_expect(is_given(freed, bytes, NULL));
        atomic_store(&let_go, true);
        OK(cuCtxSynchronize());
        hold(NULL);
        freed = free_behind(bytes, NULL);
        cr_expect_not(is_given(freed, bytes, loose));
        cr_expect(is_given(freed, bytes, blocking));
        atomic_store(&let_go, true);
        OK(cuCtxSynchronize());
        hold(loose);
        freed = free_behind(bytes, loose);
        cr_expect_not(is_given(freed, bytes, NULL));
        cr_expect_not(is_given(freed, bytes, blocking));
        atomic_store(&let_go, true);
        end(&world);
    }
}

/* The stream has come to the free, and nobody has waited. */
static CUdeviceptr free_passed(size_t bytes, CUstream stream)
{
    CUdeviceptr freed = free_behind(bytes, stream);

    while (cuStreamQuery(stream) == CUDA_ERROR_NOT_READY)
        ;
    return freed;
}

Test(async, what_the_host_has_waited_for_is_reused_whatever_is_allowed)
{
    EACH_SIZE(bytes)
    {
        struct world world = begin();
        CUstream stream = make_stream(), other = make_stream(), third = make_stream();
        cuuint64_t threshold = UINT64_MAX;
        CUmemoryPool pool = pool_of(&world);
        CUevent event = make_event();
        CUdeviceptr freed;

        allow_none(pool);
        OK(cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &threshold));
        freed = free_passed(bytes, stream);
        cr_expect_not(is_given(freed, bytes, other));
        OK(cuStreamSynchronize(third));
        allocate(bytes, other); /* what it freed itself */
        cr_expect_not(is_given(freed, bytes, other));
        allocate(bytes, other);
        OK(cuStreamSynchronize(stream));
        cr_expect_eq(allocate(bytes, other), freed);
        freed = free_passed(bytes, stream);
        OK(cuEventRecord(event, stream));
        OK(cuEventSynchronize(event));
        cr_expect_eq(allocate(bytes, third), freed);
        OK(cuMemPoolTrimTo(pool, 0));
        freed = free_passed(bytes, stream);
        cr_expect_neq(allocate(bytes, other), freed);
        OK(cuCtxSynchronize());
        cr_expect_eq(allocate(bytes, other), freed);
        end(&world);
    }
}

/* ---- small ones, which share blocks -------------------------------------------------------------------------------- */

enum {
    SMALL = 4096
};
#define SMALL_BYTES ((size_t)5000)

/* 20 MiB of 5000 bytes each on a device that has 16. */
Test(async, very_many_small_ones_leave_the_device)
{
    static CUdeviceptr block[SMALL];
    struct world world = begin();
    CUmemoryPool pool = pool_of(&world);
    CUstream stream = make_stream();
    unsigned char byte;

    for (unsigned i = 0; i < SMALL; i++) {
        block[i] = allocate(SMALL_BYTES, stream);
        OK(cuMemsetD8Async(block[i], (unsigned char)i, SMALL_BYTES, stream));
    }
    cr_expect_eq(figure(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT), SMALL * 5120);
    cr_expect_geq(figure(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), SMALL * 5120);
    for (unsigned i = 0; i < SMALL; i++) {
        OK(cuMemcpyDtoHAsync(&byte, block[i] + SMALL_BYTES - 1, 1, stream));
        OK(cuStreamSynchronize(stream));
        cr_expect_eq(byte, (unsigned char)i);
        OK(cuMemFreeAsync(block[i], stream));
    }
    OK(cuStreamSynchronize(stream));
    cr_expect_eq(figure(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT), 0);
    cr_expect_eq(figure(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), 0);
    end(&world);
}

Test(async, the_same_stream_has_at_once_the_small_one_that_it_freed)
{
    struct world world = begin();
    CUstream stream = make_stream();
    CUdeviceptr first = allocate(SMALL_BYTES, stream), second;

    hold(stream);
    OK(cuMemsetD8Async(first, 1, SMALL_BYTES, stream));
    OK(cuMemFreeAsync(first, stream));
    second = allocate(SMALL_BYTES - 100, stream);
    cr_expect_eq(second, first);
    OK(cuMemsetD8Async(second, 2, SMALL_BYTES - 100, stream));
    atomic_store(&let_go, true);
    OK(cuMemFreeAsync(second, stream));
    end(&world);
}

Test(async, another_stream_has_a_small_one_only_once_it_is_passed)
{
    struct world world = begin();
    CUstream stream = make_stream(), other = make_stream();
    CUdeviceptr first, second;

    allow_only(pool_of(&world), CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC);
    OK(cuMemFreeAsync(allocate(64, other), other));
    first = allocate(SMALL_BYTES, stream);
    hold(stream);
    OK(cuMemsetD8Async(first, 1, SMALL_BYTES, stream));
    OK(cuMemFreeAsync(first, stream));
    second = allocate(SMALL_BYTES, other);
    cr_expect_neq(second, first);
    OK(cuMemsetD8Async(second, 2, SMALL_BYTES, other));
    atomic_store(&let_go, true);
    while (cuStreamQuery(stream) == CUDA_ERROR_NOT_READY) /* gives nothing back */
        ;
    cr_expect_eq(allocate(SMALL_BYTES, other), first);
    end(&world);
}

Test(async, a_small_allocation_tells_what_it_is)
{
    struct world world = begin();
    CUmemPoolProps props = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                            .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}};
    CUstream stream = make_stream();
    CUdeviceptr block, plain, base;
    CUmemoryPool pool, told;
    size_t bytes;

    OK(cuMemPoolCreate(&pool, &props));
    OK(cuMemAllocFromPoolAsync(&block, 1000, pool, stream));
    OK(cuMemAlloc(&plain, 1000));
    cr_expect_neq(block / (2 * MIB), plain / (2 * MIB), "what is of a pool shares with none that is not");
    OK(cuPointerGetAttribute(&told, CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE, block + 999));
    cr_expect_eq(told, pool);
    OK(cuPointerGetAttribute(&told, CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE, plain));
    cr_expect_null(told);
    OK(cuMemGetAddressRange(&base, &bytes, block + 5));
    cr_expect_eq(base, block);
    cr_expect_eq(bytes, 1000);
    cr_expect_eq(figure(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT), 1024);
    OK(cuMemPoolDestroy(pool));
    OK(cuMemsetD8Async(block, 1, 1000, stream));
    cr_expect_eq(cuMemFreeAsync(block + 1, stream), CUDA_ERROR_INVALID_VALUE);
    OK(cuMemFreeAsync(block, stream));
    cr_expect_eq(cuMemFreeAsync(block, stream), CUDA_ERROR_INVALID_VALUE);
    cr_expect_eq(cuMemFree(block), CUDA_ERROR_INVALID_VALUE);
    OK(cuMemFree(plain));
    end(&world);
}

/* Each of those that are left keeps a block of its own alive. */
Test(async, small_ones_are_trimmed_to_what_is_to_be_kept)
{
    enum {
        MANY = 3 * 4096
    };
    static CUdeviceptr block[MANY];
    struct world world = begin();
    cuuint64_t threshold = UINT64_MAX;
    CUmemoryPool pool = pool_of(&world);
    CUstream stream = make_stream();
    CUdeviceptr granule = 0;
    unsigned kept = 0;

    for (unsigned i = 0; i < MANY; i++)
        block[i] = allocate(512, stream);
    for (unsigned i = 0; i < MANY; i++)
        if (block[i] / (2 * MIB) == granule)
            OK(cuMemFreeAsync(block[i], stream));
        else {
            granule = block[i] / (2 * MIB);
            block[kept++] = block[i];
        }
    OK(cuStreamSynchronize(stream));
    cr_assert_geq(kept, 3);
    cr_expect_eq(figure(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), 512 * kept);
    OK(cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &threshold));
    for (unsigned i = 0; i < kept; i++)
        OK(cuMemFreeAsync(block[i], stream));
    OK(cuStreamSynchronize(stream));
    OK(cuMemPoolTrimTo(pool, 1024));
    cr_expect_eq(figure(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), 1024);
    OK(cuMemPoolTrimTo(pool, 0));
    cr_expect_eq(figure(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), 0);
    end(&world);
}

/* cuMemFreeAsync, of memory that cuMemAlloc gave, too, waits for nothing. */
Test(async, a_small_one_out_of_no_pool_is_freed_in_the_order_of_a_stream)
{
    struct world world = begin();
    CUstream stream = make_stream();
    size_t before, after, total;
    CUdeviceptr small;

    OK(cuMemGetInfo(&before, &total));
    OK(cuMemAlloc(&small, SMALL_BYTES));
    hold(stream);
    OK(cuMemsetD8Async(small, 1, SMALL_BYTES, stream));
    OK(cuMemFreeAsync(small, stream));
    cr_expect_eq(cuStreamQuery(stream), CUDA_ERROR_NOT_READY);
    cr_expect_eq(cuMemFree(small), CUDA_ERROR_INVALID_VALUE);
    cr_expect_eq(cuMemFreeAsync(small, stream), CUDA_ERROR_INVALID_VALUE);
    OK(cuMemGetInfo(&after, &total));
    cr_expect_eq(after, before - 2 * MIB);
    atomic_store(&let_go, true);
    OK(cuStreamSynchronize(stream));
    OK(cuMemGetInfo(&after, &total));
    cr_expect_eq(after, before);
    cr_expect_eq(figure(pool_of(&world), CU_MEMPOOL_ATTR_USED_MEM_HIGH), 0);
    end(&world);
}

Test(async, a_context_that_is_reset_takes_along_small_ones_that_were_freed_in_it)
{
    struct world world = begin();
    CUstream stream = make_stream();
    CUdeviceptr small = allocate(SMALL_BYTES, stream), freed = allocate(SMALL_BYTES, stream);

    OK(cuMemsetD8Async(freed, 1, SMALL_BYTES, stream));
    OK(cuMemFreeAsync(freed, stream));
    OK(cuDevicePrimaryCtxReset(world.device));
    cr_expect_eq(figure(pool_of(&world), CU_MEMPOOL_ATTR_USED_MEM_CURRENT), 0);
    cr_expect_eq(figure(pool_of(&world), CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), 0);
    OK(cuDevicePrimaryCtxRelease(world.device));
    world = world_make();
    stream = make_stream();
    cr_expect_eq(cuMemFreeAsync(small, stream), CUDA_ERROR_INVALID_VALUE);
    OK(cuMemFreeAsync(allocate(16 * MIB, stream), stream));
    end(&world);
}

/* ---- what is remembered of them ----------------------------------------------------------------------------------- */

enum {
    COMINGS = 4000
};

static size_t resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    size_t all, resident;

    cr_assert(file);
    cr_assert_eq(fscanf(file, "%zu %zu", &all, &resident), 2);
    fclose(file);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

/* Three streams, of which each follows the one before, and leaves something behind that it freed. */
static void come_and_go(void)
{
    CUstream stream[3];
    CUevent event = make_event();

    for (unsigned i = 0; i < 3; i++) {
        stream[i] = make_stream();
        if (i)
            OK(cuStreamWaitEvent(stream[i], event, 0));
        for (unsigned j = 0; j < 4; j++)
            OK(cuMemFreeAsync(allocate(SMALL_BYTES + 512 * j, stream[i]), stream[i]));
        OK(cuEventRecord(event, stream[i]));
    }
    for (unsigned i = 0; i < 3; i++)
        OK(cuStreamDestroy(stream[i]));
    OK(cuEventDestroy(event));
    OK(cuCtxSynchronize());
}

static void *come_and_go_alone(void *world)
{
    OK(cuCtxSetCurrent(((const struct world *)world)->context));
    OK(cuMemFreeAsync(allocate(SMALL_BYTES, CU_STREAM_PER_THREAD), CU_STREAM_PER_THREAD));
    return NULL;
}

Test(async, streams_and_threads_that_have_gone_are_forgotten)
{
    struct world world = begin();
    size_t before = 0;
    pthread_t thread;

    for (unsigned i = 0; i < COMINGS; i++) {
        come_and_go();
        cr_assert_eq(pthread_create(&thread, NULL, come_and_go_alone, &world), 0);
        cr_assert_eq(pthread_join(thread, NULL), 0);
        if (i == COMINGS / 4)
            before = resident_bytes();
    }
    cr_expect_lt(resident_bytes(), before + MIB / 4, "%zu more", resident_bytes() - before);
    end(&world);
}

/* ---- pools ------------------------------------------------------------------------------------------------------- */

static CUmemoryPool make_pool(int device, size_t most_bytes)
{
    const CUmemPoolProps properties = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                                       .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = device},
                                       .maxSize = most_bytes};
    CUmemoryPool pool;

    OK(cuMemPoolCreate(&pool, &properties));
    return pool;
}

Test(async, a_pool_keeps_to_its_size)
{
    struct world world = begin();
    CUmemoryPool pool = make_pool(0, 8 * MIB);
    CUstream stream = make_stream();
    CUdeviceptr block[3];

    OK(cuMemAllocFromPoolAsync(&block[0], BLOCK_BYTES, pool, stream));
    OK(cuMemAllocFromPoolAsync(&block[1], BLOCK_BYTES, pool, stream));
    cr_expect_eq(cuMemAllocFromPoolAsync(&block[2], BLOCK_BYTES, pool, stream), CUDA_ERROR_OUT_OF_MEMORY);
    OK(cuMemFreeAsync(block[0], stream));
    OK(cuMemAllocFromPoolAsync(&block[2], BLOCK_BYTES, pool, stream));
    OK(cuMemFreeAsync(block[1], stream));
    OK(cuMemFreeAsync(block[2], stream));
    OK(cuMemPoolDestroy(pool));
    end(&world);
}

Test(async, what_is_not_passed_is_not_trimmed)
{
    struct world world = begin();
    CUstream stream = make_stream();
    CUdeviceptr block = allocate(BLOCK_BYTES, stream);

    hold(stream);
    OK(cuMemsetD32Async(block, 1, WORDS, stream));
    OK(cuMemFreeAsync(block, stream));
    OK(cuMemPoolTrimTo(pool_of(&world), 0));
    cr_expect_eq(figure(pool_of(&world), CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), BLOCK_BYTES);
    cr_expect_eq(figure(pool_of(&world), CU_MEMPOOL_ATTR_USED_MEM_CURRENT), 0);
    atomic_store(&let_go, true);
    while (cuStreamQuery(stream) == CUDA_ERROR_NOT_READY)
        ;
    OK(cuMemPoolTrimTo(pool_of(&world), 0));
    cr_expect_eq(figure(pool_of(&world), CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), 0);
    end(&world);
}

/* The driver refuses; meanwhile the pool is what it was. */
static atomic_bool goes_on;

static void *destroy_often(void *world)
{
    CUmemoryPool pool = pool_of(world);

    while (atomic_load(&goes_on))
        if (cuMemPoolDestroy(pool) != CUDA_ERROR_INVALID_VALUE)
            return pool;
    return NULL;
}

Test(async, a_default_pool_that_others_try_to_destroy_has_all_of_its_memory)
{
    static CUdeviceptr block[SMALL];
    struct world world = begin();
    CUstream stream = make_stream();
    pthread_t thread;
    void *destroyed;

    atomic_store(&goes_on, true);
    cr_assert_eq(pthread_create(&thread, NULL, destroy_often, &world), 0);
    for (unsigned round = 0; round < 4; round++) {
        for (unsigned i = 0; i < SMALL / 2; i++)
            block[i] = allocate(512, stream);
        cr_expect_eq(figure(pool_of(&world), CU_MEMPOOL_ATTR_USED_MEM_CURRENT), SMALL / 2 * 512);
        for (unsigned i = 0; i < SMALL / 2; i++)
            OK(cuMemFreeAsync(block[i], stream));
        cr_expect_eq(figure(pool_of(&world), CU_MEMPOOL_ATTR_USED_MEM_CURRENT), 0);
    }
    atomic_store(&goes_on, false);
    cr_assert_eq(pthread_join(thread, &destroyed), 0);
    cr_expect_null(destroyed);
    end(&world);
}

Test(async, a_pool_lets_other_devices_in)
{
    struct world world = begin(), far = world;
    CUmemoryPool pool = make_pool(1, 0);
    CUmemAccessDesc let_in = {.location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0},
                              .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    CUdeviceptr near, block;
    CUstream stream;

    OK(cuDeviceGet(&far.device, 1));
    OK(cuDevicePrimaryCtxRetain(&far.context, far.device));
    OK(cuMemAlloc(&near, BLOCK_BYTES));
    OK(cuMemsetD32(near, 0x3f800000, WORDS)); /* 1.0f */
    OK(cuCtxSynchronize());
    stream = make_stream();
    OK(cuMemAllocFromPoolAsync(&block, BLOCK_BYTES, pool,
                               stream)); /* of a device that the stream is not on */
    OK(cuMemPoolSetAccess(pool, &let_in, 1));
    OK(cuMemsetD32Async(block, 0x40000000, WORDS, stream)); /* 2.0f */
    OK(world_add(&world, block, near, WORDS, stream));
    OK(cuStreamSynchronize(stream));
    OK(cuMemFreeAsync(block, stream));
    OK(cuMemAllocFromPoolAsync(&block, BLOCK_BYTES, pool, stream)); /* let in again */
    OK(cuMemsetD32Async(block, 0, WORDS, stream));
    OK(world_add(&world, block, near, WORDS, stream));
    OK(cuStreamSynchronize(stream));
    cr_expect(all_are(block, WORDS, 1.0f));
    OK(cuMemFreeAsync(block, stream));
    OK(cuMemPoolDestroy(pool));
    OK(cuDevicePrimaryCtxRelease(far.device));
    end(&world);
}
