/* SPDX-License-Identifier: Apache-2.0 */
/* pause_restore.c - mapped host to device. See pause_step.h. */
#include "engine/pause_step.h"

#include <errno.h>
#include <stddef.h>

#include "engine/allocate.h"
#include "engine/remap.h"
#include "ledger/busy.h"
#include "ledger/headroom.h"

/* Under the lock: the chunks that come back, marked RETURNING: a free waits for them. */
static uint32_t plan_restore(const struct pause_plan *plan)
{
    uint32_t most = plan->restore_one ? 1 : PAUSE_STEP_MAX, count = 0;

    lock_acquire(&core.lock);
    for (uint32_t i = 0; i < plan->restore_count; i++) {
        uint32_t first = plan->restore[i];

        if (!block_alive(&core.blocks.block[first]) || core.blocks.block[first].ordinal != plan->ordinal)
            continue;
        chunks_each(g, &core.blocks, first) {
            struct chunk *chunk = &core.blocks.chunk[g];

            if (chunk->state != CHUNK_HOST || !chunk->mapped || count == most)
                continue;
            chunk_move(chunk, CHUNK_RETURNING);
            pause_steps[count++] =
                (struct step){.first = first, .granule = g, .slab = (uintptr_t)chunk->slab};
        }
    }
    lock_release(&core.lock);
    return count;
}

static int replace(const struct step *step, uint64_t from, uint64_t to)
{
    return backing_replace(step_ordinal(step), step_address(step), step_bytes(step), from, to);
}

/* Device memory at the chunk's address, being filled. Kernels are stopped: nobody sees it empty. */
static void start(struct step *step)
{
    uint64_t host_handle = step_slab(step)->memory.handle;

    step->result = allocate_take(step_ordinal(step), step_bytes(step), 0, &step->handle);
    if (step->result) {
        step->handle = 0;
        return;
    }
    step->result = chunk_verify(step_chunk(step), step_address(step));
    if (!step->result)
        step->result = replace(step, host_handle, step->handle);
    if (step->result)
        return;
    step_submit(step, TIER_HOST, TIER_DEVICE, step_address(step), SLOT_NONE);
    if (step->result)
        step->result = -EAGAIN; /* replaced, not copied */
}

/* The copy failed: the slab, which has the bytes, is mapped again. */
static void undo_failed(struct step *step)
{
    if ((step->submitted ? step->result : step->result == -EAGAIN) &&
        replace(step, step->handle, step_slab(step)->memory.handle) < 0)
        step->result = -EFAULT;
}

/* Under the lock: the chunk's new state. Its slab is left over, or the device memory that was taken in vain. */
static bool settle(struct step *step)
{
    struct chunk *chunk = step_chunk(step);
    struct block *block = &core.blocks.block[step->first];

    if (step->result) {
        step->slab = 0;
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
    chunk->handle = step->handle;
    chunk->slab = NULL;
    chunk->mapped = false;
    step->handle = 0;
    chunk_move(chunk, CHUNK_RESIDENT);
    core.devices[block->ordinal].away_bytes -= chunk_bytes(chunk);
    block_publish(&core.blocks, step->first);
    block_returned(step->first);
    share_moved(step->first, (int64_t)chunk_bytes(chunk));
    host_share_block(step->first);
    counters_add(&core.counters.restores, 1);
    return true;
}

uint64_t pause_restore(const struct pause_plan *plan)
{
    uint32_t count = plan->restore_count ? plan_restore(plan) : 0;
    uint64_t since_ns = core_now();

    for (uint32_t i = 0; i < count; i++)
        start(&pause_steps[i]);
    steps_wait(pause_steps, count);
    steps_count(MOVE_HOST_TO_DEVICE, pause_steps, count, since_ns);
    for (uint32_t i = 0; i < count; i++)
        undo_failed(&pause_steps[i]);
    return steps_commit(pause_steps, count, settle);
}
