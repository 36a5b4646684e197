/* SPDX-License-Identifier: Apache-2.0 */
/* pause_unmap.c - mapped host to unmapped host. See pause_steps.h. */
#include "engine/pause_steps.h"

#include "engine/pause.h"
#include "engine/pause_step.h"
#include "engine/pick.h"
#include "ledger/headroom.h"

static uint64_t mapped_bytes(uint32_t first, void *arg)
{
    const struct eligible *eligible = arg;
    const struct block *block = &core.blocks.block[first];

    if (!block_alive(block) || !pause_step_meant(eligible->pause, first) || block_in_launch(first) ||
        block_pinned(block) || !movable_may_unmap(first, eligible->proven))
        return 0;
    return chunks_bytes(&core.blocks, first, CHUNKS_MAPPED(CHUNK_HOST));
}

/* Under the lock: the chunks that are unmapped, marked UNMAPPING: a free waits for them. */
static uint32_t plan_unmap(const struct pause *pause, bool proven)
{
    struct eligible eligible = {pause, proven};
    uint32_t count = 0, blocks;
    const uint32_t *list;

    lock_acquire(&core.lock);
    blocks = pick_blocks(pause->unmap_bytes, pause->newest, mapped_bytes, &eligible, &list);
    for (uint32_t i = 0; i < blocks; i++)
        chunks_each(g, &core.blocks, list[i]) {
            struct chunk *chunk = &core.blocks.chunk[g];

            if (chunk->state != CHUNK_HOST || !chunk->mapped || count == PAUSE_STEP_MAX)
                continue;
            chunk_move(chunk, CHUNK_UNMAPPING);
            pause_steps[count++] = (struct pause_step){.first = list[i], .granule = g};
        }
    lock_release(&core.lock);
    return count;
}

/* Under the lock: the chunk's new state. Returns its bytes when it is unmapped now. */
static uint64_t unmap_commit(const struct pause_step *step)
{
    struct chunk *chunk = pause_step_chunk(step);

    chunk_move(chunk, CHUNK_HOST);
    if (step->result)
        return 0;
    if (chunk->slot_epoch != gate_writes())
        chunk_drop_slot(chunk);
    chunk->mapped = false;
    if (!(core.blocks.block[step->first].flags & BLOCK_REGISTERED))
        atomic_fetch_add(&core.away_unproven, 1);
    block_publish(&core.blocks, step->first);
    return chunk_bytes(chunk);
}

uint64_t pause_unmap(const struct pause *pause, bool proven)
{
    uint32_t count = plan_unmap(pause, proven);
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < count; i++)
        pause_steps[i].result =
            core.device->unmap(core.device, granule_address(&core.blocks, pause_steps[i].granule),
                               chunk_bytes(pause_step_chunk(&pause_steps[i])));
    lock_acquire(&core.lock);
    for (uint32_t i = 0; i < count; i++)
        bytes += unmap_commit(&pause_steps[i]);
    pthread_cond_broadcast(&core.changed);
    lock_release(&core.lock);
    return bytes;
}
