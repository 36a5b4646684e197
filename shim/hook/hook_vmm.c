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
