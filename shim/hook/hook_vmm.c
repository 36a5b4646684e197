/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program's own virtual memory management. Physical memory costs from cuMemCreate until its last handle is
 * released and its last mapping undone, in whichever order; many release the handle as soon as it is mapped.
 */
#include "cuda/contexts.h"
#include "cuda/driver_memory.h"
#include "cuda/pools.h"
#include "engine/core.h"
#include "hook/hooks.h"

/* One piece of physical memory. */
struct memory {
    uint64_t bytes; /* charged; 0 for imported memory, which is another's */
    unsigned ordinal;
    bool on_host;
    uint32_t handles;
    uint32_t mappings;
};

struct handle {
    uint64_t memory;
};

struct mapping {
    uint64_t memory;
    uint64_t bytes;
};

static struct table memories = TABLE_INIT(struct memory); /* by a number of ours: the driver reuses handles */
static struct table handles = TABLE_INIT(struct handle);
static struct table mappings = TABLE_INIT(struct mapping);
static uint64_t last_memory;

static bool is_on_host(const CUmemAllocationProp *prop)
{
    return prop->location.type != CU_MEM_LOCATION_TYPE_DEVICE;
}

static int charge(const struct memory *memory)
{
    return memory->on_host ? core_host_charge(HOST_PINNED, memory->bytes)
                           : core_charge(memory->ordinal, CLASS_VMM, memory->bytes);
}

static void credit(const struct memory *memory)
{
    if (memory->bytes && memory->on_host)
        core_host_credit(HOST_PINNED, memory->bytes);
    else if (memory->bytes)
        core_credit(memory->ordinal, CLASS_VMM, memory->bytes);
}

static void remember(CUmemGenericAllocationHandle value, const struct memory *memory)
{
    struct handle handle = {__atomic_add_fetch(&last_memory, 1, __ATOMIC_RELAXED)};

    if (value && table_put(&memories, handle.memory, memory) == 0)
        table_put(&handles, value, &handle);
}

/* One handle or mapping more or less; gives the memory back with the last. */
static void count(uint64_t number, int handle_change, int mapping_change)
{
    struct memory gone = {0};

    table_lock(&memories);
    struct memory *memory = table_find(&memories, number);

    if (memory) {
        memory->handles += (uint32_t)handle_change;
        memory->mappings += (uint32_t)mapping_change;
        if (!memory->handles && !memory->mappings) {
            gone = *memory;
            table_remove(&memories, number);
        }
    }
    table_unlock(&memories);
    credit(&gone);
}

CUresult hook_cuMemCreate(__typeof__(cuMemCreate) *next, const void *call_site,
                          CUmemGenericAllocationHandle *handle, size_t size, const CUmemAllocationProp *prop,
                          unsigned long long flags)
{
    (void)call_site;
    if (!handle || !size || !prop)
        return next(handle, size, prop, flags);
    struct memory memory = {.bytes = size, .on_host = is_on_host(prop), .handles = 1};

    if (!memory.on_host && (unsigned)prop->location.id >= contexts_device_count())
        return next(handle, size, prop, flags);
    memory.ordinal = memory.on_host ? 0 : (unsigned)prop->location.id;
    pools_settle();
    if (charge(&memory))
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUresult result = next(handle, size, prop, flags);

    if (result == CUDA_ERROR_OUT_OF_MEMORY && !memory.on_host && core_relieve(memory.ordinal, size) > 0)
        result = next(handle, size, prop, flags);
    if (result == CUDA_SUCCESS)
        remember(*handle, &memory);
    else
        credit(&memory);
    return result;
}

CUresult hook_cuMemImportFromShareableHandle(__typeof__(cuMemImportFromShareableHandle) *next,
                                             const void *call_site, CUmemGenericAllocationHandle *handle,
                                             void *osHandle, CUmemAllocationHandleType shHandleType)
{
    const struct memory memory = {.handles = 1};
    CUresult result = next(handle, osHandle, shHandleType);

    (void)call_site;
    if (result == CUDA_SUCCESS && handle)
        remember(*handle, &memory);
    return result;
}

CUresult hook_cuMemRetainAllocationHandle(__typeof__(cuMemRetainAllocationHandle) *next,
                                          CUmemGenericAllocationHandle *handle, void *addr)
{
    struct mapping mapping;

    /* A block is cudaMalloc memory to the program, which has no handle. */
    if (core_owns((uint64_t)(uintptr_t)addr))
        return CUDA_ERROR_INVALID_VALUE;
    CUresult result = next(handle, addr);

    if (result == CUDA_SUCCESS && handle && table_get(&mappings, (uint64_t)(uintptr_t)addr, &mapping)) {
        struct handle again = {mapping.memory};

        count(mapping.memory, 1, 0);
        table_put(&handles, *handle, &again);
    }
    return result;
}

CUresult hook_cuMemRelease(__typeof__(cuMemRelease) *next, CUmemGenericAllocationHandle handle)
{
    struct handle known;
    struct memory memory;
    bool is_known = handle && table_get(&handles, handle, &known);
    /* The last of several handles of one value takes the value with it, before the driver can hand it out again. */
    bool is_last = is_known && table_get(&memories, known.memory, &memory) && memory.handles == 1;

    if (is_last)
        table_take(&handles, handle, &known);
    CUresult result = next(handle);

    if (is_known && result == CUDA_SUCCESS)
        count(known.memory, -1, 0);
    else if (is_last)
        table_put(&handles, handle, &known);
    return result;
}

CUresult hook_cuMemMap(__typeof__(cuMemMap) *next, const void *call_site, CUdeviceptr ptr, size_t size,
                       size_t offset, CUmemGenericAllocationHandle handle, unsigned long long flags)
{
    struct handle known;
    CUresult result = next(ptr, size, offset, handle, flags);

    (void)call_site;
    if (result != CUDA_SUCCESS || !handle || !table_get(&handles, handle, &known))
        return result;
    struct mapping mapping = {known.memory, size};
    struct memory memory = {0};

    table_get(&memories, known.memory, &memory);
    count(known.memory, 0, 1);
    table_put(&mappings, ptr, &mapping);
    struct driver_memory record = {.bytes = size, .class = CLASS_VMM, .ordinal = memory.ordinal};

    driver_memory_add(DRIVER_MAPPED, ptr, &record);
    return result;
}

/* One call may undo several mappings that lie side by side. */
CUresult hook_cuMemUnmap(__typeof__(cuMemUnmap) *next, CUdeviceptr ptr, size_t size)
{
    struct driver_memory record;
    struct mapping mapping;

    if (core_owns(ptr))
        return CUDA_ERROR_INVALID_VALUE;
    CUresult result = next(ptr, size);

    if (result != CUDA_SUCCESS)
        return result;
    for (CUdeviceptr at = ptr; at - ptr < size && table_take(&mappings, at, &mapping); at += mapping.bytes) {
        driver_memory_remove(DRIVER_MAPPED, at, &record);
        count(mapping.memory, 0, -1);
    }
    return result;
}

CUresult hook_cuMemAddressFree(__typeof__(cuMemAddressFree) *next, CUdeviceptr ptr, size_t size)
{
    return core_owns(ptr) ? CUDA_ERROR_INVALID_VALUE : next(ptr, size);
}

/* Who may use a block is decided where it is mapped, anew with each move. */
CUresult hook_cuMemSetAccess(__typeof__(cuMemSetAccess) *next, CUdeviceptr ptr, size_t size,
                             const CUmemAccessDesc *desc, size_t count)
{
    return core_owns(ptr) ? CUDA_ERROR_INVALID_VALUE : next(ptr, size, desc, count);
}
