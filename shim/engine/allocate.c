/* SPDX-License-Identifier: Apache-2.0 */
/* allocate.c - blocks come and go. See core.h and allocate.h. */
#include "engine/allocate.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/compiler.h"
#include "base/log.h"
#include "engine/callbacks.h"
#include "engine/core.h"
#include "engine/drain.h"
#include "engine/foresight.h"
#include "engine/gate.h"
#include "engine/monitor.h"
#include "engine/mover.h"
#include "engine/recording.h"
#include "engine/refusal.h"
#include "engine/remap.h"
#include "engine/reservation.h"
#include "engine/small.h"
#include "ledger/copies.h"
#include "ledger/headroom.h"
#include "ledger/limit.h"
#include "ledger/state.h"

enum {
    MAPPED_AT_ONCE = 64
};

/* Map chunks of a block from `*at` on, which goes on to the first that is not. 0; -ENOMEM: none of those that were tried is
 * mapped, or it is broken: neither its address nor its handle is used again. */
static int chunks_map(uint32_t first, uint32_t end, uint32_t *at)
{
    struct remap piece[MAPPED_AT_ONCE];
    uint32_t count = 0, g = *at;
    int error = 0;

    for (; g < end && count < MAPPED_AT_ONCE; g += core.blocks.chunk[g].granules) {
        const struct chunk *chunk = &core.blocks.chunk[g];

        piece[count++] = (struct remap){.address = granule_address(&core.blocks, g),
                                        .bytes = chunk_bytes(chunk),
                                        .new = chunk->handle ? chunk->handle : chunk->slab->memory.handle};
    }
    backing_replace(core.blocks.block[first].ordinal, piece, count);
    for (uint32_t i = 0; i < count; i++)
        error = piece[i].result ? -ENOMEM : error;
    if (!error)
        *at = g;
    for (uint32_t i = 0; error && i < count; i++)
        if (piece[i].result == -EFAULT ||
            (!piece[i].result && backing_unmap(piece[i].address, piece[i].bytes) < 0))
            chunk_move(&core.blocks.chunk[address_granule(&core.blocks, piece[i].address)], CHUNK_BROKEN);
    return error;
}

/* True if nothing is known of what lies at the address of any. */
static bool any_broken(uint32_t first, uint32_t end)
{
    bool broken = false;

    for (uint32_t g = first; g < end; g += core.blocks.chunk[g].granules)
        broken = broken || core.blocks.chunk[g].state == CHUNK_BROKEN;
    return broken;
}

/* The same, and once more where the driver refuses: what it maps with takes memory of the device, too. */
static int chunks_map_twice(uint32_t first, uint32_t end, uint32_t *at)
{
    int error = chunks_map(first, end, at);

    if (!error || any_broken(*at, end))
        return error;
    if (!gate_inside()) /* else nobody is waited for */
        core_relieve(core.blocks.block[first].ordinal, GRANULE_BYTES);
    return chunks_map(first, end, at);
}

/* Undo what was made of a block so far. */
static void block_unmake(uint32_t first, uint32_t granules, uint32_t mapped_to)
{
    unsigned ordinal = core.blocks.block[first].ordinal;
    uint64_t context = core.blocks.block[first].context;
    bool clean = true;

    for (uint32_t g = first; g < first + granules; g += core.blocks.chunk[g].granules) {
        struct chunk *chunk = &core.blocks.chunk[g];
        bool broken = chunk->state == CHUNK_BROKEN;

        if (g < mapped_to && backing_unmap(granule_address(&core.blocks, g), chunk_bytes(chunk)) < 0)
            broken = true;
        clean = clean && !broken;
        if (chunk->handle && broken)
            recycler_discard(&core.devices[ordinal].handles, chunk_bytes(chunk), chunk->handle);
        else if (chunk->handle)
            recycler_return(&core.devices[ordinal].handles, chunk_bytes(chunk), chunk->handle);
        if (chunk->slab && !broken)
            recycler_return(&core.slabs, chunk_bytes(chunk), (uintptr_t)chunk->slab);
        else if (chunk->slab)
            recycler_discard(&core.slabs, chunk_bytes(chunk), (uintptr_t)chunk->slab);
        chunk->handle = 0;
        chunk->slab = NULL;
        if (chunk->state == CHUNK_BROKEN)
            chunk_move(chunk, CHUNK_NONE);
    }
    lock_acquire(&core.lock);
    core.blocks.block[first].id = 0;
    lock_release(&core.lock);
    if (clean)
        address_give(context, first, granules);
}

/* Chunk sizes of a block, written into the chunk table. A block of up to two chunks of the largest size is one, but
 * not in a pool, whose handles are all alike. */
static void chunks_cut(uint32_t first, uint32_t granules, unsigned ordinal)
{
    struct device_state *device = &core.devices[ordinal];
    uint32_t size = limit_chunk_granules(ordinal);

    if ((size >= LIMIT_CHUNK_GRANULES && granules <= 2 * size && core.options->allocator != ALLOCATOR_POOL) ||
        core.blocks.block[first].flags & BLOCK_WHOLE)
        size = granules;
    for (uint32_t left = granules, g = first, cut; left; left -= cut, g += cut) {
        cut = left < size ? left : size;
        core.blocks.chunk[g] = (struct chunk){.slot = SLOT_NONE, .granules = cut};
        if (device->chunk_max_granules < cut)
            device->chunk_max_granules = cut;
    }
    core.blocks.block[first].chunk_granules = size;
}

/* 0, -EAGAIN, -ENOMEM. */
static int block_build(uint32_t first, uint32_t granules)
{
    /* What the driver places fills the device once it is mapped: only then is it known whether there is room for more. */
    uint32_t most = core_places() ? 1 : MAPPED_AT_ONCE;
    uint32_t end = first + granules, taken_to = first, mapped_to = first;
    int error = 0;

    while (!error && mapped_to < end) {
        for (uint32_t i = 0; !error && i < most && taken_to < end; i++) {
            error = backing_take(first, taken_to, (end - taken_to) * GRANULE_BYTES);
            taken_to += error ? 0 : core.blocks.chunk[taken_to].granules;
        }
        if (!error)
            error = chunks_map_twice(first, taken_to, &mapped_to);
    }
    if (error < 0)
        block_unmake(first, granules, mapped_to);
    return error;
}

/* Under the lock: make the finished block known. Returns its id. */
static uint64_t block_publish_new(uint32_t first, uint32_t granules)
{
    struct block *block = &core.blocks.block[first];

    block->id = atomic_fetch_add(&core.blocks.last_id, 1) + 1;
    core.blocks.alive++;
    for (uint32_t g = first; g < first + granules; g += core.blocks.chunk[g].granules) {
        struct chunk *chunk = &core.blocks.chunk[g];

        chunk_move(chunk, chunk->handle ? CHUNK_RESIDENT : CHUNK_HOST);
        chunk->mapped = !chunk->handle;
        if (!chunk->handle)
            core.devices[block->ordinal].away_bytes += chunk_bytes(chunk);
    }
    block_publish(&core.blocks, first);
    share_update(first);
    kind_block_made(block);
    recording_made(first);
    foresight_made(block->ordinal);
    atomic_store_explicit(&core.blocks.stamp[first], core_stamp(), memory_order_relaxed);
    return block->id;
}

/* Recycled memory may hold words that a scan would take for pointers, which would keep a fresh block from moving. */
static bool wants_scrub(void)
{
    return options_search(core.options) && !core_places();
}

static void block_scrub(uint32_t first, uint32_t granules)
{
    unsigned ordinal = core.blocks.block[first].ordinal;

    for (uint32_t g = first; g < first + granules; g += core.blocks.chunk[g].granules) {
        struct chunk *chunk = &core.blocks.chunk[g];

        if (chunk->handle)
            core.device->zero(core.device, ordinal, granule_address(&core.blocks, g), chunk_bytes(chunk));
        else
            memset(chunk->slab->memory.cpu, 0, chunk_bytes(chunk));
    }
    core.device->copied(core.device, ordinal, WAY_IN);
}

/* A block of fresh chunks, not known to anybody yet. */
static int block_make(const struct block *fresh, uint32_t *out_first)
{
    int error = address_take(fresh, out_first);

    if (error < 0)
        return error;
    lock_acquire(&core.lock);
    block_begin(&core.blocks.block[*out_first], fresh);
    chunks_cut(*out_first, fresh->granules, fresh->ordinal);
    lock_release(&core.lock);
    return block_build(*out_first, fresh->granules);
}

/* Wait, with nothing in our hands, for those who hold something for a moment. */
static void let_others_go(void)
{
    core_change_end();
    if (core_in_use())
        core_wait_change();
    core_change_begin();
}

/* Memory that others hold for a moment is no reason to refuse, unless the block would not fit without them, either.
 * Threads that wait for it do so one at a time. */
static int block_make_patiently(const struct block *fresh, uint32_t *out_first)
{
    static struct lock patience = LOCK_INIT(LOCK_PATIENCE);
    int error = block_make(fresh, out_first);

    if (error != -EAGAIN)
        return error;
    core_change_end();
    lock_acquire(&patience);
    core_change_begin();
    while ((error = block_make(fresh, out_first)) == -EAGAIN && !drain_patience_over() &&
           mover_could_ever(fresh->ordinal, fresh->granules * GRANULE_BYTES))
        let_others_go();
    lock_release(&patience);
    return error;
}

int allocate_block(struct block *fresh, uint32_t *out_first)
{
    uint64_t bytes = fresh->granules * GRANULE_BYTES, keep_bytes = headroom_device_keep(fresh->ordinal);
    bool draws = !(fresh->flags & BLOCK_FIXED || fresh->is_handle || fresh->is_bin) &&
                 reservation_draw_begin(fresh->ordinal, bytes);
    bool is_freed, is_known;
    int error = 0;

    core_change_begin();
    lock_acquire(&core.lock);
    is_freed = idle_take_block(fresh, keep_bytes, out_first);
    is_known = is_freed && !draws && !wants_scrub();
    if (is_known)
        fresh->id = block_publish_new(*out_first, fresh->granules);
    lock_release(&core.lock);
    if (!is_freed)
        error = block_make_patiently(fresh, out_first);
    if (draws)
        reservation_draw_end(fresh->ordinal, error < 0 ? BLOCK_NONE : *out_first);
    if (!error && !is_known) {
        if (wants_scrub())
            block_scrub(*out_first, fresh->granules);
        lock_acquire(&core.lock);
        fresh->id = block_publish_new(*out_first, fresh->granules);
        lock_release(&core.lock);
    }
    core_change_end();
    return error;
}

struct request {
    struct block fresh;
    uint32_t first;
};

/* Blocks whose free was put off give room as soon as their device is at rest. */
static ALWAYS_INLINE int attempt(void *arg)
{
    struct request *request = arg;
    int error;

    do
        error = allocate_block(&request->fresh, &request->first);
    while (error < 0 && core.deferred && free_deferred(core.options->drain_ms));
    return error < 0 ? -ENOSPC : 0;
}

int allocate_in_room(unsigned ordinal, uint64_t bytes, uint64_t room_bytes, int (*try)(void *arg), void *arg)
{
    uint64_t outer = drain_patience_begin();
    int error;

    if (core.deferred)
        free_deferred(DRAIN_MOMENT_MS);
    error = room_try((int)ordinal, room_bytes, try, arg);
    drain_patience_end(outer);
    if (error < 0 && refusal_is_waived())
        return -ENOTSUP;
    if (error < 0) {
        refusal_device(ordinal, bytes, "allocation");
        return -ENOMEM;
    }
    monitor_wake();
    return 0;
}

static uint64_t granules_of(uint64_t bytes)
{
    return bytes > UINT64_MAX - GRANULE_BYTES ? UINT64_MAX : (bytes + GRANULE_BYTES - 1) / GRANULE_BYTES;
}

static int allocate_alone(const struct wanted *wanted, uint64_t *out_address)
{
    uint64_t granules = granules_of(wanted->bytes);
    struct request request = {.fresh = {
                                  .bytes = wanted->bytes,
                                  .context = wanted->context,
                                  .call_site = wanted->call_site,
                                  .granules = (uint32_t)granules,
                                  .ordinal = wanted->ordinal,
                                  .flags = wanted_flags(wanted),
                                  .is_handle = wanted->is_handle,
                              }};
    int error;

    if (granules > core.blocks.granules) {
        refusal_device(wanted->ordinal, wanted->bytes, "allocation");
        return -ENOMEM;
    }
    error = allocate_in_room(wanted->ordinal, wanted->bytes, granules * GRANULE_BYTES, attempt, &request);
    if (!error)
        *out_address = granule_address(&core.blocks, request.first);
    return error;
}

static struct wanted settled(const struct wanted *wanted)
{
    struct wanted out = *wanted;

    out.is_fixed = out.is_fixed || core.options->cacheable == CACHEABLE_NONE;
    return out;
}

int core_allocate_wanted(const struct wanted *asked, uint64_t *out_address)
{
    struct wanted wanted;

    if (!core_active() || asked->ordinal >= core.device->count || atomic_load(&core.account_only))
        return -ENOTSUP;
    wanted = settled(asked);
    limit_ready(wanted.ordinal);
    return small_is(wanted.bytes) ? small_allocate(&wanted, out_address)
                                  : allocate_alone(&wanted, out_address);
}

int core_allocate(unsigned ordinal, uint64_t bytes, uint64_t context, const void *call_site, bool movable,
                  uint64_t *out_address)
{
    const struct wanted wanted = {.bytes = bytes,
                                  .context = context,
                                  .call_site = call_site,
                                  .ordinal = (uint8_t)ordinal,
                                  .is_fixed = !movable};

    return core_allocate_wanted(&wanted, out_address);
}

uint64_t core_takes(uint64_t bytes)
{
    uint64_t unit = small_is(bytes) ? CELL_UNIT_BYTES : GRANULE_BYTES;

    return (bytes + unit - 1) / unit * unit;
}

int core_allocate_in_room(const struct wanted *asked, uint64_t *out_address)
{
    uint64_t granules = granules_of(asked->bytes);
    struct wanted wanted;

    if (!core_active() || asked->ordinal >= core.device->count || granules > core.blocks.granules)
        return -EAGAIN;
    wanted = settled(asked);
    limit_ready(wanted.ordinal);
    if (small_is(wanted.bytes) && small_take(&wanted, out_address))
        return 0;
    return headroom_device(wanted.ordinal) >= granules * GRANULE_BYTES + headroom_device_keep(wanted.ordinal)
               ? core_allocate_wanted(asked, out_address)
               : -EAGAIN;
}

/* Under the lock: is all of a block that was freed in the order of a stream on the device, and nowhere else? */
static bool is_whole(uint32_t first)
{
    const struct block *block = &core.blocks.block[first];

    if (!block->id || !(block->flags & BLOCK_ORDERED) || block_let_in(block) ||
        core.blocks.object[first].copies || core.scanning)
        return false;
    return chunks_bytes(&core.blocks, first, CHUNKS(CHUNK_RESIDENT)) == block->granules * GRANULE_BYTES;
}

int core_take_ordered(uint64_t address, uint64_t id, const struct wanted *asked)
{
    uint32_t first = address_granule(&core.blocks, address), chunk_granules;
    struct block *block = &core.blocks.block[first];
    struct wanted wanted;
    struct block fresh;
    bool taken;

    if (!core_active())
        return -EAGAIN;
    wanted = settled(asked);
    if (small_is(wanted.bytes))
        return small_retake(address, id, &wanted) ? 0 : -EAGAIN;
    fresh = (struct block){.bytes = wanted.bytes,
                           .context = wanted.context,
                           .call_site = wanted.call_site,
                           .flags = wanted_flags(&wanted)};
    lock_acquire(&core.lock);
    taken = is_whole(first) && granules_of(wanted.bytes) <= block->granules && ordered_end(first, id);
    if (taken) {
        chunks_each(g, &core.blocks, first) {
            chunk_drop_slot(&core.blocks.chunk[g]);
            chunk_move(&core.blocks.chunk[g], CHUNK_IDLE);
        }
        fresh.granules = block->granules;
        fresh.ordinal = block->ordinal;
        chunk_granules = block->chunk_granules;
        block_forget(first);
        block_begin(block, &fresh);
        block->chunk_granules = chunk_granules;
        block_publish_new(first, fresh.granules);
    }
    lock_release(&core.lock);
    return taken ? 0 : -EAGAIN;
}
