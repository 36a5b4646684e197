/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/runtime.h"

#include <string.h>

cudaError_t cudaMalloc(void **pointer, size_t bytes)
{
    CUresult result = runtime_enter();
    CUdeviceptr address = 0;

    if (result == CUDA_SUCCESS && !pointer)
        result = CUDA_ERROR_INVALID_VALUE;
    /* The runtime answers a request for nothing with a null pointer, the driver refuses it. */
    if (result == CUDA_SUCCESS && bytes)
        result = driver.cuMemAlloc_v3020(&address, bytes);
    if (result == CUDA_SUCCESS)
        *pointer = (void *)address;
    return runtime_finish(result);
}

cudaError_t cudaMallocPitch(void **pointer, size_t *pitch, size_t width, size_t height)
{
    enum {
        ELEMENT_BYTES = 4
    };
    CUresult result = runtime_enter();
    CUdeviceptr address = 0;
    size_t bytes = 0;

    if (result == CUDA_SUCCESS && (!pointer || !pitch))
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS && width && height)
        result = driver.cuMemAllocPitch_v3020(&address, &bytes, width, height, ELEMENT_BYTES);
    if (result == CUDA_SUCCESS) {
        *pointer = (void *)address;
        *pitch = bytes;
    }
    return runtime_finish(result);
}

/* Slices lie the height's rows apart. */
cudaError_t cudaMalloc3D(struct cudaPitchedPtr *memory, struct cudaExtent extent)
{
    CUresult result = memory ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
    void *pointer = NULL;
    size_t pitch = 0, rows;

    if (result == CUDA_SUCCESS && __builtin_mul_overflow(extent.height, extent.depth, &rows))
        result = CUDA_ERROR_OUT_OF_MEMORY;
    if (result == CUDA_SUCCESS)
        result = (CUresult)cudaMallocPitch(&pointer, &pitch, extent.width, rows);
    if (result == CUDA_SUCCESS)
        *memory = (struct cudaPitchedPtr){pointer, pitch, extent.width, extent.height};
    return runtime_finish(result);
}

cudaError_t cudaMallocManaged(void **pointer, size_t bytes, unsigned int flags)
{
    CUresult result = runtime_enter();
    CUdeviceptr address = 0;

    if (result == CUDA_SUCCESS && !pointer)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        result = driver.cuMemAllocManaged_v6000(&address, bytes, flags);
    if (result == CUDA_SUCCESS)
        *pointer = (void *)address;
    return runtime_finish(result);
}

cudaError_t cudaFree(void *pointer)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS && pointer)
        result = driver.cuMemFree_v3020((CUdeviceptr)pointer);
    return runtime_finish(result);
}

cudaError_t cudaHostAlloc(void **pointer, size_t bytes, unsigned int flags)
{
    CUresult result = runtime_enter();
    void *memory = NULL;

    if (result == CUDA_SUCCESS && !pointer)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS && bytes)
        result = driver.cuMemHostAlloc_v2020(&memory, bytes, flags);
    if (result == CUDA_SUCCESS)
        *pointer = memory;
    return runtime_finish(result);
}

cudaError_t cudaMallocHost(void **pointer, size_t bytes)
{
    return cudaHostAlloc(pointer, bytes, cudaHostAllocDefault);
}

cudaError_t cudaFreeHost(void *pointer)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS && pointer)
        result = driver.cuMemFreeHost_v2000(pointer);
    return runtime_finish(result);
}

cudaError_t cudaHostRegister(void *pointer, size_t bytes, unsigned int flags)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = driver.cuMemHostRegister_v6050(pointer, bytes, flags);
    return runtime_finish(result);
}

cudaError_t cudaHostUnregister(void *pointer)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = driver.cuMemHostUnregister_v4000(pointer);
    return runtime_finish(result);
}

cudaError_t cudaHostGetDevicePointer(void **device_pointer, void *pointer, unsigned int flags)
{
    CUresult result = runtime_enter();
    CUdeviceptr address;

    if (result == CUDA_SUCCESS && !device_pointer)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        result = driver.cuMemHostGetDevicePointer_v3020(&address, pointer, flags);
    if (result == CUDA_SUCCESS)
        *device_pointer = (void *)address;
    return runtime_finish(result);
}

cudaError_t cudaHostGetFlags(unsigned int *flags, void *pointer)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = driver.cuMemHostGetFlags_v2030(flags, pointer);
    return runtime_finish(result);
}

cudaError_t cudaPointerGetAttributes(struct cudaPointerAttributes *answer, const void *pointer)
{
    struct pointer_answer *attributes = (struct pointer_answer *)answer;
    unsigned int type = 0, managed = 0;
    int ordinal = cudaInvalidDeviceId;
    void *on_device = NULL, *on_host = NULL;
    CUpointer_attribute asked[] = {CU_POINTER_ATTRIBUTE_MEMORY_TYPE, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL,
                                   CU_POINTER_ATTRIBUTE_IS_MANAGED, CU_POINTER_ATTRIBUTE_DEVICE_POINTER,
                                   CU_POINTER_ATTRIBUTE_HOST_POINTER};
    void *answers[] = {&type, &ordinal, &managed, &on_device, &on_host};
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS && !attributes)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        result = driver.cuPointerGetAttributes_v7000(sizeof(asked) / sizeof(*asked), asked, answers,
                                                     (CUdeviceptr)pointer);
    if (result != CUDA_SUCCESS)
        return runtime_finish(result);
    memset(attributes, 0, sizeof(*attributes));
    if (!type) {
        attributes->type = cudaMemoryTypeUnregistered;
        attributes->device = cudaInvalidDeviceId;
        attributes->hostPointer = (void *)pointer;
        return cudaSuccess;
    }
    if (managed)
        attributes->type = cudaMemoryTypeManaged;
    else
        attributes->type = type == CU_MEMORYTYPE_HOST ? cudaMemoryTypeHost : cudaMemoryTypeDevice;
    attributes->device = ordinal;
    attributes->devicePointer = on_device;
    attributes->hostPointer = on_host;
    return cudaSuccess;
}
