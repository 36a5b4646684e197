/* SPDX-License-Identifier: Apache-2.0 */
/* Streams and events, but for the calls that take a stream which may be the default one. */
#include "runtime/runtime.h"

cudaError_t cudaStreamCreateWithPriority(cudaStream_t *stream, unsigned int flags, int priority)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = driver.cuStreamCreateWithPriority_v5050(stream, flags, priority);
    return runtime_finish(result);
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned int flags)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = driver.cuStreamCreate_v2000(stream, flags);
    return runtime_finish(result);
}

cudaError_t cudaStreamCreate(cudaStream_t *stream)
{
    return cudaStreamCreateWithFlags(stream, cudaStreamDefault);
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = driver.cuStreamDestroy_v4000(stream);
    return runtime_finish(result);
}

cudaError_t cudaThreadExchangeStreamCaptureMode(enum cudaStreamCaptureMode *mode)
{
    CUresult result = runtime_enter();
    CUstreamCaptureMode other;

    if (result == CUDA_SUCCESS && !mode)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS) {
        other = (CUstreamCaptureMode)*mode;
        result = driver.cuThreadExchangeStreamCaptureMode_v10010(&other);
    }
    if (result == CUDA_SUCCESS)
        *mode = (enum cudaStreamCaptureMode)other;
    return runtime_finish(result);
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned int flags)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = driver.cuEventCreate_v2000(event, flags);
    return runtime_finish(result);
}

cudaError_t cudaEventCreate(cudaEvent_t *event)
{
    return cudaEventCreateWithFlags(event, cudaEventDefault);
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = driver.cuEventDestroy_v4000(event);
    return runtime_finish(result);
}

cudaError_t cudaEventQuery(cudaEvent_t event)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = driver.cuEventQuery_v2000(event);
    return runtime_finish(result);
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = driver.cuEventSynchronize_v2000(event);
    return runtime_finish(result);
}

cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t start, cudaEvent_t end)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = driver.cuEventElapsedTime_v12080(milliseconds, start, end);
    return runtime_finish(result);
}
