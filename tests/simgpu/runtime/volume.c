/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/array.h"
#include "runtime/node.h"

static CUmemorytype type_of(cudaArray_t array, enum cudaMemcpyKind kind, bool is_host)
{
    if (array)
        return CU_MEMORYTYPE_ARRAY;
    if (kind == cudaMemcpyDefault)
        return CU_MEMORYTYPE_UNIFIED;
    return is_host ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE;
}

CUresult volume_describe(const struct cudaMemcpy3DParms *parameters, CUDA_MEMCPY3D *copy)
{
    const struct cudaMemcpy3DParms *p = parameters;
    cudaArray_t array = p->srcArray ? p->srcArray : p->dstArray;
    enum cudaMemcpyKind kind = p->kind;
    size_t element = 1;
    CUresult result = array ? array_element_bytes(array, &element) : CUDA_SUCCESS;

    if ((unsigned)kind > cudaMemcpyDefault)
        return (CUresult)cudaErrorInvalidMemcpyDirection;
    if (!p->srcArray == !p->srcPtr.ptr || !p->dstArray == !p->dstPtr.ptr)
        return CUDA_ERROR_INVALID_VALUE;
    *copy = (CUDA_MEMCPY3D){
        .srcMemoryType =
            type_of(p->srcArray, kind, kind == cudaMemcpyHostToHost || kind == cudaMemcpyHostToDevice),
        .srcXInBytes = p->srcPos.x * (p->srcArray ? element : 1),
        .srcY = p->srcPos.y,
        .srcZ = p->srcPos.z,
        .srcHost = p->srcPtr.ptr,
        .srcDevice = (CUdeviceptr)p->srcPtr.ptr,
        .srcArray = (CUarray)p->srcArray,
        .srcPitch = p->srcPtr.pitch,
        .srcHeight = p->srcPtr.ysize,
        .dstMemoryType =
            type_of(p->dstArray, kind, kind == cudaMemcpyHostToHost || kind == cudaMemcpyDeviceToHost),
        .dstXInBytes = p->dstPos.x * (p->dstArray ? element : 1),
        .dstY = p->dstPos.y,
        .dstZ = p->dstPos.z,
        .dstHost = p->dstPtr.ptr,
        .dstDevice = (CUdeviceptr)p->dstPtr.ptr,
        .dstArray = (CUarray)p->dstArray,
        .dstPitch = p->dstPtr.pitch,
        .dstHeight = p->dstPtr.ysize,
        .WidthInBytes = p->extent.width * element,
        .Height = p->extent.height,
        .Depth = p->extent.depth,
    };
    return result;
}
