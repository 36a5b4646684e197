/* SPDX-License-Identifier: Apache-2.0 */
/* Pools of stream-ordered memory, but for the calls that take a stream. */
#include "runtime/runtime.h"

cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t *pool, int device)
{
    CUresult result = runtime_load();

    if (result == CUDA_SUCCESS)
        result = driver.cuDeviceGetDefaultMemPool_v11020(pool, device);
    return runtime_finish(result);
}

cudaError_t cudaDeviceGetMemPool(cudaMemPool_t *pool, int device)
{
    CUresult result = runtime_load();

    if (result == CUDA_SUCCESS)
        result = driver.cuDeviceGetMemPool_v11020(pool, device);
    return runtime_finish(result);
}

cudaError_t cudaDeviceSetMemPool(int device, cudaMemPool_t pool)
{
    CUresult result = runtime_load();

    if (result == CUDA_SUCCESS)
        result = driver.cuDeviceSetMemPool_v11020(device, pool);
    return runtime_finish(result);
}

/* The runtime's description of a pool is the driver's under another name. */
cudaError_t cudaMemPoolCreate(cudaMemPool_t *pool, const struct cudaMemPoolProps *properties)
{
    CUresult result = runtime_enter();

    _Static_assert(sizeof(struct cudaMemPoolProps) == sizeof(CUmemPoolProps),
                   "one structure under two names");
    if (result == CUDA_SUCCESS)
        result = driver.cuMemPoolCreate_v11020(pool, (const CUmemPoolProps *)properties);
    return runtime_finish(result);
}

cudaError_t cudaMemPoolDestroy(cudaMemPool_t pool)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = driver.cuMemPoolDestroy_v11020(pool);
    return runtime_finish(result);
}

cudaError_t cudaMemPoolTrimTo(cudaMemPool_t pool, size_t bytes)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = driver.cuMemPoolTrimTo_v11020(pool, bytes);
    return runtime_finish(result);
}

cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t pool, enum cudaMemPoolAttr attribute, void *value)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = driver.cuMemPoolSetAttribute_v11020(pool, (CUmemPool_attribute)attribute, value);
    return runtime_finish(result);
}

cudaError_t cudaMemPoolGetAttribute(cudaMemPool_t pool, enum cudaMemPoolAttr attribute, void *value)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = driver.cuMemPoolGetAttribute_v11020(pool, (CUmemPool_attribute)attribute, value);
    return runtime_finish(result);
}

cudaError_t cudaMemPoolSetAccess(cudaMemPool_t pool, const struct cudaMemAccessDesc *descriptions,
                                 size_t count)
{
    CUresult result = runtime_enter();

    _Static_assert(sizeof(struct cudaMemAccessDesc) == sizeof(CUmemAccessDesc),
                   "one structure under two names");
    if (result == CUDA_SUCCESS)
        result = driver.cuMemPoolSetAccess_v11020(pool, (const CUmemAccessDesc *)descriptions, count);
    return runtime_finish(result);
}

cudaError_t cudaMemPoolGetAccess(enum cudaMemAccessFlags *flags, cudaMemPool_t pool,
                                 struct cudaMemLocation *location)
{
    CUresult result = runtime_enter();
    CUmemAccess_flags found;

    if (result == CUDA_SUCCESS && !flags)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        result = driver.cuMemPoolGetAccess_v11020(&found, pool, (CUmemLocation *)location);
    if (result == CUDA_SUCCESS)
        *flags = (enum cudaMemAccessFlags)found;
    return runtime_finish(result);
}

cudaError_t cudaDeviceGetGraphMemAttribute(int device, enum cudaGraphMemAttributeType attribute, void *value)
{
    CUresult result = runtime_load();

    if (result == CUDA_SUCCESS)
        result = driver.cuDeviceGetGraphMemAttribute_v11040(device, (CUgraphMem_attribute)attribute, value);
    return runtime_finish(result);
}

cudaError_t cudaDeviceSetGraphMemAttribute(int device, enum cudaGraphMemAttributeType attribute, void *value)
{
    CUresult result = runtime_load();

    if (result == CUDA_SUCCESS)
        result = driver.cuDeviceSetGraphMemAttribute_v11040(device, (CUgraphMem_attribute)attribute, value);
    return runtime_finish(result);
}

cudaError_t cudaDeviceGraphMemTrim(int device)
{
    CUresult result = runtime_load();

    if (result == CUDA_SUCCESS)
        result = driver.cuDeviceGraphMemTrim_v11040(device);
    return runtime_finish(result);
}
