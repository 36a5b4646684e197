/* SPDX-License-Identifier: Apache-2.0 */
/* The program's own virtual memory management: charged while it lasts, and kept off our blocks. */
#include "cuda/contexts.h"
#include "cuda/pools.h"
#include "cuda/vmm.h"
#include "engine/core.h"
#include "hook/hooks.h"

CUresult hook_cuMemCreate(__typeof__(cuMemCreate) *next, CUmemGenericAllocationHandle *handle, size_t size,
                          const CUmemAllocationProp *prop, unsigned long long flags)
{
    if (!handle || !size || !prop)
        return next(handle, size, prop, flags);
    struct vmm_memory memory = {
        .bytes = size, .on_host = prop->location.type != CU_MEM_LOCATION_TYPE_DEVICE, .handles = 1};

    if (!memory.on_host && (unsigned)prop->location.id >= contexts_device_count())
        return next(handle, size, prop, flags);
    memory.ordinal = memory.on_host ? 0 : (unsigned)prop->location.id;
    pools_settle();
    if (vmm_charge(&memory))
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUresult result = next(handle, size, prop, flags);

    if (result == CUDA_ERROR_OUT_OF_MEMORY && !memory.on_host && core_relieve(memory.ordinal, size) > 0)
        result = next(handle, size, prop, flags);
    if (result == CUDA_SUCCESS)
        vmm_add(*handle, &memory);
    else
        vmm_credit(&memory);
    return result;
}

CUresult hook_cuMemImportFromShareableHandle(__typeof__(cuMemImportFromShareableHandle) *next,
                                             CUmemGenericAllocationHandle *handle, void *osHandle,
                                             CUmemAllocationHandleType shHandleType)
{
    const struct vmm_memory memory = {.handles = 1};
    CUresult result = next(handle, osHandle, shHandleType);

    if (result == CUDA_SUCCESS && handle)
        vmm_add(*handle, &memory);
    return result;
}

CUresult hook_cuMemRetainAllocationHandle(__typeof__(cuMemRetainAllocationHandle) *next,
                                          CUmemGenericAllocationHandle *handle, void *addr)
{
    /* A block is cudaMalloc memory to the program, which has no handle. */
    if (core_owns((uint64_t)(uintptr_t)addr))
        return CUDA_ERROR_INVALID_VALUE;
    CUresult result = next(handle, addr);

    if (result == CUDA_SUCCESS && handle)
        vmm_retained(*handle, (uint64_t)(uintptr_t)addr);
    return result;
}

CUresult hook_cuMemRelease(__typeof__(cuMemRelease) *next, CUmemGenericAllocationHandle handle)
{
    return vmm_release(next, handle);
}

CUresult hook_cuMemMap(__typeof__(cuMemMap) *next, CUdeviceptr ptr, size_t size, size_t offset,
                       CUmemGenericAllocationHandle handle, unsigned long long flags)
{
    CUresult result = next(ptr, size, offset, handle, flags);

    if (result == CUDA_SUCCESS)
        vmm_mapped(ptr, size, handle);
    return result;
}

CUresult hook_cuMemUnmap(__typeof__(cuMemUnmap) *next, CUdeviceptr ptr, size_t size)
{
    if (core_owns(ptr))
        return CUDA_ERROR_INVALID_VALUE;
    CUresult result = next(ptr, size);

    if (result == CUDA_SUCCESS)
        vmm_unmapped(ptr, size);
    return result;
}

CUresult hook_cuMemAddressFree(__typeof__(cuMemAddressFree) *next, CUdeviceptr ptr, size_t size)
{
    return core_owns(ptr) ? CUDA_ERROR_INVALID_VALUE : next(ptr, size);
}

/* Access to a block is decided where it is mapped, anew with each move. */
CUresult hook_cuMemSetAccess(__typeof__(cuMemSetAccess) *next, CUdeviceptr ptr, size_t size,
                             const CUmemAccessDesc *desc, size_t count)
{
    return core_owns(ptr) ? CUDA_ERROR_INVALID_VALUE : next(ptr, size, desc, count);
}
