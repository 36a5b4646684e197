/* SPDX-License-Identifier: Apache-2.0 */
/* batch.c - see batch.h. */
#include "engine/batch.h"

#include <stddef.h>

#include "engine/foresight.h"
#include "ledger/busy.h"
#include "ledger/state.h"

/* The plan, for as long as it runs: the role's. */
static struct plan_block away[PLAN_BATCH_BLOCKS];
static uint32_t early[PLAN_BATCH_BLOCKS];

static bool is_wanted(const struct pause_plan *plan, uint32_t first)
{
    for (uint32_t i = 0; i < plan->restore_count; i++)
        if (plan->restore[i] == first)
            return true;
    return block_in_launch(first);
}

/* Under the lock: is all of it in mapped host memory, and nobody's affair? What the program registered comes back when it says
 * so, or uses it. */
static bool may_come(uint32_t first, void *arg)
{
    const struct block *block = &core.blocks.block[first];

    return !(block->flags & BLOCK_REGISTERED) && !is_wanted(arg, first) &&
           chunks_bytes(&core.blocks, first, CHUNKS_MAPPED(CHUNK_HOST)) == block->granules * GRANULE_BYTES;
}

/* Under the lock: bytes of what is wanted that come in this pause. */
static uint64_t wanted_bytes(const struct pause_plan *plan)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < plan->restore_count; i++)
        if (core.blocks.block[plan->restore[i]].ordinal == plan->ordinal)
            bytes += chunks_bytes(&core.blocks, plan->restore[i], CHUNKS_MAPPED(CHUNK_HOST));
    return bytes;
}

void batch_plan(struct pause_plan *plan, struct plan_block *leaving, size_t count, uint64_t room_bytes)
{
    uint64_t taken_bytes = wanted_bytes(plan);
    size_t away_count = 0;

    if (foresight_batches(plan->ordinal))
        away_count = foresight_list(plan->ordinal, may_come, plan, away);
    if (!away_count)
        return;
    plan_batch(away, away_count, leaving, count,
               room_bytes > taken_bytes ? (room_bytes - taken_bytes) / GRANULE_BYTES : 0,
               foresight_pause_bytes());
    for (size_t i = 0; i < away_count; i++)
        if (away[i].moves)
            early[plan->early_count++] = away[i].index;
    for (size_t i = 0; i < count; i++)
        plan->evict_bytes += leaving[i].moves * GRANULE_BYTES;
    plan->early = early;
    foresight_expect(early, plan->early_count);
}
