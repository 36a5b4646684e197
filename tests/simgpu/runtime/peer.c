/* SPDX-License-Identifier: Apache-2.0 */
/* Copies between devices, which have no flavour of their own. */
#include "runtime/runtime.h"

/* A copy between devices is one between their primary contexts. */
static CUresult peers(int to, int from, CUcontext *target, CUcontext *source)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = runtime_context(to, target);
    return result == CUDA_SUCCESS ? runtime_context(from, source) : result;
}

cudaError_t cudaMemcpyPeer(void *to, int to_device, const void *from, int from_device, size_t bytes)
{
    CUcontext target, source;
    CUresult result = peers(to_device, from_device, &target, &source);

    if (result == CUDA_SUCCESS && bytes)
        result = STREAM(cuMemcpyPeer)((CUdeviceptr)to, target, (CUdeviceptr)from, source, bytes);
    return runtime_finish(result);
}

cudaError_t cudaMemcpyPeerAsync(void *to, int to_device, const void *from, int from_device, size_t bytes,
                                cudaStream_t stream)
{
    CUcontext target, source;
    CUresult result = peers(to_device, from_device, &target, &source);

    if (result == CUDA_SUCCESS && bytes)
        result = STREAM(cuMemcpyPeerAsync)((CUdeviceptr)to, target, (CUdeviceptr)from, source, bytes, stream);
    return runtime_finish(result);
}
