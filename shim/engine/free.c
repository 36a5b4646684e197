/* SPDX-License-Identifier: Apache-2.0 */
/*
 * free.c - freeing a block. See core.h.
 *
 * A free is over for the program when its device is at rest, as with the driver's own. The memory is unmapped only
 * then; when the device does not come to rest (work that waits for the program, an open capture, a failing driver) the
 * block waits, dead.
 */
#include <errno.h>
#include <stddef.h>

#include "base/compiler.h"
#include "base/log.h"
#include "engine/allocate.h"
#include "engine/core.h"
#include "engine/drain.h"
#include "engine/gate.h"
#include "engine/mover.h"
#include "engine/recording.h"
#include "engine/remap.h"
#include "engine/reservation.h"
#include "engine/restore.h"
#include "engine/small.h"
#include "ledger/headroom.h"
#include "ledger/state.h"
#include "tier/slot.h"

/* Under the lock: any chunk between two tiers? */
static bool in_motion(uint32_t first)
{
    const uint32_t moving = CHUNKS_UNMAPPED(CHUNK_LEAVING) | CHUNKS_UNMAPPED(CHUNK_SPILLING) |
                            CHUNKS_UNMAPPED(CHUNK_RETURNING) | CHUNKS_UNMAPPED(CHUNK_UNMAPPING);

    chunks_each(g, &core.blocks, first)
        if (moving >> core.blocks.chunk[g].state & 1)
            return true;
    return false;
}

/* Take all that a chunk has out of it, in one step: who looks at it later finds nothing to give back once more. */
static struct chunk chunk_empty(uint32_t first, uint32_t granule)
{
    struct chunk *chunk = &core.blocks.chunk[granule], was;
    const struct block *block = &core.blocks.block[first];

    lock_acquire(&core.lock);
    was = *chunk;
    if (was.state != CHUNK_RESIDENT) {
        core.devices[block->ordinal].away_bytes -= chunk_bytes(&was);
        if (!was.mapped && !(block->flags & BLOCK_REGISTERED))
            atomic_fetch_sub(&core.attention, 1);
    }
    core.blocks.object[first].copies -= was.copied;
    chunk_move(chunk, CHUNK_NONE);
    *chunk = (struct chunk){.slot = SLOT_NONE, .granules = was.granules};
    lock_release(&core.lock);
    return was;
}

/* Unmap a chunk and give back all it has. False: its address cannot be used again. */
static bool chunk_release(uint32_t first, uint32_t granule)
{
    const struct block *block = &core.blocks.block[first];
    const struct chunk was = chunk_empty(first, granule);
    uint64_t bytes = chunk_bytes(&was);
    bool mapped = was.handle || was.mapped || was.state == CHUNK_BROKEN;
    bool clean = !mapped || backing_unmap(granule_address(&core.blocks, granule), bytes) == 0;

    clean = clean || was.state == CHUNK_BROKEN;
    if (was.slot != SLOT_NONE)
        slot_give(&core.disk, was.slot, bytes);
    if (was.handle && clean && !block_let_in(block))
        recycler_return(&core.devices[block->ordinal].handles, bytes, was.handle);
    else if (was.handle)
        recycler_discard(&core.devices[block->ordinal].handles, bytes, was.handle);
    if (was.slab)
        recycler_return(&core.slabs, bytes, (uintptr_t)was.slab);
    return clean;
}

void block_forget(uint32_t first)
{
    struct block *block = &core.blocks.block[first];

    if (block->flags & (BLOCK_REGISTERED | BLOCK_DRAWN))
        core.blocks.object[first] = (struct object){0};
    kind_block_gone(block);
    recording_freed(first);
    block->id = 0;
    block->flags = 0;
    block->is_bin = false;
    block->is_handle = false;
    core.blocks.alive--;
    pthread_cond_broadcast(&core.changed);
}

/* The device is at rest: give back everything of a dead block. */
static void block_release(uint32_t first)
{
    uint32_t granules = core.blocks.block[first].granules;
    uint64_t context = core.blocks.block[first].context;
    bool kept, clean = true;

    if (restore_stream_any()) { /* it may be among them */
        mover_take();
        mover_give();
    }
    lock_acquire(&core.lock);
    while (in_motion(first) || core.scanning)
        lock_wait(&core.changed, &core.lock);
    kept = idle_keep(first);
    if (kept)
        block_forget(first); /* at once: it may have its next owner as soon as the lock is open */
    lock_release(&core.lock);
    if (kept)
        return;
    for (uint32_t g = first, next; g < first + granules; g = next) {
        next = g + core.blocks.chunk[g].granules;
        clean = chunk_release(first, g) && clean;
    }
    lock_acquire(&core.lock);
    block_forget(first);
    lock_release(&core.lock);
    if (clean)
        address_give(context, first, granules);
}

/* Under the lock: does the block, or a part of it, wait for the device to be at rest? */
static bool block_waits(uint32_t first)
{
    const struct block *block = &core.blocks.block[first];

    return block->flags & BLOCK_DEFERRED || (block->is_bin && bin_waits(first));
}

/* True if anything dead waits for the device to be at rest. */
static bool deferred_on(unsigned ordinal)
{
    bool any = false;

    lock_acquire(&core.lock);
    blocks_each(g, &core.blocks)
        any = any || (core.blocks.block[g].ordinal == ordinal && block_waits(g));
    lock_release(&core.lock);
    return any;
}

/* Under the lock: take a deferred block out of those that wait. False: it is none. */
static bool undefer(uint32_t first)
{
    struct block *block = &core.blocks.block[first];
    bool is_deferred = block->id && block->flags & BLOCK_DEFERRED;

    if (is_deferred) {
        block->flags &= (uint16_t)~BLOCK_DEFERRED;
        core.deferred--;
    }
    return is_deferred;
}

/* Give back the small allocations in a bin that waited. True: there was any. */
static bool release_cells(uint32_t first)
{
    uint64_t address, id;
    bool any = false;

    while (bin_undefer(first, &address, &id)) {
        core.deferred--;
        small_release(address, id);
        any = true;
    }
    return any;
}

/* Wait for whoever reaches the device's memory, as a free of the driver's own would, but not for ever. */
static int quiesce(unsigned ordinal, uint64_t limit_ms)
{
    return drain_wait(core.device->reachers(core.device, ordinal), limit_ms);
}

/* The device is at rest: give back what waited for that. True: there was any. */
static bool release_deferred(unsigned ordinal)
{
    bool any = false;

    granules_each(first, &core.blocks) {
        bool mine, has_cells;

        if (!core.deferred)
            break;
        lock_acquire(&core.lock);
        has_cells = core.blocks.block[first].ordinal == ordinal && block_waits(first);
        mine = core.blocks.block[first].ordinal == ordinal && undefer(first);
        lock_release(&core.lock);
        if (mine)
            block_release(first);
        else if (has_cells)
            has_cells = release_cells(first);
        any = any || mine || has_cells;
    }
    return any;
}

bool free_deferred(uint64_t limit_ms)
{
    bool any = false;

    for (unsigned i = 0; core.deferred && i < core.device->count; i++)
        if (deferred_on(i) && quiesce(i, limit_ms) == 0)
            any = release_deferred(i) || any;
    return any;
}

/* Take a block out of every table that uses look at, with more flags of the dead. False: somebody else has freed it. */
static bool block_bury(uint32_t first, uint64_t id, uint16_t flags)
{
    struct block *block = &core.blocks.block[first];
    struct bin_closed closed = {0};
    bool mine;

    lock_acquire(&core.lock);
    mine = block->id == id && !(block->flags & BLOCK_DEAD);
    if (mine) {
        block->flags |= BLOCK_DEAD | flags;
        kind_block_freed(block);
        if (flags & BLOCK_ORDERED)
            atomic_fetch_add(&core.devices[block->ordinal].ordered_bytes, block->granules * GRANULE_BYTES);
        atomic_store_explicit(&core.blocks.stamp[first], 0, memory_order_relaxed);
        for (uint32_t i = 0; i < block->granules; i++)
            atomic_store_explicit(&core.blocks.owner[first + i], 0, memory_order_release);
        share_update(first);
        if (block->flags & BLOCK_DRAWN)
            reservation_forget(first);
        if (block->is_bin && bin_close(first, &closed))
            core.deferred -= closed.deferred;
    }
    lock_release(&core.lock);
    bin_dispose(&closed);
    return mine;
}

void free_at_rest(uint32_t first, uint64_t id)
{
    if (!block_bury(first, id, 0))
        return;
    core_change_begin();
    block_release(first);
    core_change_end();
}

/* Under the lock: a dead block waits for its device to be at rest. */
static void defer(uint32_t first)
{
    core.blocks.block[first].flags |= BLOCK_DEFERRED;
    core.deferred++;
}

static void block_free(uint32_t first)
{
    unsigned ordinal = core.blocks.block[first].ordinal;

    core_change_begin();
    if (quiesce(ordinal, core.options->drain_ms) == 0) {
        block_release(first);
        if (UNLIKELY(core.deferred))
            release_deferred(ordinal);
    } else {
        lock_acquire(&core.lock);
        defer(first);
        lock_release(&core.lock);
    }
    core_change_end();
}

/* What is too small for a block of its own. */
static int small_free(unsigned ordinal, uint64_t address)
{
    uint64_t id;
    int error = small_bury(address, false, &id);

    if (error)
        return error;
    if (quiesce(ordinal, core.options->drain_ms) < 0) {
        small_defer(address, id);
        return 0;
    }
    small_release(address, id);
    if (UNLIKELY(core.deferred))
        release_deferred(ordinal);
    return 0;
}

/* The block that starts at an address is freed by the program. 0, -ENOENT, -EINVAL; -ENOTSUP: small allocations share it. What is
 * behind a handle is not freed by its address. */
static int bury_at(uint64_t address, uint16_t flags, uint32_t *out_first, uint64_t *out_id)
{
    const struct block *block;

    if (!core_owns(address))
        return -ENOENT;
    block = blocks_at(&core.blocks, address_granule(&core.blocks, address), out_first);
    if (!block || block->is_handle)
        return -EINVAL;
    if (block->is_bin)
        return -ENOTSUP;
    *out_id = block->id;
    if (granule_address(&core.blocks, *out_first) != address || !block_bury(*out_first, *out_id, flags))
        return -EINVAL;
    return 0;
}

int core_free(uint64_t address)
{
    uint32_t first;
    uint64_t id;
    int error = bury_at(address, 0, &first, &id);

    if (error == -ENOTSUP)
        return small_free(core.blocks.block[first].ordinal, address);
    if (!error)
        block_free(first);
    return error;
}

/* ---- in the order of a stream -------------------------------------------------------------------------------- */

int core_free_ordered(uint64_t address, uint64_t *out_id)
{
    uint32_t first;
    uint64_t id;
    int error = core_places() ? -ENODEV : bury_at(address, BLOCK_ORDERED, &first, &id);

    if (error == -ENOTSUP)
        error = small_bury(address, true, &id);
    if (!error)
        *out_id = id;
    return error == -ENODEV ? -ENOTSUP : error;
}

bool ordered_end(uint32_t first, uint64_t id)
{
    struct block *block = &core.blocks.block[first];
    bool is_ordered = block->id == id && block->flags & BLOCK_ORDERED;

    if (is_ordered) {
        block->flags &= (uint16_t)~BLOCK_ORDERED;
        atomic_fetch_sub(&core.devices[block->ordinal].ordered_bytes, block->granules * GRANULE_BYTES);
    }
    return is_ordered;
}

uint64_t core_give_ordered(uint64_t address, uint64_t id)
{
    uint32_t first;
    uint64_t bytes = 0;
    bool mine;

    if (!core_active())
        return 0;
    if (small_unorder(address, id))
        return small_release(address, id);
    first = address_granule(&core.blocks, address);
    lock_acquire(&core.lock);
    mine = ordered_end(first, id);
    if (mine)
        bytes = chunks_bytes(&core.blocks, first, CHUNKS(CHUNK_RESIDENT));
    lock_release(&core.lock);
    if (!mine)
        return 0;
    core_change_begin();
    block_release(first);
    core_change_end();
    return bytes;
}

uint64_t ordered_give(unsigned ordinal, uint64_t bytes)
{
    const struct device_state *device = &core.devices[ordinal];

    if (!(atomic_load(&device->ordered_bytes) || atomic_load(&device->bins.ordered)) ||
        !core.device->give_ordered || gate_inside())
        return 0;
    return core.device->give_ordered(core.device, ordinal, bytes);
}

void core_defer_ordered(uint64_t address, uint64_t id)
{
    uint32_t first;

    if (!core_active())
        return;
    if (small_unorder(address, id)) {
        small_defer(address, id);
        return;
    }
    first = address_granule(&core.blocks, address);
    lock_acquire(&core.lock);
    if (ordered_end(first, id))
        defer(first);
    lock_release(&core.lock);
}

void ordered_defer(void)
{
    lock_acquire(&core.lock);
    blocks_each(first, &core.blocks) {
        const struct block *block = &core.blocks.block[first];

        if (ordered_end(first, block->id))
            defer(first);
        else if (block->is_bin)
            core.deferred += bin_defer_ordered(first);
    }
    lock_release(&core.lock);
}

/* ---- with its context ----------------------------------------------------------------------------------------- */

void core_context_gone(uint64_t context)
{
    if (!core_active())
        return;
    mover_take();
    granules_each(g, &core.blocks) {
        const struct block *block = &core.blocks.block[g];
        uint64_t id;

        lock_acquire(&core.lock);
        id = block->context == context ? block->id : 0;
        lock_release(&core.lock);
        if (id && block_bury(g, id, 0))
            block_free(g);
    }
    mover_give();
    for (unsigned i = 0; i < core.device->count; i++)
        bin_home_leave(i, context);
}

/* The block's memory leaves the ledger, as if it had been given back. */
static void write_off(uint32_t first)
{
    const struct block *block = &core.blocks.block[first];

    chunks_each(g, &core.blocks, first) {
        const struct chunk was = chunk_empty(first, g);

        if (was.slot != SLOT_NONE)
            slot_give(&core.disk, was.slot, chunk_bytes(&was));
        lock_acquire(&core.lock);
        if (was.handle)
            budget_credit(&core.devices[block->ordinal].budget, CLASS_BLOCK, chunk_bytes(&was));
        if (was.slab)
            budget_credit(&core.host_budget, HOST_TIER, chunk_bytes(&was));
        lock_release(&core.lock);
    }
}

/* Under the lock: take a block that waits, or a bin all of which does, out of those that do. */
static bool undefer_whole(uint32_t first)
{
    struct block *block = &core.blocks.block[first];
    struct bin_closed closed;

    if (undefer(first))
        return true;
    if (!block->id || !block->is_bin || !bin_close_deferred(first, &closed))
        return false;
    core.deferred -= closed.deferred; /* the memory of its cells goes with the process */
    return true;
}

void free_write_off(void)
{
    granules_each(g, &core.blocks) {
        bool mine;

        lock_acquire(&core.lock);
        mine = undefer_whole(g);
        lock_release(&core.lock);
        if (mine)
            write_off(g);
    }
}
