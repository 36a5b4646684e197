/* SPDX-License-Identifier: Apache-2.0 */
/* steps_restore.c - mapped host to device. See steps.h. */
#include "engine/pause_steps.h"

#include <errno.h>
#include <stddef.h>

#include "engine/allocate.h"
#include "engine/pause.h"
#include "engine/pause_step.h"
#include "engine/remap.h"
#include "ledger/headroom.h"

static uint32_t plan_restore(const struct closure *closure)
{
    uint64_t most_bytes = closure->restore_bytes ? closure->restore_bytes : UINT64_MAX, bytes = 0;
    uint32_t count = 0;

    pthread_mutex_lock(&core.lock);
    for (uint32_t i = 0; i < closure->restore_count; i++) {
        uint32_t first = closure->restore[i];

        if (!block_alive(&core.blocks.block[first]) || core.blocks.block[first].ordinal != closure->ordinal)
            continue;
        for (uint32_t g = first, more = 1; more; more = g = chunk_next(&core.blocks, first, g)) {
            struct chunk *chunk = &core.blocks.chunk[g];

            if (chunk->state != CHUNK_HOST || !chunk->mapped || count == STEP_MAX || bytes >= most_bytes)
                continue;
            chunk_move(chunk, CHUNK_RETURNING);
            bytes += chunk_bytes(chunk);
            steps[count++] = (struct step){.first = first, .granule = g};
        }
    }
    pthread_mutex_unlock(&core.lock);
    return count;
}

static void restore_swap(struct step *step)
{
    struct chunk *chunk = step_chunk(step);
    unsigned ordinal = core.blocks.block[step->first].ordinal;

    step->result = allocate_take(ordinal, chunk_bytes(chunk), 0, &step->item);
    if (step->result)
        return;
    step->result = tier_verify(chunk, granule_address(&core.blocks, step->granule));
    if (!step->result)
        step->result = swap_backing(ordinal, granule_address(&core.blocks, step->granule), chunk_bytes(chunk),
                                    chunk->slab->memory.handle, step->item);
    if (!step->result)
        step_copy(step, TIER_HOST, TIER_DEVICE, chunk->slab);
    else
        return;
    if (step->result)
        step->result = -EAGAIN; /* swapped, not copied: swap back */
}

static void restore_settle(struct step *step)
{
    struct chunk *chunk = step_chunk(step);

    if (!step->copied && step->result != -EAGAIN)
        return;
    if (step->result &&
        swap_backing(core.blocks.block[step->first].ordinal, granule_address(&core.blocks, step->granule),
                     chunk_bytes(chunk), step->item, chunk->slab->memory.handle) < 0)
        step->result = -EFAULT;
}

/* Under the lock. True: the slab is left over; false: the handle is. */
static bool restore_commit(struct step *step)
{
    struct chunk *chunk = step_chunk(step);
    struct block *block = &core.blocks.block[step->first];

    if (step->result) {
        chunk_move(chunk, step->result == -EFAULT ? CHUNK_BROKEN : CHUNK_HOST);
        if (step->result == -EFAULT) {
            chunk->mapped = false;
            if (!(block->flags & BLOCK_REGISTERED))
                atomic_fetch_add(&core.away_unproven, 1);
            block_publish(&core.blocks, step->first);
        }
        host_area_block(step->first);
        return false;
    }
    chunk->handle = step->item;
    chunk->slab = NULL;
    chunk->mapped = false;
    chunk_move(chunk, CHUNK_RESIDENT);
    core.devices[block->ordinal].away_bytes -= chunk_bytes(chunk);
    block_publish(&core.blocks, step->first);
    block_returned(step->first);
    area_came(step->first, chunk_bytes(chunk));
    host_area_block(step->first);
    stats_add(&core.counters.restores, 1);
    return true;
}

uint64_t steps_restore(const struct closure *closure)
{
    uint32_t count = closure->restore_count ? plan_restore(closure) : 0;
    uint64_t since_ns = core_now(), bytes = 0;

    for (uint32_t i = 0; i < count; i++)
        restore_swap(&steps[i]);
    steps_wait(steps, count);
    steps_counted(MOVE_HOST_TO_DEVICE, steps, count, since_ns);
    for (uint32_t i = 0; i < count; i++)
        restore_settle(&steps[i]);
    for (uint32_t i = 0; i < count; i++) {
        struct step *step = &steps[i];
        uint64_t chunk = chunk_bytes(step_chunk(step));
        struct slab *slab = step_chunk(step)->slab;
        bool restored;

        pthread_mutex_lock(&core.lock);
        restored = restore_commit(step);
        pthread_cond_broadcast(&core.changed);
        pthread_mutex_unlock(&core.lock);
        if (restored)
            stock_return(&core.slabs, chunk, (uintptr_t)slab);
        else if (step->item && step->result == -EFAULT)
            stock_discard(&core.devices[closure->ordinal].handles, chunk, step->item);
        else if (step->item)
            stock_return(&core.devices[closure->ordinal].handles, chunk, step->item);
        bytes += restored ? chunk : 0;
    }
    return bytes;
}
