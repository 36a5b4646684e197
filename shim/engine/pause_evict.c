/* SPDX-License-Identifier: Apache-2.0 */
/* pause_evict.c - device to host. See pause_step.h. */
#include "engine/pause_step.h"

#include <errno.h>
#include <stddef.h>

#include "engine/gate.h"
#include "engine/pick.h"
#include "engine/remap.h"
#include "ledger/copies.h"
#include "ledger/movable.h"

static uint64_t resident_bytes(uint32_t first, void *arg)
{
    const struct pause_question *question = arg;

    if (core.blocks.block[first].ordinal != question->plan->ordinal || !pause_means(question->plan, first) ||
        !movable_may_evict(first, question->proven))
        return 0;
    return chunks_bytes(&core.blocks, first, CHUNKS(CHUNK_RESIDENT));
}

static uint32_t chunks_of(uint32_t first)
{
    const struct block *block = &core.blocks.block[first];

    return (block->granules + block->chunk_granules - 1) / block->chunk_granules;
}

/* A registered block leaves as a whole, unless it has more chunks than a batch has steps. */
static bool leaves_whole(const struct pause_plan *plan, uint32_t first)
{
    return !plan->in_parts && core.blocks.block[first].flags & BLOCK_REGISTERED &&
           chunks_of(first) <= PAUSE_STEP_MAX;
}

static bool stays_unmapped(uint32_t first, bool proven)
{
    if (!movable_may_unmap(first, proven))
        return false;
    return !core.mapped || core.blocks.block[first].flags & BLOCK_REGISTERED ||
           core.options->disk == DISK_ALWAYS || proven;
}

struct pause_estimate pause_evictable(const struct pause_plan *plan)
{
    struct pause_question question = {plan, true};
    struct pause_estimate estimate = {0};
    const uint32_t *list;
    uint32_t blocks;

    lock_acquire(&core.lock);
    blocks = pick_blocks(plan->evict_bytes, plan->newest, resident_bytes, &question, &list);
    for (uint32_t i = 0; i < blocks && estimate.bytes < plan->evict_bytes; i++) {
        uint64_t all = resident_bytes(list[i], &question), left = plan->evict_bytes - estimate.bytes;

        all = leaves_whole(plan, list[i]) || all < left ? all : left;
        estimate.bytes += all;
        if (!block_reloadable(&core.blocks, list[i]))
            estimate.save_bytes += all;
    }
    lock_release(&core.lock);
    return estimate;
}

/* Bytes of the chunk that are on disk or in host memory, too. */
static bool has_copy(uint32_t first, const struct chunk *chunk, uint64_t epoch, bool proven)
{
    if (core.blocks.block[first].flags & BLOCK_REGISTERED) /* the program's word counts, and nothing else */
        return chunk->copied || (block_reloadable(&core.blocks, first) && !core_places());
    return chunk->slot != SLOT_NONE && chunk->slot_epoch == epoch && movable_may_unmap(first, proven);
}

/* Of chunks of one block: is any of them saved? */
static void mark_saves(struct step *list, uint32_t count)
{
    bool saves = false;

    for (uint32_t i = 0; i < count; i++)
        saves = saves || !list[i].clean;
    for (uint32_t i = 0; i < count; i++)
        list[i].saves = saves;
}

/* Under the lock: the chunks that leave, marked LEAVING. */
static uint32_t plan_evict(const struct pause_plan *plan, bool proven)
{
    struct pause_question question = {plan, proven};
    uint64_t epoch = gate_writes(), bytes = 0;
    const uint32_t *list;
    uint32_t count = 0, blocks;

    lock_acquire(&core.lock);
    blocks = pick_blocks(plan->evict_bytes, plan->newest, resident_bytes, &question, &list);
    for (uint32_t i = 0; i < blocks; i++) {
        uint32_t first = list[i], planned = count;
        bool whole = leaves_whole(plan, first);

        if (bytes >= plan->evict_bytes || (whole && count + chunks_of(first) > PAUSE_STEP_MAX))
            break;
        chunks_each(g, &core.blocks, first) {
            struct chunk *chunk = &core.blocks.chunk[g];

            if (chunk->state != CHUNK_RESIDENT || (bytes >= plan->evict_bytes && !whole) ||
                count == PAUSE_STEP_MAX)
                continue;
            chunk_move(chunk, CHUNK_LEAVING);
            bytes += chunk_bytes(chunk);
            pause_steps[count++] = (struct step){
                .first = first,
                .granule = g,
                .unmap = stays_unmapped(first, proven),
                .clean = has_copy(first, chunk, epoch, proven),
                .reloadable = block_reloadable(&core.blocks, first),
                .whole = whole,
            };
        }
        mark_saves(&pause_steps[planned], count - planned);
    }
    lock_release(&core.lock);
    return count;
}

static void copy(struct step *step)
{
    if (step->clean)
        return;
    step->result = recycler_take(&core.slabs, step_bytes(step), 0, &step->slab);
    if (!step->result)
        step_submit(step, TIER_DEVICE, TIER_HOST, step_address(step), SLOT_NONE);
}

/* If one chunk of a whole block cannot be saved, none of it leaves. */
static void fail_whole(struct step *list, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t j = 0; list[i].whole && list[i].result && j < count; j++)
            if (list[j].first == list[i].first && !list[j].result)
                list[j].result = list[i].result;
}

static void replace(struct step *step)
{
    struct chunk *chunk = step_chunk(step);
    uint64_t to;

    if (step->result)
        return;
    to = step->clean || step->unmap ? 0 : step_slab(step)->memory.handle;
    if (!step->clean || step->reloadable) {
        lock_acquire(&core.lock);
        chunk_drop_slot(chunk);
        lock_release(&core.lock);
    }
    if (!step->clean) {
        chunk->slab = step_slab(step);
        chunk_remember(chunk);
    }
    step->result =
        backing_replace(step_ordinal(step), step_address(step), step_bytes(step), chunk->handle, to);
    if (step->result && step->result != -EFAULT && !step->clean)
        chunk->slab = NULL;
}

/* The block is about to leave; it was whole before. */
static void count_departure(const struct step *step)
{
    counters_add(&core.counters.blocks_evicted, 1);
    if (!step->saves)
        return;
    counters_add(&core.counters.blocks_saved, 1);
    if (core.blocks.block[step->first].flags & BLOCK_REGISTERED)
        core.blocks.object[step->first].saves++;
}

/* Under the lock: the chunk's new state. Its device memory is left over, or the slab that was taken in vain. */
static bool settle(struct step *step)
{
    struct chunk *chunk = step_chunk(step);
    struct block *block = &core.blocks.block[step->first];

    if (step->result && step->result != -EFAULT) {
        chunk_move(chunk, CHUNK_RESIDENT);
        return false;
    }
    step->handle = chunk->handle;
    step->slab = 0;
    chunk->handle = 0;
    chunk->mapped = !step->result && !step->clean && !step->unmap;
    chunk_move(chunk, step->result ? CHUNK_BROKEN : chunk->slab ? CHUNK_HOST : CHUNK_DISK);
    if (chunk->copied) {
        chunk->copied = false;
        core.blocks.object[step->first].copies--;
    }
    if (!(owner_entry(&core.blocks, step->first) & OWNER_AWAY))
        count_departure(step);
    core.devices[block->ordinal].away_bytes += chunk_bytes(chunk);
    if (!chunk->mapped && !(block->flags & BLOCK_REGISTERED))
        atomic_fetch_add(&core.away_unproven, 1);
    block_publish(&core.blocks, step->first);
    share_moved(step->first, -(int64_t)chunk_bytes(chunk));
    host_share_block(step->first);
    counters_add(&core.counters.evictions, 1);
    if (step->clean)
        counters_add(&core.counters.dropped_clean, 1);
    return true;
}

uint64_t pause_evict(const struct pause_plan *plan, bool proven)
{
    uint32_t count = plan->evict_bytes ? plan_evict(plan, proven) : 0;
    uint64_t since_ns = core_now();

    for (uint32_t i = 0; i < count; i++)
        copy(&pause_steps[i]);
    steps_wait(pause_steps, count);
    fail_whole(pause_steps, count);
    steps_count(MOVE_DEVICE_TO_HOST, pause_steps, count, since_ns);
    for (uint32_t i = 0; i < count; i++)
        replace(&pause_steps[i]);
    return steps_commit(pause_steps, count, settle);
}
