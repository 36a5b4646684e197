/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting, recording, capturing and asking on a stream. Built once per flavour of the default stream. */
#include "runtime/runtime.h"

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = STREAM(cuStreamSynchronize)(stream);
    return runtime_finish(result);
}

cudaError_t cudaStreamQuery(cudaStream_t stream)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = STREAM(cuStreamQuery)(stream);
    return runtime_finish(result);
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned int flags)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = STREAM(cuStreamWaitEvent)(stream, event, flags);
    return runtime_finish(result);
}

cudaError_t cudaStreamGetFlags(cudaStream_t stream, unsigned int *flags)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = STREAM(cuStreamGetFlags)(stream, flags);
    return runtime_finish(result);
}

cudaError_t cudaStreamGetPriority(cudaStream_t stream, int *priority)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = STREAM(cuStreamGetPriority)(stream, priority);
    return runtime_finish(result);
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = STREAM(cuEventRecord)(event, stream);
    return runtime_finish(result);
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = STREAM(cuStreamBeginCapture)(stream, (CUstreamCaptureMode)mode);
    return runtime_finish(result);
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = STREAM(cuStreamEndCapture)(stream, graph);
    return runtime_finish(result);
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, enum cudaStreamCaptureStatus *status)
{
    CUresult result = runtime_enter();
    CUstreamCaptureStatus found;

    if (result == CUDA_SUCCESS && !status)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        result = STREAM(cuStreamIsCapturing)(stream, &found);
    if (result == CUDA_SUCCESS)
        *status = (enum cudaStreamCaptureStatus)found;
    return runtime_finish(result);
}

cudaError_t cudaStreamGetCaptureInfo(cudaStream_t stream, enum cudaStreamCaptureStatus *status,
                                     unsigned long long *id, cudaGraph_t *graph,
                                     const cudaGraphNode_t **dependencies,
                                     const cudaGraphEdgeData **edge_data, size_t *dependency_count)
{
    CUresult result = runtime_enter();
    CUstreamCaptureStatus found;
    cuuint64_t found_id = 0;

    if (result == CUDA_SUCCESS && !status)
        result = CUDA_ERROR_INVALID_VALUE;
    /* cudaGraphEdgeData and CUgraphEdgeData are one layout. */
    if (result == CUDA_SUCCESS)
        result = STREAM(cuStreamGetCaptureInfo)(stream, &found, &found_id, graph, dependencies,
                                                (const CUgraphEdgeData **)edge_data, dependency_count);
    if (result == CUDA_SUCCESS) {
        *status = (enum cudaStreamCaptureStatus)found;
        if (id)
            *id = found_id;
    }
    return runtime_finish(result);
}

cudaError_t cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t stream, unsigned int flags)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = STREAM(cuEventRecordWithFlags)(event, stream, flags);
    return runtime_finish(result);
}

/* The driver's results are the runtime's errors by number. */
cudaError_t cudaStreamAddCallback(cudaStream_t stream, cudaStreamCallback_t callback, void *argument,
                                  unsigned int flags)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = STREAM(cuStreamAddCallback)(stream, (CUstreamCallback)callback, argument, flags);
    return runtime_finish(result);
}

cudaError_t cudaStreamBeginCaptureToGraph(cudaStream_t stream, cudaGraph_t graph,
                                          const cudaGraphNode_t *dependencies, const cudaGraphEdgeData *edges,
                                          size_t count, enum cudaStreamCaptureMode mode)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = STREAM(cuStreamBeginCaptureToGraph)(
            stream, graph, dependencies, (const CUgraphEdgeData *)edges, count, (CUstreamCaptureMode)mode);
    return runtime_finish(result);
}

cudaError_t cudaStreamUpdateCaptureDependencies(cudaStream_t stream, cudaGraphNode_t *dependencies,
                                                const cudaGraphEdgeData *edges, size_t count,
                                                unsigned int flags)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = STREAM(cuStreamUpdateCaptureDependencies)(stream, dependencies,
                                                           (const CUgraphEdgeData *)edges, count, flags);
    return runtime_finish(result);
}

cudaError_t cudaStreamGetId(cudaStream_t stream, unsigned long long *id)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = STREAM(cuStreamGetId)(stream, id);
    return runtime_finish(result);
}
