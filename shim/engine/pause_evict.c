/* SPDX-License-Identifier: Apache-2.0 */
/* pause_evict.c - device to host. See pause_steps.h. */
#include "engine/pause_steps.h"

#include <errno.h>
#include <stddef.h>

#include "engine/pause.h"
#include "engine/pause_step.h"
#include "engine/pick.h"
#include "engine/remap.h"
#include "ledger/headroom.h"

static uint64_t resident_bytes(uint32_t first, void *arg)
{
    const struct eligible *eligible = arg;

    if (core.blocks.block[first].ordinal != eligible->pause->ordinal ||
        !pause_step_meant(eligible->pause, first) || !movable_may_evict(first, eligible->proven))
        return 0;
    return chunks_bytes(&core.blocks, first, CHUNKS(CHUNK_RESIDENT));
}

static uint32_t chunks_of(uint32_t first)
{
    const struct block *block = &core.blocks.block[first];

    return (block->granules + block->chunk_granules - 1) / block->chunk_granules;
}

/* Does the block leave as a whole? One of more chunks than a batch has steps cannot. */
static bool leaves_whole(const struct pause *pause, uint32_t first)
{
    return pause->whole && core.blocks.block[first].flags & BLOCK_REGISTERED &&
           chunks_of(first) <= PAUSE_STEP_MAX;
}

static bool stays_unmapped(uint32_t first, bool proven)
{
    if (!movable_may_unmap(first, proven))
        return false;
    return !core.mapped || core.blocks.block[first].flags & BLOCK_REGISTERED ||
           core.options->disk == DISK_ALWAYS || proven;
}

uint64_t pause_evictable(struct pause *pause)
{
    struct eligible eligible = {pause, true};
    const uint32_t *list;
    uint32_t blocks;
    uint64_t bytes = 0;

    pause->save_bytes = 0;
    lock_acquire(&core.lock);
    blocks = pick_blocks(pause->evict_bytes, pause->newest, resident_bytes, &eligible, &list);
    for (uint32_t i = 0; i < blocks; i++) {
        uint64_t all = resident_bytes(list[i], &eligible), left = pause->evict_bytes - bytes;

        all = leaves_whole(pause, list[i]) || all < left ? all : left;
        bytes += all;
        if (!block_reloadable(&core.blocks, list[i]))
            pause->save_bytes += all;
        if (bytes >= pause->evict_bytes)
            break;
    }
    lock_release(&core.lock);
    return bytes;
}

/* Bytes of the chunk that are on disk or in host memory, too. */
static bool has_copy(uint32_t first, const struct chunk *chunk, uint64_t epoch, bool proven)
{
    if (core.blocks.block[first].flags & BLOCK_REGISTERED) /* the program's word counts, and nothing else */
        return chunk->copied || (block_reloadable(&core.blocks, first) && !core_places());
    return chunk->slot != SLOT_NONE && chunk->slot_epoch == epoch && movable_may_unmap(first, proven);
}

/* Of chunks of one block: is any of them saved? */
static void mark_saves(struct pause_step *list, uint32_t count)
{
    bool saves = false;

    for (uint32_t i = 0; i < count; i++)
        saves = saves || !list[i].clean;
    for (uint32_t i = 0; i < count; i++)
        list[i].saves = saves;
}

/* Under the lock: the chunks that leave, marked LEAVING. */
static uint32_t plan_evict(const struct pause *pause, bool proven)
{
    struct eligible eligible = {pause, proven};
    uint64_t epoch = gate_writes(), bytes = 0;
    const uint32_t *list;
    uint32_t count = 0, blocks;

    lock_acquire(&core.lock);
    blocks = pick_blocks(pause->evict_bytes, pause->newest, resident_bytes, &eligible, &list);
    for (uint32_t i = 0; i < blocks; i++) {
        uint32_t first = list[i], planned = count;
        bool whole = leaves_whole(pause, first);

        if (bytes >= pause->evict_bytes || (whole && count + chunks_of(first) > PAUSE_STEP_MAX))
            break;
        chunks_each(g, &core.blocks, first) {
            struct chunk *chunk = &core.blocks.chunk[g];

            if (chunk->state != CHUNK_RESIDENT || (bytes >= pause->evict_bytes && !whole) ||
                count == PAUSE_STEP_MAX)
                continue;
            chunk_move(chunk, CHUNK_LEAVING);
            bytes += chunk_bytes(chunk);
            pause_steps[count++] = (struct pause_step){
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

static void evict_copy(struct pause_step *step)
{
    struct chunk *chunk = pause_step_chunk(step);

    if (step->clean)
        return;
    step->result = recycler_take(&core.slabs, chunk_bytes(chunk), 0, &step->item);
    if (!step->result)
        pause_step_copy(step, TIER_DEVICE, TIER_HOST, pause_step_slab(step->item));
}

/* What leaves as a whole stays as a whole when a part of it cannot be saved. */
static void evict_whole(struct pause_step *list, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t j = 0; list[i].whole && list[i].result && j < count; j++)
            if (list[j].first == list[i].first && !list[j].result)
                list[j].result = list[i].result;
}

static void evict_replace(struct pause_step *step)
{
    struct chunk *chunk = pause_step_chunk(step);
    uint64_t to;

    if (step->result)
        return;
    to = step->clean || step->unmap ? 0 : pause_step_slab(step->item)->memory.handle;
    if (!step->clean || step->reloadable) {
        lock_acquire(&core.lock);
        chunk_drop_slot(chunk);
        lock_release(&core.lock);
    }
    if (!step->clean) {
        chunk->slab = pause_step_slab(step->item);
        chunk_remember(chunk);
    }
    step->result =
        backing_replace(core.blocks.block[step->first].ordinal, granule_address(&core.blocks, step->granule),
                        chunk_bytes(chunk), chunk->handle, to);
    if (step->result && step->result != -EFAULT && !step->clean)
        chunk->slab = NULL;
}

/* The block is about to leave; it was whole before. */
static void count_departure(const struct pause_step *step)
{
    stats_add(&core.counters.blocks_evicted, 1);
    if (!step->saves)
        return;
    stats_add(&core.counters.blocks_saved, 1);
    if (core.blocks.block[step->first].flags & BLOCK_REGISTERED)
        core.blocks.object[step->first].saves++;
}

/* Under the lock: the chunk's new state. Returns the device handle that is left over. */
static uint64_t evict_commit(struct pause_step *step)
{
    struct chunk *chunk = pause_step_chunk(step);
    struct block *block = &core.blocks.block[step->first];
    uint64_t handle = chunk->handle;

    if (step->result && step->result != -EFAULT) {
        chunk_move(chunk, CHUNK_RESIDENT);
        return 0;
    }
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
    share_went(step->first, chunk_bytes(chunk));
    host_share_block(step->first);
    stats_add(&core.counters.evictions, 1);
    if (step->clean)
        stats_add(&core.counters.dropped_clean, 1);
    return handle;
}

uint64_t pause_evict(const struct pause *pause, bool proven)
{
    struct recycler *handles = &core.devices[pause->ordinal].handles;
    uint32_t count = pause->evict_bytes ? plan_evict(pause, proven) : 0;
    uint64_t since_ns = core_now(), bytes = 0;

    for (uint32_t i = 0; i < count; i++)
        evict_copy(&pause_steps[i]);
    pause_wait(pause_steps, count);
    evict_whole(pause_steps, count);
    pause_counted(MOVE_DEVICE_TO_HOST, pause_steps, count, since_ns);
    for (uint32_t i = 0; i < count; i++)
        evict_replace(&pause_steps[i]);
    for (uint32_t i = 0; i < count; i++) {
        struct pause_step *step = &pause_steps[i];
        uint64_t chunk = chunk_bytes(pause_step_chunk(step)), handle;

        lock_acquire(&core.lock);
        handle = evict_commit(step);
        pthread_cond_broadcast(&core.changed);
        lock_release(&core.lock);
        if (handle && step->result)
            recycler_discard(handles, chunk, handle);
        else if (handle)
            recycler_return(handles, chunk, handle);
        else if (step->item)
            recycler_return(&core.slabs, chunk, step->item);
        bytes += handle ? chunk : 0;
    }
    return bytes;
}
