/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where managed memory is: what a program advises and prefetches. An allocation is on its device as a whole, or on the
 * host; it moves when it is prefetched from its first byte on, at once, and stays where it is if there is no room.
 * Preferences are taken note of by nobody: what a kernel touches does not move.
 */
#include "context.h"
#include "memory.h"
#include "sim.h"

#include "options.h"

static struct memory *managed_at(CUdeviceptr address, size_t bytes)
{
    struct memory *memory = memory_find(address);

    if (!memory || memory->kind != MEMORY_MANAGED || !bytes || bytes > memory->start + memory->size - address)
        return NULL;
    return memory;
}

CUresult sim_cuMemAdvise(CUdeviceptr address, size_t bytes, CUmem_advise advice, CUdevice device)
{
    CUresult result = CUDA_SUCCESS;

    if (advice < CU_MEM_ADVISE_SET_READ_MOSTLY || advice > CU_MEM_ADVISE_UNSET_ACCESSED_BY)
        return CUDA_ERROR_INVALID_VALUE;
    if (device != CU_DEVICE_CPU && !device_at(device))
        return CUDA_ERROR_INVALID_DEVICE;
    sim_lock();
    if (!managed_at(address, bytes))
        result = CUDA_ERROR_INVALID_VALUE;
    return sim_leave(result);
}

CUresult sim_cuMemPrefetchAsync(CUdeviceptr address, size_t bytes, CUdevice to, CUstream stream)
{
    struct memory *memory;
    CUresult result = CUDA_SUCCESS;

    (void)stream;
    if (to != CU_DEVICE_CPU && !device_at(to))
        return CUDA_ERROR_INVALID_DEVICE;
    sim_lock();
    memory = managed_at(address, bytes);
    if (!memory)
        result = CUDA_ERROR_INVALID_VALUE;
    else if (memory->start == address && !memory->slab && (to == CU_DEVICE_CPU || to == memory->device))
        memory->is_away = !device_move(&devices[memory->device], STORE_MANAGED, memory->held_bytes,
                                       memory->is_away, to != CU_DEVICE_CPU);
    return sim_leave(result);
}
