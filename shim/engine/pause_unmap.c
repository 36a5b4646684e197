/* SPDX-License-Identifier: Apache-2.0 */
/* pause_unmap.c - mapped host to unmapped host. See pause_step.h. */
#include "engine/gate.h"
#include "engine/pause_step.h"

#include "engine/pick.h"
#include "ledger/busy.h"
#include "ledger/copies.h"
#include "ledger/movable.h"

static uint64_t mapped_bytes(uint32_t first, void *arg)
{
    const struct pause_question *question = arg;
    const struct block *block = &core.blocks.block[first];

    if (!block_alive(block) || !pause_means(question->plan, first) || block_in_launch(first) ||
        block_pinned(block) || !movable_may_unmap(first, question->proven))
        return 0;
    return chunks_bytes(&core.blocks, first, CHUNKS_MAPPED(CHUNK_HOST));
}

/* Under the lock: the chunks that are unmapped, marked UNMAPPING: a free waits for them. */
static uint32_t plan_unmap(const struct pause_plan *plan, bool proven)
{
    struct pause_question question = {plan, proven};
    uint32_t count = 0, blocks;
    const uint32_t *list;

    lock_acquire(&core.lock);
    blocks = pick_blocks(plan->unmap_bytes, plan->newest, mapped_bytes, &question, &list);
    for (uint32_t i = 0; i < blocks; i++)
        chunks_each(g, &core.blocks, list[i]) {
            struct chunk *chunk = &core.blocks.chunk[g];

            if (chunk->state != CHUNK_HOST || !chunk->mapped || count == PAUSE_STEP_MAX)
                continue;
            chunk_move(chunk, CHUNK_UNMAPPING);
            pause_steps[count++] = (struct step){.first = list[i], .granule = g};
        }
    lock_release(&core.lock);
    return count;
}

/* Under the lock: the chunk's new state. */
static bool settle(struct step *step)
{
    struct chunk *chunk = step_chunk(step);

    chunk_move(chunk, CHUNK_HOST);
    if (step->result)
        return false;
    if (chunk->slot_epoch != gate_writes())
        chunk_drop_slot(chunk);
    chunk->mapped = false;
    if (!(core.blocks.block[step->first].flags & BLOCK_REGISTERED))
        atomic_fetch_add(&core.away_unproven, 1);
    block_publish(&core.blocks, step->first);
    return true;
}

uint64_t pause_unmap(const struct pause_plan *plan, bool proven)
{
    uint32_t count = plan_unmap(plan, proven);

    for (uint32_t i = 0; i < count; i++)
        pause_steps[i].result =
            core.device->unmap(core.device, step_address(&pause_steps[i]), step_bytes(&pause_steps[i]));
    return steps_commit(pause_steps, count, settle);
}
