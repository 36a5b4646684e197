/* SPDX-License-Identifier: Apache-2.0 */
/* bin_memory.c - see bin_memory.h, and bin.h for what plans a bin and what becomes of one that was closed. */
#include "ledger/bin_memory.h"

#include <errno.h>

#include "base/pages.h"

enum {
    MIXED_BINS = 7 /* that allocations of a class fill before it has its own: one more is an eighth of all */
};

#define SPARE_BYTES UINT64_C(4096)

static uint32_t cells_of(unsigned class)
{
    return class == BIN_MIXED ? CELL_GRANULE_UNITS : cells_count(class);
}

static unsigned memory_size(unsigned class)
{
    uint64_t bytes = (class == BIN_MIXED ? sizeof(struct units) : 0) +
                     cells_of(class) * (sizeof(struct cell) + sizeof(uint16_t[PIN_REASON_COUNT]));
    unsigned size = 0;

    while (SPARE_BYTES << size < bytes)
        size++;
    return size;
}

uint64_t bin_memory_bytes(unsigned class)
{
    return SPARE_BYTES << memory_size(class);
}

bool bin_memory_keep(struct bins *bins, unsigned class, void *memory)
{
    struct bin_spare *spare = &bins->spare[memory_size(class)];

    if (spare->count == BIN_SPARE_MOST)
        return false;
    *(void **)memory = spare->first;
    spare->first = memory;
    spare->count++;
    return true;
}

/* Under the lock. NULL: none is kept. */
static void *memory_kept(struct bins *bins, unsigned class)
{
    struct bin_spare *spare = &bins->spare[memory_size(class)];
    void *memory = spare->first;

    if (!memory)
        return NULL;
    spare->first = *(void **)memory;
    spare->count--;
    return memory;
}

void *bin_memory(const struct bin *bin)
{
    return bin->units ? (void *)bin->units : (void *)bin->cell;
}

void bin_memory_lay(const struct bin_plan *plan, struct bin *out)
{
    bool is_mixed = plan->class == BIN_MIXED;
    struct units *units = is_mixed ? plan->memory : NULL;
    struct cell *cell = is_mixed ? (void *)(units + 1) : plan->memory;
    uint16_t count = (uint16_t)cells_of(plan->class);

    *out = (struct bin){.cell = cell,
                        .pins = (void *)(cell + count),
                        .units = units,
                        .cells = count,
                        .fresh = is_mixed ? count : 0,
                        .free = is_mixed ? count : 0,
                        .class = (uint8_t)plan->class};
    if (units)
        *units = (struct units){0};
}

/* ---- what a bin is to be, before it is one ---------------------------------------------------------------------------- */

/* The class of the bin that wastes least. */
static unsigned class_for(const struct home *home, const struct wanted *wanted)
{
    unsigned class = cells_class(wanted->bytes);
    uint32_t units = home ? home->mixed_units[class] : 0;

    return units < MIXED_BINS * cells_granules(class) * CELL_GRANULE_UNITS ? BIN_MIXED : class;
}

/* There is a home for the bins of such allocations, which there was not. -ENOMEM. */
static int home_make(const struct wanted *wanted)
{
    struct home *home = home_create(wanted);
    struct bins *bins;
    bool is_there;

    if (!home)
        return -ENOMEM;
    bins = bins_lock(wanted->ordinal);
    is_there = home_find(&bins->homes, wanted);
    if (!is_there)
        home_add(&bins->homes, home);
    lock_release(&bins->lock);
    if (is_there)
        home_destroy(home);
    return 0;
}

int bin_plan(const struct wanted *wanted, bool is_single, struct bin_plan *out)
{
    struct bins *bins = bins_lock(wanted->ordinal);
    const struct home *home = home_find(&bins->homes, wanted);

    out->class = is_single ? BIN_MIXED : class_for(home, wanted);
    out->granules = out->class == BIN_MIXED ? 1 : cells_granules(out->class);
    out->memory = memory_kept(bins, out->class);
    lock_release(&bins->lock);
    if (!out->memory)
        out->memory = pages_take(bin_memory_bytes(out->class));
    if (out->memory && (home || !home_make(wanted)))
        return 0;
    if (out->memory)
        bin_plan_drop(wanted, out);
    return -ENOMEM;
}

void bin_plan_drop(const struct wanted *wanted, const struct bin_plan *plan)
{
    struct bins *bins = bins_lock(wanted->ordinal);
    bool kept = bin_memory_keep(bins, plan->class, plan->memory);

    lock_release(&bins->lock);
    if (!kept)
        pages_give(plan->memory, bin_memory_bytes(plan->class));
}

void bin_dispose(const struct bin_closed *closed)
{
    pages_give(closed->memory, closed->memory_bytes);
}
