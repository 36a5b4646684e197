/* SPDX-License-Identifier: Apache-2.0 */
/* freed_blocks.c - freed blocks that stay mapped, and what is made of them. See allocate.h. */
#include "engine/allocate.h"

#include <errno.h>

#include "engine/remap.h"
#include "engine/reservation.h"
#include "ledger/copies.h"
#include "ledger/headroom.h"
#include "ledger/limit.h"
#include "ledger/state.h"

/* Unmap one chunk for good. Its handle is left to the caller, 0 when it must not be used again. */
static uint64_t chunk_dismantle(uint32_t granule)
{
    struct chunk *chunk = &core.blocks.chunk[granule];
    bool mapped = chunk->handle || chunk->mapped || chunk->state == CHUNK_BROKEN;

    if (mapped && backing_unmap(granule_address(&core.blocks, granule), chunk_bytes(chunk)) < 0)
        return 0;
    return chunk->handle;
}

/* Is the next one in one chunk? */
static bool idle_is_whole(unsigned ordinal, unsigned granules)
{
    const struct idle_blocks *idle = &core.devices[ordinal].idle_blocks;

    return idle->count[granules] &&
           core.blocks.block[idle->first[granules][idle->count[granules] - 1]].chunk_granules >= granules;
}

static uint32_t idle_pop(unsigned ordinal, unsigned granules, bool *out_found)
{
    struct idle_blocks *idle = &core.devices[ordinal].idle_blocks;
    uint32_t first = 0;

    *out_found = idle->count[granules] != 0;
    if (*out_found)
        first = idle->first[granules][--idle->count[granules]];
    return first;
}

/* Give up one idle block of the largest size. Returns its bytes. */
static uint64_t drop_one(unsigned ordinal)
{
    struct device_state *device = &core.devices[ordinal];
    unsigned granules = IDLE_GRANULES_MAX;
    bool found = false, clean = true;
    uint32_t first = 0;

    lock_acquire(&core.lock);
    for (; granules && !found; granules -= !found)
        first = idle_pop(ordinal, granules, &found);
    if (found)
        budget_unpack_idle(&device->budget, CLASS_BLOCK, granules * GRANULE_BYTES);
    lock_release(&core.lock);
    if (!found)
        return 0;
    for (uint32_t g = first, next; g < first + granules; g = next) {
        struct chunk *chunk = &core.blocks.chunk[g];
        uint64_t bytes = chunk_bytes(chunk), handle = chunk_dismantle(g);

        next = g + chunk->granules;
        if (handle)
            recycler_return(&device->handles, bytes, handle);
        else
            recycler_discard(&device->handles, bytes, chunk->handle);
        clean = clean && handle;
        lock_acquire(&core.lock);
        chunk_move(chunk, CHUNK_NONE);
        chunk->handle = 0;
        lock_release(&core.lock);
    }
    if (clean)
        address_give(0, first, granules);
    return granules * GRANULE_BYTES;
}

uint64_t idle_drop(unsigned ordinal, uint64_t bytes)
{
    uint64_t dropped = 0, one;

    while (dropped < bytes && (one = drop_one(ordinal)))
        dropped += one;
    return dropped;
}

/* Bytes that the budget lacks for `bytes` more. */
static uint64_t lacking(unsigned ordinal, uint64_t bytes, uint64_t keep_free_bytes)
{
    const struct budget *budget = &core.devices[ordinal].budget;
    uint64_t lacking;

    lock_acquire(&core.lock);
    lacking = shares_over(bytes, budget_room(budget, keep_free_bytes));
    if (lacking && budget_held(budget) + keep_free_bytes > budget->limit_bytes)
        lacking += budget_held(budget) + keep_free_bytes - budget->limit_bytes;
    lock_release(&core.lock);
    return lacking;
}

bool idle_trim(unsigned ordinal, uint64_t bytes, uint64_t keep_free_bytes)
{
    uint64_t lack, given;
    bool any = false;

    while ((lack = lacking(ordinal, bytes, keep_free_bytes))) {
        given = recycler_trim(&core.devices[ordinal].handles, lack);
        any = any || given;
        if (given < lack && !idle_drop(ordinal, lack - given) && !ordered_give(ordinal, lack - given))
            break;
    }
    return any;
}

/* A pool takes apart what was freed before it grows. */
static void recycle_first(unsigned ordinal, uint64_t bytes)
{
    if (core.options->allocator == ALLOCATOR_POOL && !recycler_count(&core.devices[ordinal].handles, bytes))
        idle_drop(ordinal, bytes);
}

int allocate_take(unsigned ordinal, uint64_t bytes, uint64_t keep_free_bytes, uint64_t *out_handle)
{
    bool is_doubted = true; /* what the driver refuses once it may have all the same */
    uint64_t drawn;
    int error;

    recycle_first(ordinal, bytes);
    lock_acquire(&core.lock);
    keep_free_bytes += limit_beyond_pool(ordinal);
    drawn = reservation_draw(bytes);
    lock_release(&core.lock);
    while ((error = recycler_take_drawn(&core.devices[ordinal].handles, bytes, drawn, keep_free_bytes,
                                        out_handle)) < 0) {
        bool again = idle_drop(ordinal, bytes) || ordered_give(ordinal, bytes) ||
                     (error == -ENOSPC ? limit_refresh(ordinal) : is_doubted);

        is_doubted = is_doubted && error == -ENOSPC;
        if (!again)
            break;
    }
    if (error && drawn)
        reservation_undraw(ordinal, drawn);
    if (error == -ENOMEM)
        limit_full(ordinal);
    return error;
}

bool idle_take_block(const struct block *fresh, uint64_t keep_bytes, uint32_t *out_first)
{
    struct budget *budget = &core.devices[fresh->ordinal].budget;
    uint64_t bytes = fresh->granules * GRANULE_BYTES;
    struct block *block;
    uint32_t chunk_granules;
    bool found = false;

    if (fresh->granules <= IDLE_GRANULES_MAX &&
        (!(fresh->flags & BLOCK_WHOLE) || idle_is_whole(fresh->ordinal, fresh->granules)) &&
        budget_may_use(budget, bytes - reservation_drawable(bytes),
                       keep_bytes + limit_beyond_pool(fresh->ordinal)))
        *out_first = idle_pop(fresh->ordinal, fresh->granules, &found);
    if (!found)
        return false;
    budget_credit(budget, CLASS_RESERVED, reservation_draw(bytes));
    budget_from_idle(budget, CLASS_BLOCK, bytes);
    block = &core.blocks.block[*out_first];
    chunk_granules = block->chunk_granules; /* of the block that was freed: its chunks are as they were */
    block_begin(block, fresh);
    block->chunk_granules = chunk_granules;
    return true;
}

/* A pool keeps all that it ever had. */
static uint64_t idle_most(const struct device_state *device)
{
    return core.options->allocator == ALLOCATOR_POOL ? device->pool_bytes : device->configured_bytes / 4;
}

bool idle_keep(uint32_t first)
{
    struct block *block = &core.blocks.block[first];
    struct device_state *device = &core.devices[block->ordinal];
    struct idle_blocks *idle = &device->idle_blocks;
    uint64_t bytes = block->granules * GRANULE_BYTES;

    if (core_places() || block_let_in(block) || block->granules > IDLE_GRANULES_MAX ||
        idle->count[block->granules] == 64 || device->budget.idle_bytes + bytes > idle_most(device) ||
        !atomic_load(&core.active) || core.blocks.object[first].copies)
        return false;
    chunks_each(g, &core.blocks, first)
        if (core.blocks.chunk[g].state != CHUNK_RESIDENT)
            return false;
    chunks_each(g, &core.blocks, first) {
        chunk_drop_slot(&core.blocks.chunk[g]);
        chunk_move(&core.blocks.chunk[g], CHUNK_IDLE);
    }
    budget_to_idle(&device->budget, CLASS_BLOCK, bytes);
    idle->first[block->granules][idle->count[block->granules]++] = first;
    return true;
}
