/* SPDX-License-Identifier: Apache-2.0 */
#include "driver.h"

#include <criterion/criterion.h>
#include <pthread.h>

static CUstream stream_new(void)
{
    CUstream stream;

    must(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    return stream;
}

static uint32_t word_at(CUdeviceptr address)
{
    uint32_t word;

    must(cuMemcpyDtoH(&word, address, sizeof word));
    return word;
}

static CUstreamCaptureStatus status_of(CUstream stream)
{
    CUstreamCaptureStatus status;

    must(cuStreamIsCapturing(stream, &status));
    return status;
}

Test(capture, captured_work_runs_only_when_launched)
{
    CUstream stream, other;
    CUdeviceptr data;
    CUgraph graph;
    CUgraphExec exec;
    CUevent fork_event, join_event;
    uint64_t count = 1;
    size_t nodes = 0;

    start();
    module(); /* loading one is unsafe in a capture */
    stream = stream_new();
    other = stream_new();
    must(cuEventCreate(&fork_event, 0));
    must(cuEventCreate(&join_event, 0));
    must(cuMemAlloc(&data, 4096));
    must(cuMemsetD32(data, 9, 4));
    must(cuCtxSynchronize());
    must(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
    must(cuMemsetD32Async(data, 1, 1, stream));
    must(cuEventRecord(fork_event, stream));
    must(cuStreamWaitEvent(other, fork_event, 0));
    cr_assert_eq(status_of(other), CU_STREAM_CAPTURE_STATUS_ACTIVE);
    must(cuMemsetD32Async(data + 4, 2, 1, other));
    must(cuEventRecord(join_event, other));
    must(cuStreamWaitEvent(stream, join_event, 0));
    must(launch("add", stream, (void *[]){&data, (void *[]){(void *)(data + 4)}, &count}));
    must(cuStreamEndCapture(stream, &graph));
    cr_assert_eq(status_of(other), CU_STREAM_CAPTURE_STATUS_NONE);
    must(cuGraphGetNodes(graph, NULL, &nodes));
    cr_assert_eq(nodes, 3);
    cr_assert_eq(word_at(data), 9);
    must(cuGraphInstantiate(&exec, graph, 0));
    must(cuGraphDestroy(graph));
    must(cuGraphLaunch(exec, stream));
    must(cuGraphLaunch(exec, stream));
    must(cuStreamSynchronize(stream));
    cr_assert_eq(word_at(data), 3);
    must(cuGraphExecDestroy(exec));
    cr_assert_eq(cuGraphLaunch(exec, stream), CUDA_ERROR_INVALID_VALUE);
}

Test(capture, an_unsafe_call_fails_and_invalidates)
{
    CUstream stream;
    CUgraph graph;
    CUdeviceptr address;
    CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;

    start();
    stream = stream_new();
    must(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
    must(cuThreadExchangeStreamCaptureMode(&mode));
    cr_assert_eq(mode, CU_STREAM_CAPTURE_MODE_GLOBAL);
    must(cuMemAlloc(&address, 1));
    must(cuThreadExchangeStreamCaptureMode(&mode));
    cr_assert_eq(status_of(stream), CU_STREAM_CAPTURE_STATUS_ACTIVE);
    cr_assert_eq(cuMemAlloc(&address, 1), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    cr_assert_eq(status_of(stream), CU_STREAM_CAPTURE_STATUS_INVALIDATED);
    cr_assert_eq(cuMemsetD8Async(address, 0, 1, stream), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    cr_assert_eq(cuStreamEndCapture(stream, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    cr_assert_null(graph);
    must(cuMemsetD8Async(address, 0, 1, stream));
}

static void *allocate(void *argument)
{
    static CUresult result;
    CUdeviceptr address;

    must(cuCtxSetCurrent(argument));
    result = cuMemAlloc(&address, 1);
    return &result;
}

static CUresult allocate_elsewhere(CUcontext context)
{
    pthread_t thread;
    void *result;

    cr_assert_eq(pthread_create(&thread, NULL, allocate, context), 0);
    pthread_join(thread, &result);
    return *(CUresult *)result;
}

Test(capture, a_global_capture_binds_other_threads_and_a_thread_local_one_does_not)
{
    CUcontext context = start();
    CUstream stream = stream_new();
    CUgraph graph;

    must(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
    cr_assert_eq(allocate_elsewhere(context), CUDA_SUCCESS);
    must(cuStreamEndCapture(stream, &graph));
    must(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
    cr_assert_eq(allocate_elsewhere(context), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    cr_assert_eq(cuStreamEndCapture(stream, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    must(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
    cr_assert_eq(allocate_elsewhere(context), CUDA_SUCCESS);
    must(cuStreamEndCapture(stream, &graph));
}

Test(capture, mapping_calls_are_unsafe)
{
    CUmemGenericAllocationHandle handle;
    CUdeviceptr address;
    CUgraph graph;
    CUstream stream;

    start();
    stream = stream_new();
    address = mapped(&handle);
    must(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
    cr_assert_eq(cuMemUnmap(address, GRANULE), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    cr_assert_eq(cuStreamEndCapture(stream, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    must(cuMemUnmap(address, GRANULE));
}

Test(capture, asking_for_progress_is_refused_in_every_mode)
{
    CUcontext context = start();
    CUstream stream = stream_new();
    CUgraph graph;
    CUevent event;

    must(cuEventCreate(&event, 0));
    must(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
    cr_assert_eq(cuStreamSynchronize(stream), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    cr_assert_eq(cuStreamEndCapture(stream, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    must(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
    cr_assert_eq(cuCtxSynchronize(), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    cr_assert_eq(cuStreamEndCapture(stream, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    must(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
    cr_assert_eq(cuCtxRecordEvent(context, event), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    cr_assert_eq(cuStreamEndCapture(stream, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    must(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
    must(cuEventRecord(event, stream));
    cr_assert_eq(cuEventQuery(event), CUDA_ERROR_CAPTURED_EVENT);
    cr_assert_eq(cuStreamEndCapture(stream, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
}

Test(capture, the_legacy_stream_must_not_meet_a_blocking_capture)
{
    CUstreamCaptureStatus status;
    CUstream stream;
    CUdeviceptr data;
    CUgraph graph;

    start();
    must(cuStreamCreate(&stream, CU_STREAM_DEFAULT));
    must(cuMemAlloc(&data, 64));
    cr_assert_eq(cuStreamBeginCapture(NULL, CU_STREAM_CAPTURE_MODE_GLOBAL),
                 CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    must(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
    cr_assert_eq(cuStreamIsCapturing(NULL, &status), CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
    cr_assert_eq(status_of(stream), CU_STREAM_CAPTURE_STATUS_ACTIVE);
    cr_assert_eq(cuMemsetD8Async(data, 0, 1, NULL), CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
    cr_assert_eq(status_of(stream), CU_STREAM_CAPTURE_STATUS_INVALIDATED);
    cr_assert_eq(cuStreamEndCapture(stream, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
}

Test(capture, a_branch_must_be_joined)
{
    CUstream stream, other;
    CUdeviceptr data;
    CUevent event;
    CUgraph graph;

    start();
    stream = stream_new();
    other = stream_new();
    must(cuMemAlloc(&data, 64));
    must(cuEventCreate(&event, 0));
    must(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
    must(cuEventRecord(event, stream));
    must(cuStreamWaitEvent(other, event, 0));
    must(cuMemsetD8Async(data, 1, 1, other));
    cr_assert_eq(cuStreamEndCapture(other, &graph), CUDA_ERROR_STREAM_CAPTURE_UNMATCHED);
    cr_assert_eq(cuStreamEndCapture(stream, &graph), CUDA_ERROR_STREAM_CAPTURE_UNJOINED);
    cr_assert_eq(status_of(other), CU_STREAM_CAPTURE_STATUS_NONE);
}

Test(capture, work_outside_cannot_be_waited_for)
{
    CUstream stream, outside;
    CUevent event;
    CUgraph graph;

    start();
    stream = stream_new();
    outside = stream_new();
    must(cuEventCreate(&event, 0));
    must(cuEventRecord(event, outside));
    must(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
    cr_assert_eq(cuStreamWaitEvent(stream, event, 0), CUDA_ERROR_STREAM_CAPTURE_ISOLATION);
    cr_assert_eq(cuStreamEndCapture(stream, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
}

Test(capture, destroying_the_origin_ends_the_capture)
{
    CUdeviceptr address;
    CUstream stream;

    start();
    stream = stream_new();
    must(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
    must(cuStreamDestroy(stream));
    must(cuMemAlloc(&address, 1));
}
