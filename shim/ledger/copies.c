/* SPDX-License-Identifier: Apache-2.0 */
/* copies.c - see copies.h. */
#include "ledger/copies.h"

#include <stddef.h>

#include "ledger/state.h"
#include "tier/slot.h"

void chunk_drop_slot(struct chunk *chunk)
{
    if (chunk->slot == SLOT_NONE)
        return;
    slot_give(&core.disk, chunk->slot, chunk_bytes(chunk));
    chunk->slot = SLOT_NONE;
}

/* One copy less; under the lock. Returns the slab that is left over. */
static struct slab *take_one(uint32_t first, uint64_t *out_bytes)
{
    chunks_each(g, &core.blocks, first) {
        struct chunk *chunk = &core.blocks.chunk[g];
        struct slab *slab = chunk->slab;

        if (chunk->state != CHUNK_RESIDENT || !chunk->copied)
            continue;
        chunk_drop_slot(chunk);
        chunk->slab = NULL;
        chunk->copied = false;
        core.blocks.object[first].copies--;
        *out_bytes = chunk_bytes(chunk);
        if (slab)
            return slab;
    }
    return NULL;
}

uint64_t copies_void(uint32_t first)
{
    uint64_t bytes, given = 0;
    struct slab *slab;
    bool alive;

    do {
        lock_acquire(&core.lock);
        alive = block_alive(&core.blocks.block[first]); /* who frees it gives all of it back */
        slab = alive && core.blocks.object[first].copies ? take_one(first, &bytes) : NULL;
        if (!slab && alive)
            block_publish(&core.blocks, first);
        lock_release(&core.lock);
        if (slab) {
            recycler_return(&core.slabs, bytes, (uintptr_t)slab);
            given += bytes;
        }
    } while (slab);
    return given;
}

/* Copies that the program answers for. */
static bool void_all(void)
{
    bool any = false;

    lock_acquire(&core.lock);
    blocks_each(g, &core.blocks) {
        if (!block_alive(&core.blocks.block[g]) || !core.blocks.object[g].copies)
            continue;
        lock_release(&core.lock);
        copies_void(g);
        any = true;
        lock_acquire(&core.lock);
    }
    lock_release(&core.lock);
    return any;
}

bool copies_reclaim_slots(void)
{
    bool any = false;

    lock_acquire(&core.lock);
    granules_each(g, &core.blocks) {
        struct chunk *chunk = &core.blocks.chunk[g];

        if (!owner_at(&core.blocks, g) ||
            (chunk->state != CHUNK_RESIDENT && (chunk->state != CHUNK_HOST || !chunk->mapped)) ||
            chunk->slot == SLOT_NONE || chunk->copied)
            continue;
        chunk_drop_slot(chunk);
        any = true;
    }
    lock_release(&core.lock);
    return any || void_all();
}
