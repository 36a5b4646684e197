/* SPDX-License-Identifier: Apache-2.0 */
/* Pinned and registered host memory: charged to the host's budget. */
#include "heap/heap.h"
#include "hook/hook_words.h"
#include "host/host_block.h"

CUresult hook_host_made(CUresult result, enum host_class class, void *const *address, size_t bytes,
                        uint64_t charged)
{
    struct place place = {0};

    if (result != CUDA_SUCCESS) {
        core_host_credit(class, charged);
        return result;
    }
    contexts_here(&place);
    struct driver_memory record = {
        .bytes = bytes, .charged = charged, .class = class, .on_host = true, .context = place.context};

    driver_memory_add(DRIVER_HOST, real_key(*address), &record);
    return result;
}

int hook_host_charge(void *const *address, size_t bytes, uint64_t *out_charged)
{
    *out_charged = address ? driver_memory_pinned_cost(NULL, bytes) : 0;
    return core_host_charge(HOST_PINNED, *out_charged);
}

CUresult hook_cuMemHostRegister_v2(__typeof__(cuMemHostRegister_v2) *next, void *p, size_t bytesize,
                                   unsigned int Flags)
{
    CUresult result = CUDA_ERROR_OUT_OF_MEMORY;
    uint64_t charged;

    if (!p || !bytesize)
        return next(p, bytesize, Flags);
    /* The driver takes the pages as they are, and no block goes that has some of them. */
    host_hold(p, bytesize);
    /* The heap is in the ledger as what it is. */
    charged = malloc_counts && malloc_counts(p) ? 0 : driver_memory_registered_cost(p, bytesize);
    if (!core_host_charge(HOST_REGISTERED, charged))
        result = hook_host_made(next(p, bytesize, Flags), HOST_REGISTERED, &p, bytesize, charged);
    if (result == CUDA_SUCCESS)
        driver_memory_registered_settle(p, bytesize);
    else
        host_hold_drop(p, bytesize);
    return result;
}

CUresult hook_cuMemHostUnregister(__typeof__(cuMemHostUnregister) *next, void *p)
{
    struct driver_memory record;
    bool known = driver_memory_remove(DRIVER_HOST, real_key(p), &record);
    CUresult result = driver_memory_freed(next(p), known, DRIVER_HOST, real_key(p), &record);

    if (known && result == CUDA_SUCCESS)
        host_hold_drop(p, record.bytes);
    return result;
}
