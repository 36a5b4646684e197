/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/runtime.h"

#include <string.h>

cudaError_t cudaGetDeviceCount(int *count)
{
    CUresult result = runtime_load();

    if (count)
        *count = 0;
    if (result == CUDA_SUCCESS)
        result = driver.cuDeviceGetCount_v2000(count);
    if (result == CUDA_SUCCESS && !*count)
        result = CUDA_ERROR_NO_DEVICE;
    return runtime_finish(result);
}

cudaError_t cudaSetDevice(int device)
{
    return runtime_finish(runtime_set_device(device));
}

cudaError_t cudaInitDevice(int device, unsigned int device_flags, unsigned int flags)
{
    CUresult result = CUDA_ERROR_INVALID_VALUE;

    (void)device_flags;
    if (!flags)
        result = runtime_set_device(device);
    return runtime_finish(result);
}

cudaError_t cudaGetDevice(int *device)
{
    CUresult result = runtime_load();

    if (result == CUDA_SUCCESS && !device)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        *device = runtime_device();
    return runtime_finish(result);
}

cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attribute, int device)
{
    CUresult result = runtime_load();
    CUdevice handle;

    if (result == CUDA_SUCCESS)
        result = driver.cuDeviceGet_v2000(&handle, device);
    if (result == CUDA_SUCCESS)
        result = driver.cuDeviceGetAttribute_v2000(value, (CUdevice_attribute)attribute, handle);
    return runtime_finish(result);
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *answer, int device)
{
    struct properties_answer *properties = (struct properties_answer *)answer;
    CUresult result = runtime_load();
    CUdevice handle;
    CUuuid uuid;

    if (result == CUDA_SUCCESS && !properties)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        result = driver.cuDeviceGet_v2000(&handle, device);
    if (result != CUDA_SUCCESS)
        return runtime_finish(result);
    memset(properties, 0, sizeof(*properties));
    result = driver.cuDeviceGetName_v2000(properties->name, sizeof(properties->name), handle);
    if (result == CUDA_SUCCESS)
        result = driver.cuDeviceTotalMem_v3020(&properties->totalGlobalMem, handle);
    if (result != CUDA_SUCCESS)
        return runtime_finish(result);
    /* What the driver does not know stays 0. */
    if (driver.cuDeviceGetUuid_v9020(&uuid, handle) == CUDA_SUCCESS)
        memcpy(&properties->uuid, &uuid, sizeof(uuid));
#define PROPERTY(field, attribute)                                                                           \
    {                                                                                                        \
        int value;                                                                                           \
        if (driver.cuDeviceGetAttribute_v2000(&value, CU_DEVICE_ATTRIBUTE_##attribute, handle) ==            \
            CUDA_SUCCESS)                                                                                    \
            properties->field = value;                                                                       \
    }
#include "runtime/properties.def"
#undef PROPERTY
    return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize(void)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = driver.cuCtxSynchronize_v2000();
    return runtime_finish(result);
}

cudaError_t cudaDeviceReset(void)
{
    return runtime_finish(runtime_reset_device());
}

cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = driver.cuCtxGetStreamPriorityRange_v5050(least, greatest);
    return runtime_finish(result);
}

cudaError_t cudaDeviceCanAccessPeer(int *can_access, int device, int peer)
{
    CUresult result = runtime_load();
    CUdevice from, to;

    if (result == CUDA_SUCCESS)
        result = driver.cuDeviceGet_v2000(&from, device);
    if (result == CUDA_SUCCESS)
        result = driver.cuDeviceGet_v2000(&to, peer);
    if (result == CUDA_SUCCESS)
        result = driver.cuDeviceCanAccessPeer_v4000(can_access, from, to);
    return runtime_finish(result);
}

cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total_bytes)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = driver.cuMemGetInfo_v3020(free_bytes, total_bytes);
    return runtime_finish(result);
}

cudaError_t cudaDeviceEnablePeerAccess(int peer, unsigned int flags)
{
    CUresult result = runtime_enter();
    CUcontext context;

    if (result == CUDA_SUCCESS)
        result = runtime_context(peer, &context);
    if (result == CUDA_SUCCESS)
        result = driver.cuCtxEnablePeerAccess_v4000(context, flags);
    return runtime_finish(result);
}

cudaError_t cudaDeviceDisablePeerAccess(int peer)
{
    CUresult result = runtime_enter();
    CUcontext context;

    if (result == CUDA_SUCCESS)
        result = runtime_context(peer, &context);
    if (result == CUDA_SUCCESS)
        result = driver.cuCtxDisablePeerAccess_v4000(context);
    return runtime_finish(result);
}

cudaError_t cudaDeviceGetPCIBusId(char *id, int length, int device)
{
    CUresult result = runtime_load();

    if (result == CUDA_SUCCESS)
        result = driver.cuDeviceGetPCIBusId_v4010(id, length, device);
    return runtime_finish(result);
}

cudaError_t cudaDeviceGetByPCIBusId(int *device, const char *id)
{
    CUresult result = runtime_load();

    if (result == CUDA_SUCCESS)
        result = driver.cuDeviceGetByPCIBusId_v4010(device, id);
    return runtime_finish(result);
}
