/* SPDX-License-Identifier: Apache-2.0 */
/* block.c - see block.h. */
#include "ledger/block.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/pages.h"
#include "ledger/bin.h"
#include "ledger/state.h"

int blocks_init(struct blocks *blocks, uint64_t base, uint64_t bytes)
{
    struct blocks made = {.base = base, .bytes = bytes, .granules = (uint32_t)(bytes / GRANULE_BYTES)};

    assert(bytes / GRANULE_BYTES < OWNER_MATES - 1);
    made.owner = pages_reserve(made.granules * sizeof(*made.owner));
    made.stamp = pages_reserve((made.granules + UINT64_C(1)) * sizeof(*made.stamp));
    made.stamp += made.stamp != NULL;
    made.block = pages_reserve(made.granules * sizeof(*made.block));
    made.chunk = pages_reserve(made.granules * sizeof(*made.chunk));
    made.object = pages_reserve(made.granules * sizeof(*made.object));
    made.bin = pages_reserve(made.granules * sizeof(*made.bin));
    made.guest = pages_reserve(made.granules * sizeof(*made.guest));
    if (!made.owner || !made.stamp || !made.block || !made.chunk || !made.object || !made.bin ||
        !made.guest) {
        blocks_finish(&made);
        return -ENOMEM;
    }
    *blocks = made;
    return 0;
}

void blocks_finish(struct blocks *blocks)
{
    pages_give((void *)blocks->owner, blocks->granules * sizeof(*blocks->owner));
    pages_give((void *)(blocks->stamp - (blocks->stamp != NULL)),
               (blocks->granules + UINT64_C(1)) * sizeof(*blocks->stamp));
    pages_give(blocks->block, blocks->granules * sizeof(*blocks->block));
    pages_give(blocks->object, blocks->granules * sizeof(*blocks->object));
    pages_give(blocks->bin, blocks->granules * sizeof(*blocks->bin));
    pages_give(blocks->chunk, blocks->granules * sizeof(*blocks->chunk));
    pages_give((void *)blocks->guest, blocks->granules * sizeof(*blocks->guest));
    *blocks = (struct blocks){0};
}

void block_begin(struct block *block, const struct block *fresh)
{
    block->id = 0;
    block->bytes = fresh->bytes;
    block->context = fresh->context;
    block->call_site = fresh->call_site;
    block->granules = fresh->granules;
    block->chunk_granules = fresh->chunk_granules;
    block->returned = 0;
    memset(block->pins, 0, sizeof(block->pins));
    block->stage = 0;
    block->priority = 0;
    block->ordinal = fresh->ordinal;
    block->flags = fresh->flags;
    block->is_bin = fresh->is_bin;
    block->is_handle = fresh->is_handle;
}

#define FROM(state) (1u << (state))

/* Row: the state entered; bits: the states it may be entered from. Only asserted. */
__attribute__((unused)) static const uint32_t chunk_from[CHUNK_STATE_COUNT] = {
    [CHUNK_NONE] =
        FROM(CHUNK_RESIDENT) | FROM(CHUNK_HOST) | FROM(CHUNK_DISK) | FROM(CHUNK_BROKEN) | FROM(CHUNK_IDLE),
    [CHUNK_RESIDENT] = FROM(CHUNK_NONE) | FROM(CHUNK_LEAVING) | FROM(CHUNK_RETURNING) | FROM(CHUNK_IDLE),
    [CHUNK_LEAVING] = FROM(CHUNK_RESIDENT),
    [CHUNK_HOST] = FROM(CHUNK_NONE) | FROM(CHUNK_LEAVING) | FROM(CHUNK_SPILLING) | FROM(CHUNK_RETURNING) |
                   FROM(CHUNK_UNMAPPING),
    [CHUNK_SPILLING] = FROM(CHUNK_HOST),
    [CHUNK_DISK] = FROM(CHUNK_LEAVING) | FROM(CHUNK_SPILLING) | FROM(CHUNK_RETURNING),
    [CHUNK_RETURNING] = FROM(CHUNK_HOST) | FROM(CHUNK_DISK),
    [CHUNK_UNMAPPING] = FROM(CHUNK_HOST) | FROM(CHUNK_BROKEN),
    [CHUNK_BROKEN] = FROM(CHUNK_NONE) | FROM(CHUNK_LEAVING) | FROM(CHUNK_RETURNING),
    [CHUNK_IDLE] = FROM(CHUNK_RESIDENT),
};
#undef FROM

void chunk_move(struct chunk *chunk, enum chunk_state to)
{
    assert(chunk_from[to] & (1u << chunk->state));
    chunk->state = (uint8_t)to;
}

uint64_t chunks_bytes(const struct blocks *blocks, uint32_t first, uint32_t set)
{
    uint64_t granules = 0;

    chunks_each(g, blocks, first)
        granules += chunk_in(&blocks->chunk[g], set) ? blocks->chunk[g].granules : 0;
    return granules * GRANULE_BYTES;
}

uint32_t blocks_next(const struct blocks *blocks, uint32_t granule)
{
    uint32_t low = extent_low(&blocks->arena), high = extent_high(&blocks->arena);

    for (uint32_t first = granule > low ? granule : low; first < high; first++)
        if (blocks->block[first].id)
            return first;
    return BLOCK_NONE;
}

/* What the owner entry of a block says of itself. */
static uint32_t own_flags(const struct blocks *blocks, uint32_t first)
{
    const struct block *block = &blocks->block[first];
    uint32_t flags = 0;

    chunks_each(granule, blocks, first) {
        const struct chunk *chunk = &blocks->chunk[granule];

        if (chunk->state == CHUNK_RESIDENT || chunk->state == CHUNK_LEAVING)
            continue;
        flags |= chunk->mapped ? OWNER_AWAY : OWNER_AWAY | OWNER_GONE;
    }
    /* While it is pinned the program answers for what is written. */
    if (block->flags & BLOCK_REGISTERED && blocks->object[first].copies && !block->pins[PIN_API])
        flags |= OWNER_COPIED;
    return flags;
}

static void set_entry(struct blocks *blocks, uint32_t first, uint32_t entry)
{
    if (atomic_load_explicit(&blocks->owner[first], memory_order_relaxed) == entry)
        return;
    for (uint32_t i = 0; i < blocks->block[first].granules; i++)
        atomic_store_explicit(&blocks->owner[first + i], entry, memory_order_release);
}

/* The blocks of a ring, each with what it has to know of the others. */
static void ring_publish(struct blocks *blocks, uint32_t range)
{
    uint32_t head = blocks->block[range].ring, at = head - 1, gone = 0;

    if (!head)
        return;
    do {
        gone += (own_flags(blocks, at) & OWNER_GONE) != 0;
        at = blocks->block[at].mate;
    } while (at != head - 1);
    do {
        uint32_t flags = own_flags(blocks, at);

        if (!core.mapped && gone > ((flags & OWNER_GONE) != 0))
            flags |= OWNER_MATES;
        set_entry(blocks, at, (at + 1) | flags);
        at = blocks->block[at].mate;
    } while (at != head - 1);
}

void block_publish(struct blocks *blocks, uint32_t first)
{
    const struct block *block = &blocks->block[first];

    if (block->flags & BLOCK_DEAD) /* freed while a chunk of it moved: nobody may find it any more */
        return;
    if (block->range && !core.mapped)
        ring_publish(blocks, block->range - 1);
    else
        set_entry(blocks, first, (first + 1) | own_flags(blocks, first));
}

void ring_join(struct blocks *blocks, uint32_t first, uint32_t range)
{
    struct block *block = &blocks->block[first];
    uint32_t *head = &blocks->block[range].ring;

    block->range = range + 1;
    block->mate = first;
    if (*head) {
        block->mate = blocks->block[*head - 1].mate;
        blocks->block[*head - 1].mate = first;
    } else {
        *head = first + 1;
    }
}

void ring_leave(struct blocks *blocks, uint32_t first)
{
    struct block *block = &blocks->block[first];
    uint32_t range = block->range - 1, before = block->mate;

    if (!block->range)
        return;
    while (blocks->block[before].mate != first)
        before = blocks->block[before].mate;
    blocks->block[before].mate = block->mate;
    blocks->block[range].ring = before == first ? 0 : before + 1;
    block->range = 0;
    if (!core.mapped)
        ring_publish(blocks, range);
}

void rings_publish(struct blocks *blocks)
{
    blocks_each(first, blocks)
        if (blocks->block[first].range && !(blocks->block[first].flags & BLOCK_DEAD))
            ring_publish(blocks, blocks->block[first].range - 1);
}

/* ---- where blocks lie: in the arena, or where the driver places memory whose pages it moves itself ----- */

bool core_has_block(uint64_t address)
{
    return owner_at(&core.blocks, address_granule(&core.blocks, address)) != 0;
}

static int take_placed(const struct block *fresh, uint32_t *out_first)
{
    struct device *device = core.device;
    uint64_t bytes = fresh->granules * GRANULE_BYTES, address;
    int error = device->place(device, fresh->ordinal, fresh->context, bytes, &address);

    if (error)
        return error;
    if (!blocks_own(&core.blocks, address) || !blocks_own(&core.blocks, address + bytes - 1)) {
        device->unplace(device, fresh->context, address, bytes);
        return -ENOMEM;
    }
    *out_first = address_granule(&core.blocks, address);
    lock_acquire(&core.lock);
    extent_cover(&core.blocks.arena, *out_first, fresh->granules);
    lock_release(&core.lock);
    return 0;
}

int address_take(const struct block *fresh, uint32_t *out_first)
{
    int error;

    if (core_places())
        return take_placed(fresh, out_first);
    lock_acquire(&core.lock);
    error = extent_take(&core.blocks.arena, fresh->granules, out_first);
    lock_release(&core.lock);
    return error;
}

void address_give(uint64_t context, uint32_t first, uint32_t granules)
{
    if (core_places()) {
        core.device->unplace(core.device, context, granule_address(&core.blocks, first),
                             granules * GRANULE_BYTES);
        return;
    }
    lock_acquire(&core.lock);
    extent_give(&core.blocks.arena, first, granules);
    lock_release(&core.lock);
}
