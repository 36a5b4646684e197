/* SPDX-License-Identifier: Apache-2.0 */
/* charge.c - memory that is no block: charged, credited, told. See core.h. */
#include <errno.h>

#include "base/log.h"
#include "engine/allocate.h"
#include "engine/callbacks.h"
#include "engine/core.h"
#include "engine/drain.h"
#include "engine/managed.h"
#include "engine/mover.h"
#include "engine/refusal.h"
#include "engine/spill.h"
#include "ledger/headroom.h"
#include "ledger/limit.h"
#include "ledger/live.h"
#include "ledger/shrink.h"
#include "ledger/state.h"

static int charge(struct budget *budget, unsigned class, uint64_t bytes, uint64_t keep_free_bytes)
{
    int error;

    lock_acquire(&core.lock);
    error = budget_charge(budget, class, bytes, keep_free_bytes);
    lock_release(&core.lock);
    return error;
}

static void credit(struct budget *budget, unsigned class, uint64_t bytes)
{
    lock_acquire(&core.lock);
    budget_credit(budget, class, bytes);
    lock_release(&core.lock);
}

/* Past the limit if need be. */
static void force(struct budget *budget, unsigned class, uint64_t bytes)
{
    lock_acquire(&core.lock);
    budget_force(budget, class, bytes);
    lock_release(&core.lock);
}

/* Over the limit, and said where EBBTIDE_ON_FULL=allow is why. */
static void charge_over(struct budget *budget, unsigned class, uint64_t bytes)
{
    force(budget, class, bytes);
    if (core.options->on_full != ON_FULL_ALLOW)
        return;
    log_line(LOG_WARN, "over the budget by an allocation of %llu bytes, as EBBTIDE_ON_FULL=allow asks",
             (unsigned long long)bytes);
}

/* Idle memory first, then blocks. */
static int charge_with_room(unsigned ordinal, enum device_class class, uint64_t bytes)
{
    struct device_state *device = &core.devices[ordinal];
    int error;

    for (unsigned tries = 0;; tries++) {
        error = charge(&device->budget, class, bytes, headroom_device_keep(ordinal));
        if (error == 0 || tries == 3)
            return error;
        if (idle_trim(ordinal, bytes, headroom_device_keep(ordinal)) || limit_refresh(ordinal))
            continue;
        if (core_capturing())
            return error;
        mover_take();
        error = mover_make_room(ordinal, bytes, 0);
        mover_give();
        if (error < 0)
            return -ENOMEM;
        idle_trim(ordinal, bytes, headroom_device_keep(ordinal));
    }
}

int core_charge_quietly(unsigned ordinal, enum device_class class, uint64_t bytes)
{
    if (!core_active() || ordinal >= core.device->count || !bytes)
        return 0;
    limit_ready(ordinal);
    if (managed_floats(ordinal, class))
        return 0;
    if (charge_with_room(ordinal, class, bytes) < 0)
        return -ENOMEM;
    live_changed();
    return 0;
}

struct request {
    unsigned ordinal;
    enum device_class class;
    uint64_t bytes;
};

static int attempt(void *arg)
{
    const struct request *request = arg;

    return core_charge_quietly(request->ordinal, request->class, request->bytes) < 0 ? -ENOSPC : 0;
}

int core_charge(unsigned ordinal, enum device_class class, uint64_t bytes)
{
    struct request request = {ordinal, class, bytes};
    uint64_t outer;
    int error;

    if (!core_active() || ordinal >= core.device->count)
        return 0;
    outer = drain_patience_begin();
    error = room_try((int)ordinal, bytes, attempt, &request);
    drain_patience_end(outer);
    if (!error)
        return 0;
    if (refusal_is_waived()) {
        charge_over(&core.devices[ordinal].budget, class, bytes);
        live_changed();
        return 0;
    }
    refusal_device(ordinal, bytes, "allocation");
    return -ENOMEM;
}

void core_charge_held(unsigned ordinal, enum device_class class, uint64_t bytes)
{
    if (!core_active() || ordinal >= core.device->count || !bytes)
        return;
    limit_ready(ordinal);
    if (!managed_floats(ordinal, class) && charge_with_room(ordinal, class, bytes))
        force(&core.devices[ordinal].budget, class, bytes);
    live_changed();
}

void core_credit(unsigned ordinal, enum device_class class, uint64_t bytes)
{
    if (!core_active() || ordinal >= core.device->count || !bytes)
        return;
    if (!managed_floats(ordinal, class))
        credit(&core.devices[ordinal].budget, class, bytes);
    limit_freed(ordinal);
    live_changed();
}

int core_host_charge(enum host_class class, uint64_t bytes)
{
    int error;

    if (!core_host_active() || !bytes)
        return 0;
    error = charge(&core.host_budget, class, bytes, headroom_host_staging());
    if (error < 0 && (limit_refresh_host() || (shrinker && shrinker->give_back())))
        error = charge(&core.host_budget, class, bytes, headroom_host_staging());
    if (error < 0 && recycler_trim(&core.slabs, bytes + headroom_host_staging()))
        error = charge(&core.host_budget, class, bytes, headroom_host_staging());
    if (error < 0) {
        mover_take();
        spill_make_room(bytes + headroom_host_staging());
        mover_give();
        recycler_trim(&core.slabs, bytes + headroom_host_staging());
        error = charge(&core.host_budget, class, bytes, headroom_host_staging());
    }
    if (error < 0 && refusal_is_waived()) {
        charge_over(&core.host_budget, class, bytes);
        error = 0;
    }
    if (error < 0)
        core_host_refused(bytes, "pinned allocation");
    live_changed();
    return error;
}

int core_host_try(enum host_class class, uint64_t bytes, uint64_t *out_room_bytes)
{
    uint64_t keep_bytes = headroom_host_staging();
    int error;

    *out_room_bytes = UINT64_MAX;
    if (!core_host_active())
        return 0;
    lock_acquire(&core.lock);
    error = budget_charge(&core.host_budget, class, bytes, keep_bytes);
    *out_room_bytes = budget_room(&core.host_budget, keep_bytes);
    lock_release(&core.lock);
    return error;
}

void core_host_credit(enum host_class class, uint64_t bytes)
{
    if (core_host_active() && bytes)
        credit(&core.host_budget, class, bytes);
}

void core_host_force(enum host_class class, uint64_t bytes)
{
    if (core_host_active() && bytes)
        force(&core.host_budget, class, bytes);
}

uint64_t core_relieve(unsigned ordinal, uint64_t bytes)
{
    uint64_t given;

    if (!core_active() || ordinal >= core.device->count)
        return 0;
    idle_drop(ordinal, bytes);
    if (ordered_give(ordinal, bytes))
        idle_drop(ordinal, bytes);
    given = recycler_trim(&core.devices[ordinal].handles, bytes);
    if (given >= bytes)
        return given;
    mover_take();
    mover_evict((struct pause_plan){.ordinal = ordinal, .evict_bytes = bytes - given});
    mover_give();
    idle_drop(ordinal, bytes - given);
    return given + recycler_trim(&core.devices[ordinal].handles, bytes - given);
}

bool core_memory(unsigned ordinal, uint64_t *out_free_bytes, uint64_t *out_total_bytes)
{
    struct device_state *device = &core.devices[ordinal];
    uint64_t free_bytes, total_bytes, managed_bytes;

    limit_ready(ordinal);
    if (device->configured_bytes != BUDGET_NO_LIMIT) {
        managed_bytes = core_managed_on(ordinal);
        *out_free_bytes = shares_over(headroom_device_lent(ordinal), managed_bytes);
        *out_total_bytes = device->configured_bytes;
        return true;
    }
    if (core.device->memory(core.device, ordinal, &free_bytes, &total_bytes) < 0)
        return false;
    lock_acquire(&core.lock);
    *out_free_bytes = free_bytes + device->budget.idle_bytes;
    lock_release(&core.lock);
    *out_total_bytes = total_bytes;
    return false;
}
