/* SPDX-License-Identifier: Apache-2.0 */
/* recycler.c - see recycler.h. */
#include "ledger/recycler.h"

#include <assert.h>
#include <errno.h>

#include "base/compiler.h"
#include "base/pages.h"
#include "ledger/limit.h"
#include "ledger/live.h"
#include "ledger/state.h"

#include <utlist.h>

static unsigned class_of(uint64_t bytes)
{
    assert(bytes && bytes % GRANULE_BYTES == 0 && bytes / GRANULE_BYTES <= RECYCLER_CLASSES);
    return (unsigned)(bytes / GRANULE_BYTES);
}

/* May so much more wait? */
static bool has_place(const struct recycler *recycler, uint64_t bytes)
{
    return recycler->idle_bytes + bytes <= recycler->most_bytes;
}

/* Under the lock: an item waits. False: enough do, or there is no memory to know it by. */
static bool push(struct recycler *recycler, uint64_t bytes, uint64_t item)
{
    struct recycler_idle *idle = has_place(recycler, bytes) ? pages_pool_take(&recycler->records) : NULL;

    if (!idle)
        return false;
    idle->item = item;
    LL_PREPEND(recycler->idle[class_of(bytes)], idle);
    recycler->idle_bytes += bytes;
    return true;
}

/* Under the lock: one of a size that has any. */
static uint64_t pop(struct recycler *recycler, unsigned class)
{
    struct recycler_idle *idle = recycler->idle[class];
    uint64_t item = idle->item;

    LL_DELETE(recycler->idle[class], idle);
    pages_pool_give(&recycler->records, idle);
    recycler->idle_bytes -= class * GRANULE_BYTES;
    return item;
}

/* Take an idle item, or charge for a new one. 1: idle taken; 0: charged. */
static int reserve(struct recycler *recycler, uint64_t bytes, uint64_t drawn_bytes, uint64_t keep_free_bytes,
                   uint64_t *out_item)
{
    struct budget *budget = recycler->budget;
    unsigned class = class_of(bytes);
    int error = 1;

    lock_acquire(recycler->lock);
    if (recycler->idle[class] && budget_may_use(budget, bytes - drawn_bytes, keep_free_bytes)) {
        *out_item = pop(recycler, class);
        budget_credit(budget, recycler->drawn_class, drawn_bytes);
        budget_from_idle(budget, recycler->class, bytes);
    } else {
        error = budget_charge(budget, recycler->class, bytes - drawn_bytes, keep_free_bytes);
        if (!error)
            budget_shift(budget, recycler->drawn_class, recycler->class, drawn_bytes);
    }
    lock_release(recycler->lock);
    return error;
}

int recycler_take_drawn(struct recycler *recycler, uint64_t bytes, uint64_t drawn_bytes,
                        uint64_t keep_free_bytes, uint64_t *out_item)
{
    int error;

    while ((error = reserve(recycler, bytes, drawn_bytes, keep_free_bytes, out_item)) < 0)
        if (!recycler_trim(recycler, bytes))
            return -ENOSPC;
    if (error == 1)
        return 0;
    error = recycler->create(recycler, bytes, out_item);
    if (error == -ENOMEM && recycler_trim(recycler, bytes))
        error = recycler->create(recycler, bytes, out_item);
    if (error) {
        lock_acquire(recycler->lock);
        budget_shift(recycler->budget, recycler->class, recycler->drawn_class, drawn_bytes);
        budget_credit(recycler->budget, recycler->class, bytes - drawn_bytes);
        lock_release(recycler->lock);
    }
    live_changed();
    return error;
}

int recycler_take(struct recycler *recycler, uint64_t bytes, uint64_t keep_free_bytes, uint64_t *out_item)
{
    return recycler_take_drawn(recycler, bytes, 0, keep_free_bytes, out_item);
}

uint32_t recycler_count(const struct recycler *recycler, uint64_t bytes)
{
    const struct recycler_idle *idle;
    uint32_t count;

    lock_acquire(recycler->lock);
    LL_COUNT(recycler->idle[class_of(bytes)], idle, count);
    lock_release(recycler->lock);
    return count;
}

int recycler_add(struct recycler *recycler, uint64_t bytes)
{
    uint64_t item;
    int error;

    lock_acquire(recycler->lock);
    error = has_place(recycler, bytes) ? budget_charge(recycler->budget, recycler->class, bytes, 0) : -ENOSPC;
    lock_release(recycler->lock);
    if (error)
        return -ENOSPC;
    error = recycler->create(recycler, bytes, &item);
    if (!error) {
        recycler_return(recycler, bytes, item);
        live_changed();
        return 0;
    }
    lock_acquire(recycler->lock);
    budget_credit(recycler->budget, recycler->class, bytes);
    lock_release(recycler->lock);
    return error;
}

int recycler_fill(struct recycler *recycler, uint64_t bytes, uint32_t count)
{
    int error = 0;

    for (uint32_t has = recycler_count(recycler, bytes); has < count && !error; has++)
        error = recycler_add(recycler, bytes);
    return error;
}

void recycler_return(struct recycler *recycler, uint64_t bytes, uint64_t item)
{
    bool kept;

    lock_acquire(recycler->lock);
    kept = push(recycler, bytes, item);
    if (kept)
        budget_to_idle(recycler->budget, recycler->class, bytes);
    lock_release(recycler->lock);
    if (!kept)
        recycler_discard(recycler, bytes, item);
}

void recycler_discard(struct recycler *recycler, uint64_t bytes, uint64_t item)
{
    recycler->destroy(recycler, bytes, item);
    lock_acquire(recycler->lock);
    budget_credit(recycler->budget, recycler->class, bytes);
    lock_release(recycler->lock);
    live_changed();
}

/* The largest idle item; its size in granules, or 0. */
static unsigned pop_largest(struct recycler *recycler, uint64_t *out_item)
{
    unsigned found = 0;

    lock_acquire(recycler->lock);
    for (unsigned class = RECYCLER_CLASSES; class && !found; class --)
        if (recycler->idle[class]) {
            *out_item = pop(recycler, class);
            recycler->leaving_bytes += class * GRANULE_BYTES;
            found = class;
        }
    lock_release(recycler->lock);
    return found;
}

uint64_t recycler_trim(struct recycler *recycler, uint64_t bytes)
{
    uint64_t given_bytes = 0, item;
    unsigned class;

    while (given_bytes < bytes && (class = pop_largest(recycler, &item))) {
        recycler->destroy(recycler, class * GRANULE_BYTES, item);
        lock_acquire(recycler->lock);
        budget_drop_idle(recycler->budget, class * GRANULE_BYTES);
        recycler->leaving_bytes -= class * GRANULE_BYTES;
        lock_release(recycler->lock);
        live_changed();
        given_bytes += class * GRANULE_BYTES;
    }
    return given_bytes;
}

/* ---- what the core's recyclers hold ------------------------------------------------------------------------------ */

static int handle_create(struct recycler *recycler, uint64_t bytes, uint64_t *out_item)
{
    return recycler->device->create(recycler->device, recycler->ordinal, bytes, out_item);
}

static void handle_destroy(struct recycler *recycler, IGNORED uint64_t bytes, uint64_t item)
{
    recycler->device->release(recycler->device, item);
    limit_freed(recycler->ordinal);
}

/* Slab records never move: an item is the address of one. */
static struct {
    struct lock lock;
    struct pages_pool pool;
} slab_records = {.lock = LOCK_INIT(LOCK_SLABS), .pool = PAGES_POOL(struct slab)};

static void record_give(struct slab *slab)
{
    lock_acquire(&slab_records.lock);
    pages_pool_give(&slab_records.pool, slab);
    lock_release(&slab_records.lock);
}

static int slab_create(struct recycler *recycler, uint64_t bytes, uint64_t *out_item)
{
    struct slab *slab;
    int error;

    lock_acquire(&slab_records.lock);
    slab = pages_pool_take(&slab_records.pool);
    lock_release(&slab_records.lock);
    if (!slab)
        return -ENOMEM;
    error = recycler->device->host_create(recycler->device, bytes, core.mapped, &slab->memory);
    if (error < 0) {
        record_give(slab);
        return error;
    }
    *out_item = (uintptr_t)slab;
    return 0;
}

static void slab_destroy(struct recycler *recycler, IGNORED uint64_t bytes, uint64_t item)
{
    struct slab *slab = slab_of(item);

    recycler->device->host_destroy(recycler->device, &slab->memory);
    record_give(slab);
}

void slabs_init(void)
{
    uint64_t most_bytes = core_places() ? 0 : UINT64_MAX;

    for (unsigned i = 0; i < core.device->count; i++) {
        struct device_state *device = &core.devices[i];

        budget_init(&device->budget, BUDGET_NO_LIMIT);
        device->handles = (struct recycler){
            .lock = &core.lock,
            .budget = &device->budget,
            .class = CLASS_BLOCK,
            .ordinal = i,
            .device = core.device,
            .create = handle_create,
            .destroy = handle_destroy,
            .most_bytes = most_bytes,
            .records = PAGES_POOL(struct recycler_idle),
            .drawn_class = CLASS_RESERVED,
        };
    }
    core.slabs.device = core.device;
    core.slabs.most_bytes = most_bytes;
    core.slabs.records = (struct pages_pool)PAGES_POOL(struct recycler_idle);
    core.slabs.create = slab_create;
    core.slabs.destroy = slab_destroy;
}
