/* SPDX-License-Identifier: Apache-2.0 */
/* slab.c - see slab.h. */
#include "ledger/slab.h"

#include <stddef.h>

#include "base/pages.h"
#include "ledger/limit.h"
#include "ledger/state.h"

static int handle_create(struct recycler *recycler, uint64_t bytes, uint64_t *out_item)
{
    return recycler->device->create(recycler->device, recycler->ordinal, bytes, out_item);
}

static void handle_destroy(struct recycler *recycler, uint64_t bytes, uint64_t item)
{
    (void)bytes;
    recycler->device->release(recycler->device, item);
    limit_freed(recycler->ordinal);
}

/* Slab records never move: an item is the address of one. */
static struct {
    struct lock lock;
    struct pages_pool pool;
} slab_records = {.lock = LOCK_INIT(LOCK_SLABS), .pool = PAGES_POOL(struct slab)};

static struct slab *record_take(void)
{
    struct slab *slab;

    lock_acquire(&slab_records.lock);
    slab = pages_pool_take(&slab_records.pool);
    lock_release(&slab_records.lock);
    return slab;
}

static void record_give(struct slab *slab)
{
    lock_acquire(&slab_records.lock);
    pages_pool_give(&slab_records.pool, slab);
    lock_release(&slab_records.lock);
}

static int slab_create(struct recycler *recycler, uint64_t bytes, uint64_t *out_item)
{
    struct slab *slab = record_take();
    int error;

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

static void slab_destroy(struct recycler *recycler, uint64_t bytes, uint64_t item)
{
    struct slab *slab = slab_of(item);

    (void)bytes;
    recycler->device->host_destroy(recycler->device, &slab->memory);
    record_give(slab);
}

void slabs_init(void)
{
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
            .keeps_none = core_places(),
            .drawn_class = CLASS_RESERVED,
        };
    }
    core.slabs.device = core.device;
    core.slabs.keeps_none = core_places();
    core.slabs.create = slab_create;
    core.slabs.destroy = slab_destroy;
}
