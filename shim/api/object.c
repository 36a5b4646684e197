/* SPDX-License-Identifier: Apache-2.0 */
/* object.c - see object.h. */
#include "api/object.h"

#include <stddef.h>
#include <string.h>

#include "base/log.h"
#include "engine/callbacks.h"
#include "engine/mover.h"
#include "engine/object_state.h"
#include "engine/restore.h"
#include "engine/spill.h"
#include "ledger/copies.h"
#include "ledger/limit.h"
#include "policy/policies.h"

uint64_t object_age_ns(uint64_t stamp)
{
    uint64_t now = core_stamp();

    return now > stamp && core.stamp_hz ? (uint64_t)((double)(now - stamp) * 1e9 / (double)core.stamp_hz) : 0;
}

/* Under the lock: what shares its block cannot leave by itself. */
static int begin_small(uint64_t address, uint32_t first)
{
    struct cell cell;
    uint64_t base;

    return bin_find(first, address, &base, &cell) && base == address ? -ENOTSUP : -EINVAL;
}

/* Under the lock and the role. */
static int begin(uint64_t address, uint64_t bytes, uint32_t *out_first)
{
    const struct block *block;

    if (object_at(address, out_first) < 0)
        return -EINVAL;
    block = &core.blocks.block[*out_first];
    if (block->is_bin)
        return begin_small(address, *out_first);
    if (object_registered(*out_first))
        return granule_address(&core.blocks, *out_first) == address &&
                       core.blocks.object[*out_first].bytes == bytes
                   ? -EEXIST
                   : -EINVAL;
    if (granule_address(&core.blocks, *out_first) != address || !bytes || bytes > block->bytes)
        return -EINVAL;
    return block->flags & BLOCK_FIXED ? -ENOTSUP : 0;
}

static void describe(struct object *object, uint64_t bytes, unsigned flags, const char *name)
{
    object->bytes = bytes;
    object->flags = flags & EBB_RELOADABLE ? OBJECT_RELOADABLE : 0;
    object->reload = NULL;
    log_print(object->name, sizeof(object->name), "%s", name ? name : "");
}

/* True when the budget would be over its high mark with so much more. */
static bool over_mark(const struct budget *budget, uint64_t more_bytes)
{
    const struct size_spec high = {.kind = SIZE_FRACTION, .ppm = core.options->high_ppm};
    bool over;

    lock_acquire(&core.lock);
    over = budget->limit_bytes != BUDGET_NO_LIMIT &&
           budget->used_bytes + more_bytes > size_resolve(&high, budget->limit_bytes);
    lock_release(&core.lock);
    return over;
}

/* A block that was just registered begins in the first tier whose ledger, the block included, is under its high mark
 * (BlazingSQL's CacheMachine): what enters a device that is nearly full goes on at once, and does not push others out.
 * Without a monitor there are no marks. Role held; what cannot go stays. */
static void place(uint32_t first)
{
    const struct block *block = &core.blocks.block[first];

    if (core.options->period_ms && over_mark(&core.devices[block->ordinal].budget, 0))
        mover_send(first, over_mark(&core.host_budget, block->granules * GRANULE_BYTES));
}

int object_register(uint64_t address, uint64_t bytes, unsigned flags, const char *name)
{
    uint32_t first;
    int error;

    mover_take();
    lock_acquire(&core.lock);
    error = begin(address, bytes, &first);
    if (!error) {
        chunks_each(g, &core.blocks, first)
            if (core.blocks.chunk[g].state != CHUNK_RESIDENT && !core.blocks.chunk[g].mapped)
                atomic_fetch_sub(&core.attention, 1);
        describe(&core.blocks.object[first], bytes, flags, name);
        core.blocks.block[first].flags |= BLOCK_REGISTERED;
        object_stamp(first);
        share_update(first);
        share_begin();
    }
    lock_release(&core.lock);
    if (!error)
        share_settle(core.blocks.block[first].ordinal, first);
    if (!error && flags & EBB_CACHEABLE)
        place(first);
    mover_give();
    return error;
}

int object_unregister(uint64_t address)
{
    struct block *block;
    uint32_t first;
    int error;

    mover_take();
    error = object_lock(address, &first);
    if (!error) {
        error = object_pins(first) ? -EBUSY : 0;
        lock_release(&core.lock);
    }
    if (!error) {
        object_hold(first);
        error = restore_blocks(&first, 1) < 0 ? -ENOMEM : 0;
        object_let_go(first);
    }
    if (!error) {
        copies_void(first);
        block = &core.blocks.block[first];
        lock_acquire(&core.lock);
        block->flags &= (uint16_t)~BLOCK_REGISTERED;
        core.blocks.object[first].reload = NULL;
        share_update(first);
        if (!(block->flags & BLOCK_DRAWN))
            core.blocks.object[first] = (struct object){0};
        lock_release(&core.lock);
    }
    mover_give();
    return error;
}

/* True if nobody but the program has some part of the block. core.lock held. */
static bool any_dropped(uint32_t first)
{
    chunks_each(g, &core.blocks, first)
        if (chunk_dropped(&core.blocks.chunk[g]))
            return true;
    return false;
}

int object_set_reload(uint64_t address, ebb_reload_fn fn, void *arg)
{
    struct object *object;
    uint32_t first;
    int error;

    mover_take();
    error = object_lock(address, &first);
    if (!error) {
        object = &core.blocks.object[first];
        error = !(object->flags & OBJECT_RELOADABLE) ? -EINVAL : !fn && any_dropped(first) ? -EBUSY : 0;
        if (!error) {
            object->reload = fn;
            object->reload_arg = arg;
        }
        lock_release(&core.lock);
    }
    if (!error) /* the program's own is the only copy from now on */
        copies_void(first);
    mover_give();
    return error;
}

/* Where its chunks are; under the lock. */
static void locate(uint32_t first, struct ebb_block_info *out)
{
    bool copied = true;

    out->tier = EBB_TIER_DEVICE;
    out->resident_bytes = share_resident(first);
    chunks_each(g, &core.blocks, first) {
        const struct chunk *chunk = &core.blocks.chunk[g];
        bool on_disk = chunk->state == CHUNK_DISK || (chunk->state == CHUNK_RETURNING && !chunk->slab);
        bool here = chunk->state == CHUNK_RESIDENT || chunk->state == CHUNK_LEAVING;

        copied = copied && (!here || chunk->copied);
        if (on_disk)
            out->tier = EBB_TIER_DISK;
        else if (!here && out->tier == EBB_TIER_DEVICE)
            out->tier = EBB_TIER_HOST;
    }
    out->dirty = !copied;
}

int object_query(uint64_t address, struct ebb_block_info *out)
{
    struct ebb_block_info info = {.struct_bytes = out->struct_bytes};
    const struct object *object;
    uint64_t stamp;
    uint32_t first;
    int error = object_lock(address, &first);

    if (error < 0)
        return error;
    object = &core.blocks.object[first];
    info.bytes = object->bytes;
    info.device = core.blocks.block[first].ordinal;
    info.pins = object_pins(first);
    info.saves = object->saves;
    info.priority = core.blocks.block[first].priority;
    info.stage = core.blocks.block[first].stage;
    memcpy(info.name, object->name, sizeof(info.name));
    locate(first, &info);
    stamp = atomic_load_explicit(&core.blocks.stamp[first], memory_order_relaxed);
    lock_release(&core.lock);
    info.last_use_ns = object_age_ns(stamp);
    *out = info;
    return 0;
}

/* ---- moved by hand, and how soon they leave ------------------------------------------------------------------------ */

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
