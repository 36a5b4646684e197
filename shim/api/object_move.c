/* SPDX-License-Identifier: Apache-2.0 */
/* object_move.c - objects that are moved by hand, and how soon they leave. See object.h. */
#include <stddef.h>

#include "api/object.h"
#include "engine/callbacks.h"
#include "engine/mover.h"
#include "engine/object_state.h"
#include "engine/restore.h"
#include "engine/share_settle.h"
#include "engine/spill.h"
#include "ledger/limit.h"
#include "policy/policies.h"

int object_prefetch(uint64_t address)
{
    uint32_t first;
    int error;

    if (pressure_callback_asking())
        return -EDEADLK;
    mover_take();
    error = object_lock(address, &first);
    if (!error) {
        object_stamp(first);
        error = share_has_place(first) ? 0 : -ENOSPC;
        lock_release(&core.lock);
        if (!error)
            error = object_bring(first);
        if (!error)
            share_settle(core.blocks.block[first].ordinal, first);
    }
    mover_give();
    return error;
}

long object_evict(uint64_t address, int tier)
{
    uint32_t first;
    long moved;

    mover_take();
    moved = object_lock(address, &first);
    if (!moved) {
        moved = object_pins(first) ? -EBUSY : 0;
        lock_release(&core.lock);
    }
    if (!moved)
        moved = (long)mover_send(first, tier == EBB_TIER_DISK);
    mover_give();
    return moved;
}

long object_evict_any(unsigned ordinal, uint64_t bytes, int tier)
{
    uint64_t most, moved;

    limit_ready(ordinal);
    mover_take();
    most = tier == EBB_TIER_DISK ? core.host_budget.class_bytes[HOST_TIER] : 0;
    moved = mover_evict((struct pause_plan){.ordinal = ordinal,
                                            .evict_bytes = bytes < INT64_MAX ? bytes : INT64_MAX,
                                            .only_registered = true,
                                            .waiter = DRAIN_NEED});
    if (tier == EBB_TIER_DISK) {
        most += moved;
        spill_make_room(bytes < most ? bytes : most);
    }
    mover_give();
    return (long)moved;
}

int object_set_stage(uint64_t address, int stage)
{
    uint32_t first;

    if (stage < 0 || stage > STAGE_MAX)
        return -EINVAL;
    if (object_at(address, &first) < 0)
        return -ENOENT;
    lock_acquire(&core.lock);
    core.blocks.block[first].stage = (uint16_t)stage;
    lock_release(&core.lock);
    return 0;
}

int object_set_priority(uint64_t address, int priority)
{
    uint32_t first;

    if (priority < PRIORITY_MIN || priority > PRIORITY_MAX)
        return -EINVAL;
    if (object_at(address, &first) < 0)
        return -ENOENT;
    lock_acquire(&core.lock);
    core.blocks.block[first].priority = (int8_t)priority;
    core.is_ranked = core.is_ranked || priority;
    lock_release(&core.lock);
    return 0;
}
