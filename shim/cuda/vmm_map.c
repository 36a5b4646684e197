/* SPDX-License-Identifier: Apache-2.0 */
/* vmm_map.c - see vmm_map.h. */
#include "cuda/vmm_map.h"

#include <errno.h>
#include <stdatomic.h>

#include "base/pages.h"
#include "base/table.h"
#include "engine/core.h"

struct range {
    uint64_t bytes;
    uint64_t run, run_bytes; /* what was taken of the arena, so as to begin where it shall */
};

/* Of each granule of the arena: the granule that its reservation, or mapping, begins at, and 1; 0: none. */
struct granule {
    _Atomic uint32_t range, mapping;
};

static struct table ranges = TABLE_INIT(struct range);
static struct table mappings = TABLE_INIT(struct vmm_mapping);
static _Atomic(struct granule *) granules;
static _Atomic uint32_t elsewhere; /* mappings outside the arena */

static uint32_t index_of(uint64_t address)
{
    return (uint32_t)((address - core_arena.base) / GRANULE_BYTES);
}

static uint64_t address_of(uint32_t number)
{
    return core_arena.base + (number - 1) * GRANULE_BYTES;
}

static struct granule *granule_at(uint64_t address)
{
    struct granule *of = atomic_load_explicit(&granules, memory_order_acquire);

    return of && core_addresses_lent(address) ? &of[index_of(address)] : NULL;
}

static int granules_make(void)
{
    size_t bytes = core_arena.bytes / GRANULE_BYTES * sizeof(struct granule);
    struct granule *made;

    if (atomic_load_explicit(&granules, memory_order_relaxed))
        return 0;
    made = pages_reserve(bytes);
    atomic_store_explicit(&granules, made, memory_order_release);
    return made ? 0 : -ENOMEM;
}

static void note_range(uint64_t address, uint64_t bytes, uint32_t number)
{
    for (uint64_t at = address; at - address < bytes; at += GRANULE_BYTES)
        atomic_store_explicit(&granule_at(at)->range, number, memory_order_release);
}

static void note_mapping(uint64_t address, uint64_t bytes, uint32_t number)
{
    for (uint64_t at = address; at - address < bytes; at += GRANULE_BYTES)
        atomic_store_explicit(&granule_at(at)->mapping, number, memory_order_release);
}

int vmm_reserve(uint64_t bytes, uint64_t alignment, uint64_t at, uint64_t *out_address)
{
    struct range range = {.bytes = bytes, .run_bytes = bytes};
    uint64_t address;
    int error;

    if (at && (!core_addresses_lent(at) || at % GRANULE_BYTES || at & (alignment - (alignment > 0))))
        return -ENOMEM;
    if (!at && alignment > GRANULE_BYTES &&
        __builtin_add_overflow(bytes, alignment - GRANULE_BYTES, &range.run_bytes))
        return -ENOMEM;
    error = granules_make();
    if (!error)
        error = core_addresses_take(range.run_bytes, at, &range.run);
    if (error)
        return error;
    address = !at && alignment > GRANULE_BYTES ? (range.run + alignment - 1) & ~(alignment - 1) : range.run;
    error = table_put(&ranges, address, &range);
    if (error) {
        core_addresses_give(range.run, range.run_bytes);
        return error;
    }
    note_range(address, bytes, index_of(address) + 1);
    *out_address = address;
    return 0;
}

/* Is anything mapped in a range of granules? */
static bool is_mapped(uint64_t address, uint64_t bytes)
{
    for (uint64_t at = address; at - address < bytes; at += GRANULE_BYTES)
        if (atomic_load_explicit(&granule_at(at)->mapping, memory_order_acquire))
            return true;
    return false;
}

int vmm_unreserve(uint64_t address, uint64_t bytes)
{
    struct range range;

    if (!address || !table_get(&ranges, address, &range) || range.bytes != bytes || is_mapped(address, bytes))
        return -EINVAL;
    table_take(&ranges, address, &range);
    note_range(address, bytes, 0);
    core_addresses_give(range.run, range.run_bytes);
    return 0;
}

bool vmm_reserved(uint64_t address, uint64_t *out_base, uint64_t *out_bytes)
{
    const struct granule *granule = granule_at(address);
    uint32_t number = granule ? atomic_load_explicit(&granule->range, memory_order_acquire) : 0;
    struct range range;

    if (!number || !table_get(&ranges, address_of(number), &range))
        return false;
    *out_base = address_of(number);
    *out_bytes = range.bytes;
    return true;
}

/* All of it of one reservation, and nothing there yet. */
static bool is_free(uint64_t address, uint64_t bytes)
{
    uint64_t base, range_bytes;

    return address % GRANULE_BYTES == 0 && vmm_reserved(address, &base, &range_bytes) &&
           bytes <= base + range_bytes - address && !is_mapped(address, bytes);
}

int vmm_mapping_add(uint64_t address, const struct vmm_mapping *mapping)
{
    int error;

    if (core_addresses_lent(address) && !is_free(address, mapping->bytes))
        return -EINVAL;
    error = table_put(&mappings, address, mapping);
    if (!error && core_addresses_lent(address))
        note_mapping(address, mapping->bytes, index_of(address) + 1);
    else if (!error)
        atomic_fetch_add_explicit(&elsewhere, 1, memory_order_release);
    return error;
}

bool vmm_mapping_get(uint64_t address, struct vmm_mapping *out)
{
    return address && table_get(&mappings, address, out);
}

void vmm_mapping_set(uint64_t address, const struct vmm_mapping *mapping)
{
    struct vmm_mapping *known;

    table_lock(&mappings);
    known = table_find(&mappings, address);
    if (known)
        *known = *mapping;
    table_unlock(&mappings);
}

void vmm_mapping_remove(uint64_t address)
{
    struct vmm_mapping gone;

    if (!table_take(&mappings, address, &gone))
        return;
    if (core_addresses_lent(address))
        note_mapping(address, gone.bytes, 0);
    else
        atomic_fetch_sub_explicit(&elsewhere, 1, memory_order_release);
}

/* Outside the arena there are few, if any. */
static bool find_elsewhere(uint64_t address, uint64_t *out_base, struct vmm_mapping *out)
{
    struct table_copy copy;
    bool found = false;

    if (!atomic_load_explicit(&elsewhere, memory_order_acquire) || table_copy(&mappings, &copy))
        return false;
    for (uint32_t i = 0; i < copy.count && !found; i++) {
        const struct vmm_mapping *mapping = table_copy_record(&copy, i);

        found = address - table_copy_key(&copy, i) < mapping->bytes;
        if (found) {
            *out_base = table_copy_key(&copy, i);
            *out = *mapping;
        }
    }
    table_copy_free(&copy);
    return found;
}

bool vmm_mapping_at(uint64_t address, uint64_t *out_base, struct vmm_mapping *out)
{
    const struct granule *granule = granule_at(address);
    uint32_t number = granule ? atomic_load_explicit(&granule->mapping, memory_order_acquire) : 0;

    if (!core_addresses_lent(address))
        return find_elsewhere(address, out_base, out);
    if (!number || !vmm_mapping_get(address_of(number), out))
        return false;
    *out_base = address_of(number);
    return true;
}
