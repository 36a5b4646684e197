/* SPDX-License-Identifier: Apache-2.0 */
/* vmm.c - see vmm.h. */
#include "cuda/vmm.h"

#include <stdatomic.h>

#include "base/table.h"
#include "cuda/driver_memory.h"
#include "engine/core.h"

struct handle {
    uint64_t memory;
};

struct mapping {
    uint64_t memory;
    uint64_t bytes;
};

static struct table memories =
    TABLE_INIT(struct vmm_memory); /* by a number of ours: the driver reuses handles */
static struct table handles = TABLE_INIT(struct handle);
static struct table mappings = TABLE_INIT(struct mapping);
static _Atomic uint64_t last_memory;

int vmm_charge(const struct vmm_memory *memory)
{
    return memory->on_host ? core_host_charge(HOST_PINNED, memory->bytes)
                           : core_charge(memory->ordinal, CLASS_VMM, memory->bytes);
}

void vmm_credit(const struct vmm_memory *memory)
{
    if (memory->bytes && memory->on_host)
        core_host_credit(HOST_PINNED, memory->bytes);
    else if (memory->bytes)
        core_credit(memory->ordinal, CLASS_VMM, memory->bytes);
}

static void tell(void (*event)(unsigned, enum kind, enum stay, uint64_t), const struct vmm_memory *memory)
{
    if (!memory->on_host)
        event(memory->ordinal, memory->bytes ? KIND_VMM : KIND_IPC,
              memory->bytes ? memory->why : STAY_IMPORTED, memory->bytes);
}

void vmm_add(CUmemGenericAllocationHandle value, const struct vmm_memory *memory)
{
    struct handle handle = {atomic_fetch_add_explicit(&last_memory, 1, memory_order_relaxed) + 1};

    if (!value || table_put(&memories, handle.memory, memory))
        return;
    table_put(&handles, value, &handle);
    tell(core_native_made, memory);
}

/* One handle or mapping more or less; gives the memory back with the last. */
static void count(uint64_t number, int handle_change, int mapping_change)
{
    struct vmm_memory gone = {0};
    bool is_gone = false;

    table_lock(&memories);
    struct vmm_memory *memory = table_find(&memories, number);

    if (memory) {
        memory->handles += (uint32_t)handle_change;
        memory->mappings += (uint32_t)mapping_change;
        is_gone = !memory->handles && !memory->mappings;
        if (is_gone) {
            gone = *memory;
            table_remove(&memories, number);
        }
    }
    table_unlock(&memories);
    if (!is_gone)
        return;
    vmm_credit(&gone);
    tell(core_native_gone, &gone);
}

void vmm_imported(const CUmemGenericAllocationHandle *value)
{
    if (value)
        vmm_add(*value, &(const struct vmm_memory){.handles = 1});
}

void vmm_retained(const CUmemGenericAllocationHandle *value, uint64_t address)
{
    struct mapping mapping;

    if (!value || !table_get(&mappings, address, &mapping))
        return;
    struct handle again = {mapping.memory};

    count(mapping.memory, 1, 0);
    table_put(&handles, *value, &again);
}

CUresult vmm_release(__typeof__(cuMemRelease) *next, CUmemGenericAllocationHandle handle)
{
    struct handle known;
    struct vmm_memory memory;
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

void vmm_mapped(CUdeviceptr address, uint64_t bytes, CUmemGenericAllocationHandle handle)
{
    struct handle known;
    struct vmm_memory memory = {0};

    if (!handle || !table_get(&handles, handle, &known))
        return;
    const struct mapping mapping = {known.memory, bytes};

    table_get(&memories, known.memory, &memory);
    count(known.memory, 0, 1);
    table_put(&mappings, address, &mapping);
    const struct driver_memory record = {
        .bytes = bytes, .class = CLASS_VMM, .why = STAY_OWN, .ordinal = memory.ordinal};

    driver_memory_add(DRIVER_MAPPED, address, &record);
}

void vmm_unmapped(CUdeviceptr address, uint64_t bytes)
{
    struct driver_memory record;
    struct mapping mapping;

    for (CUdeviceptr at = address; at - address < bytes && table_take(&mappings, at, &mapping);
         at += mapping.bytes) {
        driver_memory_remove(DRIVER_MAPPED, at, &record);
        count(mapping.memory, 0, -1);
    }
}
