/* SPDX-License-Identifier: Apache-2.0 */
/* steps_unmap.c - mapped host to unmapped host. See steps.h. */
#include "steps.h"

#include "closure.h"
#include "pick.h"
#include "step.h"
#include "tier.h"

static uint64_t mapped_bytes(uint32_t first, void *arg)
{
    const struct eligible *eligible = arg;
    const struct block *block = &core.blocks.block[first];
    uint64_t bytes = 0;

    if (!block_alive(block) || !step_meant(eligible->closure, first) || block_in_launch(first) ||
        block_pinned(block) || !closure_may_unmap(first, eligible->proven))
        return 0;
    for (uint32_t g = first, more = 1; more; more = g = chunk_next(&core.blocks, first, g))
        if (core.blocks.chunk[g].state == CHUNK_HOST && core.blocks.chunk[g].mapped)
            bytes += chunk_bytes(&core.blocks.chunk[g]);
    return bytes;
}

/* One chunk: returns its bytes when it is unmapped now. */
static uint64_t unmap_chunk(uint32_t first, uint32_t granule)
{
    struct chunk *chunk = &core.blocks.chunk[granule];

    if (chunk->state != CHUNK_HOST || !chunk->mapped ||
        core.device->unmap(core.device, granule_address(&core.blocks, granule), chunk_bytes(chunk)) < 0)
        return 0;
    if (chunk->slot_epoch != gate_writes())
        tier_drop_slot(chunk);
    pthread_mutex_lock(&core.lock);
    chunk->mapped = false;
    if (!(core.blocks.block[first].flags & BLOCK_REGISTERED))
        atomic_fetch_add(&core.away_unproven, 1);
    block_publish(&core.blocks, first);
    pthread_mutex_unlock(&core.lock);
    return chunk_bytes(chunk);
}

uint64_t steps_unmap(const struct closure *closure, bool proven)
{
    struct eligible eligible = {closure, proven};
    uint64_t bytes = 0;
    const uint32_t *list;
    uint32_t count;

    pthread_mutex_lock(&core.lock);
    count = pick_blocks(closure->unmap_bytes, closure->newest, mapped_bytes, &eligible, &list);
    pthread_mutex_unlock(&core.lock);
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t g = list[i], more = 1; more; more = g = chunk_next(&core.blocks, list[i], g))
            bytes += unmap_chunk(list[i], g);
    return bytes;
}
