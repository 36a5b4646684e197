/* SPDX-License-Identifier: Apache-2.0 */
/* What a program sets of its device and asks about it again: limits, flags, how caches are divided. */
#include "runtime/runtime.h"

cudaError_t cudaDeviceSetLimit(enum cudaLimit limit, size_t value)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = driver.cuCtxSetLimit_v3010((CUlimit)limit, value);
    return runtime_finish(result);
}

cudaError_t cudaDeviceGetLimit(size_t *value, enum cudaLimit limit)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = driver.cuCtxGetLimit_v3010(value, (CUlimit)limit);
    return runtime_finish(result);
}

cudaError_t cudaDeviceSetCacheConfig(enum cudaFuncCache config)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = driver.cuCtxSetCacheConfig_v3020((CUfunc_cache)config);
    return runtime_finish(result);
}

cudaError_t cudaDeviceGetCacheConfig(enum cudaFuncCache *config)
{
    CUresult result = runtime_enter();
    CUfunc_cache found;

    if (result == CUDA_SUCCESS && !config)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        result = driver.cuCtxGetCacheConfig_v3020(&found);
    if (result == CUDA_SUCCESS)
        *config = (enum cudaFuncCache)found;
    return runtime_finish(result);
}

cudaError_t cudaCtxResetPersistingL2Cache(void)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = driver.cuCtxResetPersistingL2Cache_v11000();
    return runtime_finish(result);
}

/* Of the thread's device, whose context may not be there yet. That host memory can be mapped is the driver's own mind. */
cudaError_t cudaSetDeviceFlags(unsigned int flags)
{
    CUresult result = runtime_load();
    CUdevice device;

    if (result == CUDA_SUCCESS && flags & ~(unsigned)cudaDeviceMask)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        result = driver.cuDeviceGet_v2000(&device, runtime_device());
    if (result == CUDA_SUCCESS)
        result = driver.cuDevicePrimaryCtxSetFlags_v11000(device, flags & ~(unsigned)cudaDeviceMapHost);
    return runtime_finish(result);
}

cudaError_t cudaGetDeviceFlags(unsigned int *flags)
{
    CUresult result = runtime_load();
    CUdevice device;
    int active;

    if (result == CUDA_SUCCESS && !flags)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        result = driver.cuDeviceGet_v2000(&device, runtime_device());
    if (result == CUDA_SUCCESS)
        result = driver.cuDevicePrimaryCtxGetState_v7000(device, flags, &active);
    if (result == CUDA_SUCCESS)
        *flags |= cudaDeviceMapHost;
    return runtime_finish(result);
}

cudaError_t cudaDeviceGetP2PAttribute(int *value, enum cudaDeviceP2PAttr attribute, int from, int to)
{
    CUresult result = runtime_load();
    CUdevice source, target;

    if (result == CUDA_SUCCESS)
        result = driver.cuDeviceGet_v2000(&source, from);
    if (result == CUDA_SUCCESS)
        result = driver.cuDeviceGet_v2000(&target, to);
    if (result == CUDA_SUCCESS)
        result =
            driver.cuDeviceGetP2PAttribute_v8000(value, (CUdevice_P2PAttribute)attribute, source, target);
    return runtime_finish(result);
}
