/* SPDX-License-Identifier: Apache-2.0 */
/* relocate.c - blocks behind the program's own handles lie where it maps them. See core.h. */
#include <errno.h>

#include "engine/allocate.h"
#include "engine/core.h"
#include "engine/mover.h"
#include "engine/remap.h"
#include "engine/restore.h"
#include "ledger/copies.h"
#include "ledger/state.h"

enum {
    PIECES_AT_ONCE = 64
};

int core_addresses_take(uint64_t bytes, uint64_t at, uint64_t *out_address)
{
    uint64_t granules = (bytes + GRANULE_BYTES - 1) / GRANULE_BYTES;
    uint32_t first = address_granule(&core.blocks, at);
    int error;

    if (!core_active() || core_places())
        return -ENOTSUP;
    if (granules > core.blocks.granules)
        return -ENOMEM;
    lock_acquire(&core.lock);
    error = at ? extent_take_at(&core.blocks.arena, first, (uint32_t)granules)
               : extent_take(&core.blocks.arena, (uint32_t)granules, &first);
    core.blocks.lent += error ? 0 : (uint32_t)granules;
    lock_release(&core.lock);
    if (!error)
        *out_address = granule_address(&core.blocks, first);
    return error;
}

bool core_addresses_lent(uint64_t address)
{
    return address - core_arena.base < core_arena.bytes && !core_places();
}

void core_addresses_give(uint64_t address, uint64_t bytes)
{
    uint32_t granules = (uint32_t)((bytes + GRANULE_BYTES - 1) / GRANULE_BYTES);

    lock_acquire(&core.lock);
    extent_give(&core.blocks.arena, address_granule(&core.blocks, address), granules);
    core.blocks.lent -= granules;
    lock_release(&core.lock);
}

void core_guest(uint64_t address, uint64_t bytes, bool is_there)
{
    for (uint64_t at = address; at - address < bytes; at += GRANULE_BYTES)
        atomic_store_explicit(&core.blocks.guest[address_granule(&core.blocks, at)], is_there,
                              memory_order_release);
}

/* What a chunk has at its address; 0: nothing. */
static uint64_t mapped_handle(const struct chunk *chunk)
{
    return chunk->handle ? chunk->handle : chunk->mapped ? chunk->slab->memory.handle : 0;
}

/* Unmap again, at the place of a block's chunk `granule` seen from `at`, those before `end` that have something mapped. */
static void pieces_unmap(uint32_t first, uint32_t end, uint32_t at)
{
    for (uint32_t g = first; g < end; g += core.blocks.chunk[g].granules)
        if (mapped_handle(&core.blocks.chunk[g]))
            backing_unmap(granule_address(&core.blocks, at + (g - first)),
                          chunk_bytes(&core.blocks.chunk[g]));
}

/* Map what the chunks from `*granule` on have at `at` as well, as many as one list holds. 0: they are; else none of these is. */
static int pieces_map_some(uint32_t first, uint32_t end, uint32_t at, uint32_t *granule)
{
    struct remap piece[PIECES_AT_ONCE];
    uint32_t count = 0, g = *granule;
    int error = 0;

    for (; g < end && count < PIECES_AT_ONCE; g += core.blocks.chunk[g].granules)
        if (mapped_handle(&core.blocks.chunk[g]))
            piece[count++] = (struct remap){.address = granule_address(&core.blocks, at + (g - first)),
                                            .bytes = chunk_bytes(&core.blocks.chunk[g]),
                                            .new = mapped_handle(&core.blocks.chunk[g])};
    backing_replace(core.blocks.block[first].ordinal, piece, count);
    for (uint32_t i = 0; i < count; i++)
        error = piece[i].result ? piece[i].result : error;
    for (uint32_t i = 0; error && i < count; i++)
        if (!piece[i].result)
            backing_unmap(piece[i].address, piece[i].bytes);
    if (!error)
        *granule = g;
    return error;
}

/* Map what the chunks have at `at` as well. 0; -ENOMEM or -EIO: nothing more is mapped there. */
static int pieces_map(uint32_t first, uint32_t at)
{
    uint32_t end = first + core.blocks.block[first].granules, granule = first;
    int error = 0;

    while (!error && granule < end)
        error = pieces_map_some(first, end, at, &granule);
    if (error)
        pieces_unmap(first, granule, at);
    return error == -ENOMEM ? error : error ? -EIO : 0;
}

/* Unmap the chunks where they are, since they are mapped elsewhere, too. One that cannot be is mapped again as it was with all
 * before it. */
static int pieces_leave(uint32_t first)
{
    uint32_t end = first + core.blocks.block[first].granules, g = first;

    for (; g < end; g += core.blocks.chunk[g].granules)
        if (mapped_handle(&core.blocks.chunk[g]) &&
            backing_unmap(granule_address(&core.blocks, g), chunk_bytes(&core.blocks.chunk[g])) < 0)
            break;
    if (g >= end)
        return 0;
    for (uint32_t back = first; back < g; back += core.blocks.chunk[back].granules)
        if (mapped_handle(&core.blocks.chunk[back]))
            backing_map(core.blocks.block[first].ordinal, granule_address(&core.blocks, back),
                        chunk_bytes(&core.blocks.chunk[back]), mapped_handle(&core.blocks.chunk[back]));
    return -EIO;
}

/* The records go along; core.lock held. What others hold by an address that is the program's no more is no reason to stay. */
static void records_move(uint32_t from, uint32_t to, uint32_t range)
{
    static const enum pin_reason lasting[] = {PIN_EXPORTED, PIN_REGISTERED, PIN_ALIAS};
    struct blocks *blocks = &core.blocks;
    struct block *old = &blocks->block[from], *new = &blocks->block[to];

    block_begin(new, old);
    new->returned = old->returned;
    new->share = old->share;
    for (unsigned i = 0; i < sizeof(lasting) / sizeof(*lasting); i++)
        new->pins[lasting[i]] = old->pins[lasting[i]];
    for (uint32_t g = from, next; g < from + old->granules; g = next) {
        next = g + blocks->chunk[g].granules;
        blocks->chunk[to + (g - from)] = blocks->chunk[g];
        blocks->chunk[g] = (struct chunk){.slot = SLOT_NONE, .granules = next - g};
    }
    atomic_store_explicit(&blocks->stamp[from], 0, memory_order_relaxed);
    for (uint32_t i = 0; i < old->granules; i++)
        atomic_store_explicit(&blocks->owner[from + i], 0, memory_order_release);
    ring_leave(blocks, from);
    old->id = 0;
    old->flags = 0;
    old->is_handle = false;
    new->id = atomic_fetch_add(&blocks->last_id, 1) + 1;
    if (range != BLOCK_NONE)
        ring_join(blocks, to, range);
    block_publish(blocks, to);
    atomic_store_explicit(&blocks->stamp[to], core_stamp(), memory_order_relaxed);
    share_update(to);
}

/* Nothing of what the program has said goes along, so it ends first, as by ebb_unpin and ebb_unregister. */
static void words_end(uint32_t first)
{
    struct block *block = &core.blocks.block[first];

    if (!(block->flags & BLOCK_REGISTERED) && !block->pins[PIN_API])
        return;
    copies_void(first);
    lock_acquire(&core.lock);
    block->flags &= (uint16_t)~BLOCK_REGISTERED;
    block->pins[PIN_API] = 0;
    share_update(first);
    core.blocks.object[first] = (struct object){0};
    lock_release(&core.lock);
}

/* What is unmapped is mapped before somebody may know an address of it, or the program's word for it has gone. */
static int make_reachable(uint32_t first)
{
    bool is_named = core.blocks.block[first].flags & BLOCK_REGISTERED;
    int error = 0;

    if ((core.mapped || is_named) && owner_entry(&core.blocks, first) & OWNER_GONE) {
        atomic_fetch_add(&core.blocks.block[first].launch_pins, 1);
        error = restore_blocks(&first, 1) < 0 ? -ENOMEM : 0;
        atomic_fetch_sub(&core.blocks.block[first].launch_pins, 1);
        core_tell_change();
    }
    return error;
}

/* The role held. */
static int relocate(uint32_t from, uint32_t to, uint32_t range)
{
    int error = make_reachable(from);

    if (!error)
        error = pieces_map(from, to);
    if (error)
        return error;
    error = pieces_leave(from);
    if (error) {
        pieces_unmap(from, from + core.blocks.block[from].granules, to);
        return error;
    }
    words_end(from);
    lock_acquire(&core.lock);
    records_move(from, to, range);
    lock_release(&core.lock);
    return 0;
}

/* The block of a handle that begins at an address. */
static bool find(uint64_t address, uint32_t *out_first)
{
    const struct block *block =
        core_active() && core_owns(address)
            ? blocks_at(&core.blocks, address_granule(&core.blocks, address), out_first)
            : NULL;

    return block && block->is_handle && granule_address(&core.blocks, *out_first) == address;
}

int core_relocate(uint64_t from, uint64_t to, uint64_t range)
{
    uint32_t first;
    int error = -ENOENT;

    if (!find(from, &first))
        return -ENOENT;
    core_change_begin();
    mover_take();
    error = relocate(first, address_granule(&core.blocks, to),
                     range ? address_granule(&core.blocks, range) : BLOCK_NONE);
    mover_give();
    core_change_end();
    return error;
}

void core_free_handle(uint64_t address)
{
    uint32_t first;

    if (find(address, &first))
        free_at_rest(first, core.blocks.block[first].id);
}

int core_map_alias(uint64_t address, uint64_t also)
{
    uint32_t first;
    int error;

    if (!find(address, &first))
        return -ENOENT;
    error = core_pin(address, PIN_ALIAS);
    if (error)
        return error == -ENOMEM ? error : -EIO;
    chunks_each(g, &core.blocks, first) {
        const struct chunk *chunk = &core.blocks.chunk[g];
        uint64_t offset = (g - first) * GRANULE_BYTES;

        error = core.device->map(core.device, also + offset, chunk_bytes(chunk), chunk->handle);
        if (error && offset)
            backing_unmap(also, offset);
        if (error)
            break;
    }
    if (error)
        core_unpin(address, PIN_ALIAS);
    return error;
}

int core_unmap_alias(uint64_t address, uint64_t also)
{
    uint32_t first;
    int error = 0;

    if (!find(address, &first))
        return -ENOENT;
    chunks_each(g, &core.blocks, first)
        if (!error)
            error = backing_unmap(also + (g - first) * GRANULE_BYTES, chunk_bytes(&core.blocks.chunk[g]));
    if (!error)
        core_unpin(address, PIN_ALIAS);
    return error ? -EIO : 0;
}
