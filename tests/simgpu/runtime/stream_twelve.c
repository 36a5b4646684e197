/* SPDX-License-Identifier: Apache-2.0 */
/* The same of what takes a stream. Built once per flavour of the default stream. */
#include "runtime/runtime.h"

#undef cudaMemPrefetchAsync
#undef cudaStreamGetCaptureInfo
#undef cudaStreamUpdateCaptureDependencies
#undef cudaMemPrefetchAsync_ptsz
#undef cudaStreamGetCaptureInfo_ptsz
#undef cudaStreamUpdateCaptureDependencies_ptsz

#ifdef CUDA_API_PER_THREAD_DEFAULT_STREAM
#define FLAVOUR(name) name##_ptsz
#else
#define FLAVOUR(name) name
#endif

#pragma GCC visibility push(default)
cudaError_t FLAVOUR(cudaMemPrefetchAsync)(const void *pointer, size_t bytes, int device, cudaStream_t stream);
cudaError_t FLAVOUR(cudaStreamGetCaptureInfo)(cudaStream_t stream, enum cudaStreamCaptureStatus *status,
                                              unsigned long long *id);
cudaError_t FLAVOUR(cudaStreamGetCaptureInfo_v2)(cudaStream_t stream, enum cudaStreamCaptureStatus *status,
                                                 unsigned long long *id, cudaGraph_t *graph,
                                                 const cudaGraphNode_t **dependencies, size_t *count);
cudaError_t FLAVOUR(cudaStreamUpdateCaptureDependencies)(cudaStream_t stream, cudaGraphNode_t *dependencies,
                                                         size_t count, unsigned int flags);
#pragma GCC visibility pop

cudaError_t FLAVOUR(cudaMemPrefetchAsync)(const void *pointer, size_t bytes, int device, cudaStream_t stream)
{
    return FLAVOUR(cudaMemPrefetchAsync_v2)(pointer, bytes, location_of(device), 0, stream);
}

cudaError_t FLAVOUR(cudaStreamGetCaptureInfo_v2)(cudaStream_t stream, enum cudaStreamCaptureStatus *status,
                                                 unsigned long long *id, cudaGraph_t *graph,
                                                 const cudaGraphNode_t **dependencies, size_t *count)
{
    return FLAVOUR(cudaStreamGetCaptureInfo_v3)(stream, status, id, graph, dependencies, NULL, count);
}

cudaError_t FLAVOUR(cudaStreamGetCaptureInfo)(cudaStream_t stream, enum cudaStreamCaptureStatus *status,
                                              unsigned long long *id)
{
    return FLAVOUR(cudaStreamGetCaptureInfo_v3)(stream, status, id, NULL, NULL, NULL, NULL);
}

cudaError_t FLAVOUR(cudaStreamUpdateCaptureDependencies)(cudaStream_t stream, cudaGraphNode_t *dependencies,
                                                         size_t count, unsigned int flags)
{
    return FLAVOUR(cudaStreamUpdateCaptureDependencies_v2)(stream, dependencies, NULL, count, flags);
}
