/* SPDX-License-Identifier: Apache-2.0 */
/* pause_restore.c - mapped host to device. See pause_steps.h. */
#include "engine/pause_steps.h"

#include <errno.h>
#include <stddef.h>

#include "engine/allocate.h"
#include "engine/pause.h"
#include "engine/pause_step.h"
#include "engine/remap.h"
#include "ledger/headroom.h"

static uint32_t plan_restore(const struct pause *pause)
{
    uint64_t most_bytes = pause->restore_bytes ? pause->restore_bytes : UINT64_MAX, bytes = 0;
    uint32_t count = 0;

    lock_acquire(&core.lock);
    for (uint32_t i = 0; i < pause->restore_count; i++) {
        uint32_t first = pause->restore[i];

        if (!block_alive(&core.blocks.block[first]) || core.blocks.block[first].ordinal != pause->ordinal)
            continue;
        chunks_each(g, &core.blocks, first) {
            struct chunk *chunk = &core.blocks.chunk[g];

            if (chunk->state != CHUNK_HOST || !chunk->mapped || count == PAUSE_STEP_MAX ||
                bytes >= most_bytes)
                continue;
            chunk_move(chunk, CHUNK_RETURNING);
            bytes += chunk_bytes(chunk);
            pause_steps[count++] = (struct pause_step){.first = first, .granule = g};
        }
    }
    lock_release(&core.lock);
    return count;
}

static void restore_replace(struct pause_step *step)
{
    struct chunk *chunk = pause_step_chunk(step);
    unsigned ordinal = core.blocks.block[step->first].ordinal;

    step->result = allocate_take(ordinal, chunk_bytes(chunk), 0, &step->item);
    if (step->result)
        return;
    step->result = chunk_verify(chunk, granule_address(&core.blocks, step->granule));
    if (!step->result)
        step->result = backing_replace(ordinal, granule_address(&core.blocks, step->granule),
                                       chunk_bytes(chunk), chunk->slab->memory.handle, step->item);
    if (!step->result)
        pause_step_copy(step, TIER_HOST, TIER_DEVICE, chunk->slab);
    else
        return;
    if (step->result)
        step->result = -EAGAIN; /* swapped, not copied: swap back */
}

static void restore_settle(struct pause_step *step)
{
    struct chunk *chunk = pause_step_chunk(step);

    if (!step->copied && step->result != -EAGAIN)
        return;
    if (step->result &&
        backing_replace(core.blocks.block[step->first].ordinal, granule_address(&core.blocks, step->granule),
                        chunk_bytes(chunk), step->item, chunk->slab->memory.handle) < 0)
        step->result = -EFAULT;
}

/* Under the lock. True: the slab is left over; false: the handle is. */
static bool restore_commit(struct pause_step *step)
{
    struct chunk *chunk = pause_step_chunk(step);
    struct block *block = &core.blocks.block[step->first];

    if (step->result) {
        chunk_move(chunk, step->result == -EFAULT ? CHUNK_BROKEN : CHUNK_HOST);
        if (step->result == -EFAULT) {
            chunk->mapped = false;
            if (!(block->flags & BLOCK_REGISTERED))
                atomic_fetch_add(&core.away_unproven, 1);
            block_publish(&core.blocks, step->first);
        }
        host_share_block(step->first);
        return false;
    }
    chunk->handle = step->item;
    chunk->slab = NULL;
    chunk->mapped = false;
    chunk_move(chunk, CHUNK_RESIDENT);
    core.devices[block->ordinal].away_bytes -= chunk_bytes(chunk);
    block_publish(&core.blocks, step->first);
    block_returned(step->first);
    share_came(step->first, chunk_bytes(chunk));
    host_share_block(step->first);
    stats_add(&core.counters.restores, 1);
    return true;
}

uint64_t pause_restore(const struct pause *pause)
{
    uint32_t count = pause->restore_count ? plan_restore(pause) : 0;
    uint64_t since_ns = core_now(), bytes = 0;

    for (uint32_t i = 0; i < count; i++)
        restore_replace(&pause_steps[i]);
    pause_wait(pause_steps, count);
    pause_counted(MOVE_HOST_TO_DEVICE, pause_steps, count, since_ns);
    for (uint32_t i = 0; i < count; i++)
        restore_settle(&pause_steps[i]);
    for (uint32_t i = 0; i < count; i++) {
        struct pause_step *step = &pause_steps[i];
        uint64_t chunk = chunk_bytes(pause_step_chunk(step));
        struct slab *slab = pause_step_chunk(step)->slab;
        bool restored;

        lock_acquire(&core.lock);
        restored = restore_commit(step);
        pthread_cond_broadcast(&core.changed);
        lock_release(&core.lock);
        if (restored)
            recycler_return(&core.slabs, chunk, (uintptr_t)slab);
        else if (step->item && step->result == -EFAULT)
            recycler_discard(&core.devices[pause->ordinal].handles, chunk, step->item);
        else if (step->item)
            recycler_return(&core.devices[pause->ordinal].handles, chunk, step->item);
        bytes += restored ? chunk : 0;
    }
    return bytes;
}
