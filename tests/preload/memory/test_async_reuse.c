/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded as in test_async.c: who is given what was freed in another stream, by what the pool allows. */
#include "ordered.h"

/* None at all. */
static void allow_none(CUmemoryPool pool)
{
    allow_only(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD);
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
