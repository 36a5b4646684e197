/* SPDX-License-Identifier: Apache-2.0 */
/* Copies, sets and stream-ordered allocation. Built once per flavour of the default stream. */
#include "runtime/runtime.h"

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind)
{
    CUresult result = runtime_enter();

    if (result != CUDA_SUCCESS || !bytes)
        return runtime_finish(result);
    switch (kind) {
    case cudaMemcpyHostToDevice:
        result = STREAM(cuMemcpyHtoD)((CUdeviceptr)to, from, bytes);
        break;
    case cudaMemcpyDeviceToHost:
        result = STREAM(cuMemcpyDtoH)(to, (CUdeviceptr)from, bytes);
        break;
    case cudaMemcpyDeviceToDevice:
        result = STREAM(cuMemcpyDtoD)((CUdeviceptr)to, (CUdeviceptr)from, bytes);
        break;
    case cudaMemcpyHostToHost:
    case cudaMemcpyDefault:
        result = STREAM(cuMemcpy)((CUdeviceptr)to, (CUdeviceptr)from, bytes);
        break;
    default:
        result = (CUresult)cudaErrorInvalidMemcpyDirection;
    }
    return runtime_finish(result);
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind,
                            cudaStream_t stream)
{
    CUresult result = runtime_enter();

    if (result != CUDA_SUCCESS || !bytes)
        return runtime_finish(result);
    switch (kind) {
    case cudaMemcpyHostToDevice:
        result = STREAM(cuMemcpyHtoDAsync)((CUdeviceptr)to, from, bytes, stream);
        break;
    case cudaMemcpyDeviceToHost:
        result = STREAM(cuMemcpyDtoHAsync)(to, (CUdeviceptr)from, bytes, stream);
        break;
    case cudaMemcpyDeviceToDevice:
        result = STREAM(cuMemcpyDtoDAsync)((CUdeviceptr)to, (CUdeviceptr)from, bytes, stream);
        break;
    case cudaMemcpyHostToHost:
    case cudaMemcpyDefault:
        result = STREAM(cuMemcpyAsync)((CUdeviceptr)to, (CUdeviceptr)from, bytes, stream);
        break;
    default:
        result = (CUresult)cudaErrorInvalidMemcpyDirection;
    }
    return runtime_finish(result);
}

/* Describes a copy between pitched rows; an unknown kind is an error. */
static CUresult rows_describe(void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width,
                              size_t height, enum cudaMemcpyKind kind, CUDA_MEMCPY2D *copy)
{
    CUmemorytype source = CU_MEMORYTYPE_UNIFIED, target = CU_MEMORYTYPE_UNIFIED;

    if ((unsigned int)kind > cudaMemcpyDefault)
        return (CUresult)cudaErrorInvalidMemcpyDirection;
    if (kind != cudaMemcpyDefault) {
        source = kind == cudaMemcpyHostToHost || kind == cudaMemcpyHostToDevice ? CU_MEMORYTYPE_HOST
                                                                                : CU_MEMORYTYPE_DEVICE;
        target = kind == cudaMemcpyHostToHost || kind == cudaMemcpyDeviceToHost ? CU_MEMORYTYPE_HOST
                                                                                : CU_MEMORYTYPE_DEVICE;
    }
    *copy = (CUDA_MEMCPY2D){
        .srcMemoryType = source,
        .srcHost = from,
        .srcDevice = (CUdeviceptr)from,
        .srcPitch = from_pitch,
        .dstMemoryType = target,
        .dstHost = to,
        .dstDevice = (CUdeviceptr)to,
        .dstPitch = to_pitch,
        .WidthInBytes = width,
        .Height = height,
    };
    return CUDA_SUCCESS;
}

cudaError_t cudaMemcpy2D(void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width,
                         size_t height, enum cudaMemcpyKind kind)
{
    CUresult result = runtime_enter();
    CUDA_MEMCPY2D copy;

    if (result == CUDA_SUCCESS)
        result = rows_describe(to, to_pitch, from, from_pitch, width, height, kind, &copy);
    if (result == CUDA_SUCCESS && width && height)
        result = STREAM(cuMemcpy2DUnaligned)(&copy);
    return runtime_finish(result);
}

cudaError_t cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width,
                              size_t height, enum cudaMemcpyKind kind, cudaStream_t stream)
{
    CUresult result = runtime_enter();
    CUDA_MEMCPY2D copy;

    if (result == CUDA_SUCCESS)
        result = rows_describe(to, to_pitch, from, from_pitch, width, height, kind, &copy);
    if (result == CUDA_SUCCESS && width && height)
        result = STREAM(cuMemcpy2DAsync)(&copy, stream);
    return runtime_finish(result);
}

cudaError_t cudaMemset(void *pointer, int value, size_t bytes)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS && bytes)
        result = STREAM(cuMemsetD8)((CUdeviceptr)pointer, (unsigned char)value, bytes);
    return runtime_finish(result);
}

cudaError_t cudaMemsetAsync(void *pointer, int value, size_t bytes, cudaStream_t stream)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS && bytes)
        result = STREAM(cuMemsetD8Async)((CUdeviceptr)pointer, (unsigned char)value, bytes, stream);
    return runtime_finish(result);
}

cudaError_t cudaMemset2D(void *pointer, size_t pitch, int value, size_t width, size_t height)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS && width && height)
        result = STREAM(cuMemsetD2D8)((CUdeviceptr)pointer, pitch, (unsigned char)value, width, height);
    return runtime_finish(result);
}

cudaError_t cudaMemset2DAsync(void *pointer, size_t pitch, int value, size_t width, size_t height,
                              cudaStream_t stream)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS && width && height)
        result = STREAM(cuMemsetD2D8Async)((CUdeviceptr)pointer, pitch, (unsigned char)value, width, height,
                                           stream);
    return runtime_finish(result);
}

cudaError_t cudaMallocAsync(void **pointer, size_t bytes, cudaStream_t stream)
{
    CUresult result = runtime_enter();
    CUdeviceptr address = 0;

    if (result == CUDA_SUCCESS && !pointer)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS && bytes)
        result = STREAM(cuMemAllocAsync)(&address, bytes, stream);
    if (result == CUDA_SUCCESS)
        *pointer = (void *)address;
    return runtime_finish(result);
}

cudaError_t cudaFreeAsync(void *pointer, cudaStream_t stream)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS && pointer)
        result = STREAM(cuMemFreeAsync)((CUdeviceptr)pointer, stream);
    return runtime_finish(result);
}

cudaError_t cudaMallocFromPoolAsync(void **pointer, size_t bytes, cudaMemPool_t pool, cudaStream_t stream)
{
    CUresult result = runtime_enter();
    CUdeviceptr address = 0;

    if (result == CUDA_SUCCESS && !pointer)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS && bytes)
        result = STREAM(cuMemAllocFromPoolAsync)(&address, bytes, pool, stream);
    if (result == CUDA_SUCCESS)
        *pointer = (void *)address;
    return runtime_finish(result);
}

cudaError_t cudaMemPrefetchAsync(const void *pointer, size_t bytes, struct cudaMemLocation location,
                                 unsigned int flags, cudaStream_t stream)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = STREAM(cuMemPrefetchAsync)((CUdeviceptr)pointer, bytes,
                                            (CUmemLocation){(CUmemLocationType)location.type, location.id},
                                            flags, stream);
    return runtime_finish(result);
}
