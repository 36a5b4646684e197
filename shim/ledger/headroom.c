/* SPDX-License-Identifier: Apache-2.0 */
/* headroom.c - see headroom.h. */
#include "ledger/headroom.h"

#include "base/log.h"
#include "ledger/limit.h"
#include "ledger/share.h"
#include "ledger/shrink.h"
#include "ledger/state.h"
#include "tier/slot.h"

static uint64_t room_beside(unsigned ordinal, uint64_t lent_bytes)
{
    const struct budget *budget = &core.devices[ordinal].budget;
    uint64_t room = shares_over(budget->limit_bytes, budget->used_bytes) +
                    core.drawable(budget->class_bytes[CLASS_RESERVED]);

    return shares_over(shares_over(room, limit_beyond_pool(ordinal)), lent_bytes);
}

uint64_t headroom_device(unsigned ordinal)
{
    uint64_t room;

    lock_acquire(&core.lock);
    room = room_beside(ordinal, core.devices[ordinal].budget.lent_bytes);
    lock_release(&core.lock);
    return room;
}

uint64_t headroom_device_lent(unsigned ordinal)
{
    uint64_t room;

    lock_acquire(&core.lock);
    room = room_beside(ordinal, 0);
    lock_release(&core.lock);
    return room;
}

uint64_t headroom_host(void)
{
    uint64_t room;

    lock_acquire(&core.lock);
    room = shares_over(core.host_budget.limit_bytes, core.host_budget.used_bytes);
    lock_release(&core.lock);
    return room;
}

static _Atomic uint64_t heap_unused_bytes; /* when it was last asked for */

void headroom_host_budget_roughly(struct budget *out)
{
    uint64_t unused = atomic_load_explicit(&heap_unused_bytes, memory_order_relaxed);

    lock_acquire(&core.lock);
    *out = core.host_budget;
    lock_release(&core.lock);
    if (unused > out->class_bytes[HOST_HEAP])
        unused = out->class_bytes[HOST_HEAP];
    out->class_bytes[HOST_HEAP] -= unused;
    out->used_bytes -= unused;
}

void headroom_host_budget(struct budget *out)
{
    atomic_store_explicit(&heap_unused_bytes, shrinker ? shrinker->unused() : 0, memory_order_relaxed);
    headroom_host_budget_roughly(out);
}

uint64_t headroom_device_staging(unsigned ordinal)
{
    const struct device_state *device = &core.devices[ordinal];

    return device->away_bytes || share_in_force() ? device->chunk_max_granules * GRANULE_BYTES : 0;
}

uint64_t headroom_host_staging(void)
{
    uint64_t bytes = 0;

    for (unsigned i = 0; core.device && i < core.device->count; i++)
        if (bytes < core.devices[i].chunk_max_granules * GRANULE_BYTES)
            bytes = core.devices[i].chunk_max_granules * GRANULE_BYTES;
    return bytes;
}

uint64_t headroom_device_keep(unsigned ordinal)
{
    uint64_t keep = headroom_device_staging(ordinal), host, room;

    if (!core.devices[ordinal].away_bytes)
        return keep;
    host = headroom_host_staging();
    room = headroom_host();
    return room < host ? keep + host - room : keep;
}

uint64_t headroom_disk(void)
{
    uint64_t used_bytes;

    return slot_room(&core.disk, &used_bytes);
}

bool headroom_host_pressed(void)
{
    uint64_t limit = core.host_budget.limit_bytes, room = headroom_host(), slots_bytes;

    slot_room(&core.disk, &slots_bytes);
    if (slots_bytes)
        return true;
    return limit != BUDGET_NO_LIMIT && room < limit - limit / 1000000 * core.options->high_ppm;
}

bool headroom_disk_open(void)
{
    return core.options->disk != DISK_OFF && !core.disk_off;
}

void headroom_save_failed(int error)
{
    counters_add(&core.counters.save_failures, 1);
    if (atomic_exchange(&core.disk_off, true))
        return;
    log_line(LOG_WARN,
             "cannot write to the spill directory (error %d): blocks stay in memory; EBBTIDE_SPILL_DIR names "
             "another place",
             -error);
}
