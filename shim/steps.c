/* SPDX-License-Identifier: Apache-2.0 */
/* steps.c - see steps.h. */
#include "steps.h"

#include <errno.h>
#include <stddef.h>

#include "allocate.h"
#include "closure.h"
#include "log.h"
#include "pick.h"
#include "state.h"
#include "swap.h"
#include "tier.h"

enum {
    STEP_MAX = 256
};

/* One chunk on its way. Memory of the role. */
struct step {
    uint32_t first, granule;
    uint64_t item; /* slab or handle taken for it; 0: none */
    struct transfer transfer;
    bool clean;  /* an equal copy is on disk */
    bool unmap;  /* its address stays unmapped */
    bool copied; /* transfer submitted */
    bool whole;  /* fails when another chunk of its block does */
    int result;
};

static struct step steps[STEP_MAX];

struct eligible {
    const struct closure *closure;
    bool proven;
};

static struct chunk *step_chunk(const struct step *step)
{
    return &core.blocks.chunk[step->granule];
}

static struct slab *as_slab(uint64_t item)
{
    return (struct slab *)(uintptr_t)item;
}

/* Start a copy between a chunk's address and a slab. */
static void step_copy(struct step *step, enum tier from, enum tier to, const struct slab *slab)
{
    const struct block *block = &core.blocks.block[step->first];

    step->transfer = (struct transfer){
        .from = from,
        .to = to,
        .ordinal = block->ordinal,
        .device_address = granule_address(&core.blocks, step->granule),
        .host = &slab->memory,
        .bytes = chunk_bytes(step_chunk(step)),
    };
    step->result = executors_submit(&core.executors, &step->transfer);
    step->copied = step->result == 0;
}

static void steps_wait(struct step *list, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (list[i].copied)
            list[i].result = executors_wait(&core.executors, &list[i].transfer);
}

static void counted(enum stats_move move, const struct step *list, uint32_t count, uint64_t since_ns)
{
    uint64_t ns = core_now() - since_ns;

    for (uint32_t i = 0; i < count; i++)
        if (list[i].copied && !list[i].result) {
            stats_moved(move, list[i].transfer.bytes, ns);
            ns = 0;
        }
}

/* ---- device to host -------------------------------------------------------------------------------------- */

static bool is_meant(const struct closure *closure, uint32_t first)
{
    if (closure->only && closure->only != first + 1)
        return false;
    return !closure->only_registered || core.blocks.block[first].flags & BLOCK_REGISTERED;
}

static uint64_t resident_bytes(uint32_t first, void *arg)
{
    const struct eligible *eligible = arg;
    uint64_t bytes = 0;

    if (core.blocks.block[first].ordinal != eligible->closure->ordinal ||
        !is_meant(eligible->closure, first) || !closure_may_evict(first, eligible->proven))
        return 0;
    for (uint32_t g = first, more = 1; more; more = g = chunk_next(&core.blocks, first, g))
        if (core.blocks.chunk[g].state == CHUNK_RESIDENT)
            bytes += chunk_bytes(&core.blocks.chunk[g]);
    return bytes;
}

static uint32_t chunks_of(uint32_t first)
{
    const struct block *block = &core.blocks.block[first];

    return (block->granules + block->chunk_granules - 1) / block->chunk_granules;
}

/* Does the block leave as a whole? One of more chunks than a batch has steps cannot. */
static bool leaves_whole(const struct closure *closure, uint32_t first)
{
    return closure->whole && core.blocks.block[first].flags & BLOCK_REGISTERED &&
           chunks_of(first) <= STEP_MAX;
}

static bool stays_unmapped(uint32_t first, bool proven)
{
    if (!closure_may_unmap(first, proven))
        return false;
    return !core.mapped || core.blocks.block[first].flags & BLOCK_REGISTERED ||
           core.options->disk == DISK_ALWAYS || proven;
}

uint64_t steps_evictable(const struct closure *closure)
{
    struct eligible eligible = {closure, true};
    const uint32_t *list;
    uint32_t blocks;
    uint64_t bytes = 0;

    pthread_mutex_lock(&core.lock);
    blocks = pick_blocks(closure->evict_bytes, closure->newest, resident_bytes, &eligible, &list);
    for (uint32_t i = 0; i < blocks; i++) {
        uint64_t all = resident_bytes(list[i], &eligible), left = closure->evict_bytes - bytes;

        bytes += leaves_whole(closure, list[i]) || all < left ? all : left;
        if (bytes >= closure->evict_bytes)
            break;
    }
    pthread_mutex_unlock(&core.lock);
    return bytes;
}

/* Bytes of the chunk that are on disk or in host memory, too. */
static bool has_copy(uint32_t first, const struct chunk *chunk, uint64_t epoch, bool proven)
{
    if (core.blocks.block[first].flags & BLOCK_REGISTERED) /* the program's word counts, and nothing else */
        return chunk->copied;
    return chunk->slot != SLOT_NONE && chunk->slot_epoch == epoch && closure_may_unmap(first, proven);
}

/* Under the lock: the chunks that leave, marked LEAVING. */
static uint32_t plan_evict(const struct closure *closure, bool proven)
{
    struct eligible eligible = {closure, proven};
    uint64_t epoch = gate_writes(), bytes = 0;
    const uint32_t *list;
    uint32_t count = 0, blocks;

    pthread_mutex_lock(&core.lock);
    blocks = pick_blocks(closure->evict_bytes, closure->newest, resident_bytes, &eligible, &list);
    for (uint32_t i = 0; i < blocks; i++) {
        uint32_t first = list[i];
        bool whole = leaves_whole(closure, first);

        if (bytes >= closure->evict_bytes || (whole && count + chunks_of(first) > STEP_MAX))
            break;
        for (uint32_t g = first, more = 1; more; more = g = chunk_next(&core.blocks, first, g)) {
            struct chunk *chunk = &core.blocks.chunk[g];

            if (chunk->state != CHUNK_RESIDENT || (bytes >= closure->evict_bytes && !whole) ||
                count == STEP_MAX)
                continue;
            chunk_move(chunk, CHUNK_LEAVING);
            bytes += chunk_bytes(chunk);
            steps[count++] = (struct step){
                .first = first,
                .granule = g,
                .unmap = stays_unmapped(first, proven),
                .clean = has_copy(first, chunk, epoch, proven),
                .whole = whole,
            };
        }
    }
    pthread_mutex_unlock(&core.lock);
    return count;
}

static void evict_copy(struct step *step)
{
    struct chunk *chunk = step_chunk(step);

    if (step->clean)
        return;
    step->result = stock_take(&core.slabs, chunk_bytes(chunk), 0, &step->item);
    if (!step->result)
        step_copy(step, TIER_DEVICE, TIER_HOST, as_slab(step->item));
}

/* What leaves as a whole stays as a whole when a part of it cannot be saved. */
static void evict_whole(struct step *list, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t j = 0; list[i].whole && list[i].result && j < count; j++)
            if (list[j].first == list[i].first && !list[j].result)
                list[j].result = list[i].result;
}

static void evict_swap(struct step *step)
{
    struct chunk *chunk = step_chunk(step);
    uint64_t to;

    if (step->result)
        return;
    to = step->clean || step->unmap ? 0 : as_slab(step->item)->memory.handle;
    if (!step->clean) {
        tier_drop_slot(chunk);
        chunk->slab = as_slab(step->item);
        tier_remember(chunk);
    }
    step->result =
        swap_backing(core.blocks.block[step->first].ordinal, granule_address(&core.blocks, step->granule),
                     chunk_bytes(chunk), chunk->handle, to);
    if (step->result && step->result != -EFAULT && !step->clean)
        chunk->slab = NULL;
}

/* The block is about to leave; it was whole before. */
static void count_departure(const struct step *step)
{
    stats_add(&core.counters.blocks_evicted, 1);
    if (step->clean)
        return;
    stats_add(&core.counters.blocks_saved, 1);
    if (core.blocks.block[step->first].flags & BLOCK_REGISTERED)
        core.blocks.operand[step->first].saves++;
}

/* Under the lock: the chunk's new state. Returns the device handle that is left over. */
static uint64_t evict_commit(struct step *step)
{
    struct chunk *chunk = step_chunk(step);
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
        core.blocks.operand[step->first].copies--;
    }
    if (!(owner_entry(&core.blocks, step->first) & OWNER_AWAY))
        count_departure(step);
    core.devices[block->ordinal].away_bytes += chunk_bytes(chunk);
    if (!chunk->mapped && !(block->flags & BLOCK_REGISTERED))
        atomic_fetch_add(&core.away_unproven, 1);
    block_publish(&core.blocks, step->first);
    area_went(step->first, chunk_bytes(chunk));
    stats_add(&core.counters.evictions, 1);
    if (step->clean)
        stats_add(&core.counters.dropped_clean, 1);
    return handle;
}

uint64_t steps_evict(const struct closure *closure, bool proven)
{
    struct stock *handles = &core.devices[closure->ordinal].handles;
    uint32_t count = closure->evict_bytes ? plan_evict(closure, proven) : 0;
    uint64_t since_ns = core_now(), bytes = 0;

    for (uint32_t i = 0; i < count; i++)
        evict_copy(&steps[i]);
    steps_wait(steps, count);
    evict_whole(steps, count);
    counted(MOVE_DEVICE_TO_HOST, steps, count, since_ns);
    for (uint32_t i = 0; i < count; i++)
        evict_swap(&steps[i]);
    for (uint32_t i = 0; i < count; i++) {
        struct step *step = &steps[i];
        uint64_t chunk = chunk_bytes(step_chunk(step)), handle;

        pthread_mutex_lock(&core.lock);
        handle = evict_commit(step);
        pthread_cond_broadcast(&core.changed);
        pthread_mutex_unlock(&core.lock);
        if (handle && step->result)
            stock_discard(handles, chunk, handle);
        else if (handle)
            stock_return(handles, chunk, handle);
        else if (step->item)
            stock_return(&core.slabs, chunk, step->item);
        bytes += handle ? chunk : 0;
    }
    return bytes;
}

/* ---- mapped host to device ------------------------------------------------------------------------------- */

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
    counted(MOVE_HOST_TO_DEVICE, steps, count, since_ns);
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

/* ---- mapped host to unmapped host ------------------------------------------------------------------------ */

static uint64_t mapped_bytes(uint32_t first, void *arg)
{
    const struct eligible *eligible = arg;
    const struct block *block = &core.blocks.block[first];
    uint64_t bytes = 0;

    if (!block_alive(block) || !is_meant(eligible->closure, first) || block_in_launch(first) ||
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
