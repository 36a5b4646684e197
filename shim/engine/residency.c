/* SPDX-License-Identifier: Apache-2.0 */
/* residency.c - see residency.h. */
#include "engine/residency.h"

#include <errno.h>

#include "base/log.h"
#include "engine/core.h"
#include "engine/mover.h"
#include "ledger/recycler.h"
#include "ledger/state.h"

static void say_unmapped(void)
{
    log_line(LOG_WARN,
             "host memory cannot be mapped at a device address here: only blocks that may be unmapped can "
             "move (EBBTIDE_RESIDENCY=strict says so without this line)");
}

bool residency_mapped(void)
{
    if (core_places())
        return true;
    if (core.options->residency == RESIDENCY_STRICT || !options_have_blocks(core.options))
        return false;
    if (!core.device->host_mappable)
        say_unmapped();
    return core.device->host_mappable;
}

static void set_mapped(bool can_map)
{
    lock_acquire(&core.lock);
    core.mapped = core.device->host_mappable = can_map;
    rings_publish(&core.blocks);
    lock_release(&core.lock);
}

void core_residency(bool can_map)
{
    bool is_late;

    if (!core_active() || core_places() || core.options->residency == RESIDENCY_STRICT ||
        !options_have_blocks(core.options) || core.mapped == can_map)
        return;
    mover_take(); /* nothing leaves meanwhile */
    if (can_map)
        recycler_trim(&core.slabs, UINT64_MAX); /* those cannot be mapped */
    lock_acquire(&core.lock);
    is_late = core.host_budget.class_bytes[HOST_TIER] || core.host_budget.idle_bytes;
    lock_release(&core.lock);
    if (!can_map || !is_late)
        set_mapped(can_map);
    mover_give();
    if (!can_map)
        say_unmapped();
}

void residency_prove(unsigned ordinal)
{
    uint64_t item;
    int error;

    if (!core.mapped || !core.device->try_host || core.devices[ordinal].reaches_host ||
        recycler_take(&core.slabs, GRANULE_BYTES, 0, &item))
        return;
    error = core.device->try_host(core.device, ordinal, &slab_of(item)->memory);
    recycler_discard(&core.slabs, GRANULE_BYTES, item); /* idle it would only take room in the budget */
    core.devices[ordinal].reaches_host = !error;
    if (error != -EBADMSG)
        return; /* or it could not be tried: the next time */
    set_mapped(false);
    log_line(LOG_WARN,
             "device %u does not find in mapped host memory what is there: evicted blocks are unmapped from "
             "now on "
             "(EBBTIDE_RESIDENCY)",
             ordinal);
}
