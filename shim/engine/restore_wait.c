/* SPDX-License-Identifier: Apache-2.0 */
/* flight.c - see flight.h. */
#include "engine/restore_wait.h"

#include <errno.h>
#include <stddef.h>

#include "engine/allocate.h"
#include "engine/mover.h"
#include "engine/reload_callback.h"
#include "engine/remap.h"
#include "engine/restore_chunk.h"
#include "ledger/headroom.h"

struct returning returning_begin(uint32_t first, uint32_t granule)
{
    struct chunk *chunk = &core.blocks.chunk[granule];
    const struct operand *operand = &core.blocks.operand[first];
    struct returning returning = {
        .first = first,
        .granule = granule,
        .slab = (uintptr_t)chunk->slab,
        .from_disk = chunk->state == CHUNK_DISK,
        .dropped = chunk_dropped(chunk),
        .keep = core.blocks.block[first].flags & BLOCK_REGISTERED && operand->flags & OPERAND_KEEP &&
                !operand->reload,
    };

    chunk_move(chunk, CHUNK_RETURNING);
    return returning;
}

/* Under the lock: chunks of one tier join the flight, marked RETURNING. Returns how many are in it now. */
static uint32_t plan_from(bool from_disk, struct returning *flight, uint32_t planned, uint32_t most,
                          const uint32_t *firsts, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (!block_alive(&core.blocks.block[firsts[i]]))
            continue;
        for (uint32_t g = firsts[i], more = 1; more; more = g = chunk_next(&core.blocks, firsts[i], g)) {
            struct chunk *chunk = &core.blocks.chunk[g];

            if (chunk->state != (from_disk ? CHUNK_DISK : CHUNK_HOST) || chunk->mapped || planned == most)
                continue;
            flight[planned++] = returning_begin(firsts[i], g);
        }
    }
    return planned;
}

/* Up to a flight of unmapped chunks of the list. Those in host memory first: they leave the room that is needed to
 * read the others. */
static uint32_t plan(struct returning *flight, uint32_t most, const uint32_t *firsts, uint32_t count)
{
    uint32_t planned;

    pthread_mutex_lock(&core.lock);
    planned = plan_from(false, flight, 0, most, firsts, count);
    planned = plan_from(true, flight, planned, most, firsts, count);
    pthread_mutex_unlock(&core.lock);
    return planned;
}

void returning_submit(struct returning *returning, enum tier from, enum tier to, uint64_t device_address)
{
    returning->transfer = (struct transfer){
        .from = from,
        .to = to,
        .ordinal = core.blocks.block[returning->first].ordinal,
        .device_address = device_address,
        .host = &((struct slab *)(uintptr_t)returning->slab)->memory,
        .slot = returning_chunk(returning)->slot,
        .bytes = chunk_bytes(returning_chunk(returning)),
    };
    returning->result = executors_submit(&core.executors, &returning->transfer);
    returning->submitted = !returning->result;
}

static void wait_all(struct returning *flight, uint32_t count, enum stats_move move, uint64_t since_ns)
{
    for (uint32_t i = 0; i < count; i++)
        if (flight[i].submitted)
            flight[i].result = executors_wait(&core.executors, &flight[i].transfer);
    since_ns = core_now() - since_ns;
    for (uint32_t i = 0; i < count; i++) {
        if (flight[i].submitted && !flight[i].result) {
            stats_moved(move, flight[i].transfer.bytes, since_ns);
            since_ns = 0;
        }
        flight[i].submitted = false;
    }
}

/* Device memory for a chunk, else (when allowed) mapped host memory; and a slab for one that is on disk. The reserves
 * are there so that one chunk can always come back: `reserves` says that this is the one. */
static void acquire(struct returning *returning, bool allow_mapped, bool reserves)
{
    uint64_t bytes = chunk_bytes(returning_chunk(returning));
    unsigned ordinal = core.blocks.block[returning->first].ordinal;
    uint64_t keep = returning->from_disk && !reserves ? tier_device_keep(ordinal) : 0;
    int r = allocate_take(ordinal, bytes, keep, &returning->handle);

    if (r < 0 && !(allow_mapped && core.mapped)) {
        returning->result = -ENOSPC;
        return;
    }
    if (!returning->from_disk)
        return;
    r = stock_take(&core.slabs, bytes, 0, &returning->slab);
    if (r == -ENOSPC && mover_spill(bytes, UINT64_MAX) == 0)
        r = stock_take(&core.slabs, bytes, 0, &returning->slab);
    returning->result = r;
    if (!r && !returning->dropped)
        returning_submit(returning, TIER_DISK, TIER_HOST, 0);
}

/* After the reads have been started: they go on meanwhile. */
static void reload(struct returning *returning)
{
    const struct slab *slab = (const struct slab *)(uintptr_t)returning->slab;

    if (returning->dropped && !returning->result)
        returning->result = reload_fill(returning->first, returning->granule, slab->memory.cpu);
}

/* A private address for the chunk's new device memory. */
static int scratch_map(struct returning *returning)
{
    const struct chunk *chunk = returning_chunk(returning);
    uint32_t granule;
    int r;

    pthread_mutex_lock(&core.lock);
    r = extent_take(&core.arena, chunk->granules, &granule);
    pthread_mutex_unlock(&core.lock);
    if (r < 0)
        return r;
    r = swap_in(core.blocks.block[returning->first].ordinal, granule_address(&core.blocks, granule),
                chunk_bytes(chunk), returning->handle);
    if (!r) {
        returning->scratch = granule_address(&core.blocks, granule);
        return 0;
    }
    if (r == -EFAULT) /* half mapped: the address is not used again */
        return r;
    pthread_mutex_lock(&core.lock);
    extent_give(&core.arena, granule, chunk->granules);
    pthread_mutex_unlock(&core.lock);
    return r;
}

static int scratch_unmap(struct returning *returning)
{
    const struct chunk *chunk = returning_chunk(returning);
    int r;

    if (!returning->scratch)
        return 0;
    r = core.device->unmap(core.device, returning->scratch, chunk_bytes(chunk));
    if (!r) {
        pthread_mutex_lock(&core.lock);
        extent_give(&core.arena, address_granule(&core.blocks, returning->scratch), chunk->granules);
        pthread_mutex_unlock(&core.lock);
    }
    returning->scratch = 0;
    return r;
}

static void copy_start(struct returning *returning)
{
    struct chunk *chunk = returning_chunk(returning);

    if (returning->result)
        return;
    chunk->slab = (struct slab *)(uintptr_t)returning->slab;
    if (returning->dropped)
        tier_remember(chunk);
    returning->result = tier_verify(chunk, granule_address(&core.blocks, returning->granule));
    if (returning->result || !returning->handle)
        return;
    returning->result = scratch_map(returning);
    if (!returning->result)
        returning_submit(returning, TIER_HOST, TIER_DEVICE, returning->scratch);
}

/* Map at the chunk's own address. What an earlier failure may have left there half mapped is removed first. */
static int settle_at(unsigned ordinal, uint64_t address, uint64_t bytes, uint64_t handle)
{
    int r = swap_in(ordinal, address, bytes, handle);

    if (r < 0 && r != -EFAULT && core.device->unmap(core.device, address, bytes) == 0)
        r = swap_in(ordinal, address, bytes, handle);
    return r;
}

/* Map what holds the bytes now: the handle, else the slab when that is allowed. */
static void place(struct returning *returning, bool allow_mapped)
{
    struct chunk *chunk = returning_chunk(returning);
    unsigned ordinal = core.blocks.block[returning->first].ordinal;
    uint64_t address = granule_address(&core.blocks, returning->granule), bytes = chunk_bytes(chunk);
    int r = scratch_unmap(returning);

    if (returning->handle && (r < 0 || returning->result)) {
        stock_discard(&core.devices[ordinal].handles, bytes, returning->handle);
        returning->handle = 0;
        returning->result = returning->result ? returning->result : r;
    }
    if (returning->result == -EILSEQ || !chunk->slab)
        return;
    returning->epoch = gate_writes();
    if (returning->handle) {
        returning->result = settle_at(ordinal, address, bytes, returning->handle);
        if (!returning->result)
            return;
        stock_discard(&core.devices[ordinal].handles, bytes, returning->handle);
        returning->handle = 0;
    }
    if (returning->result != -EFAULT)
        returning->result = allow_mapped && core.mapped && chunk->slab->memory.handle
                                ? settle_at(ordinal, address, bytes, chunk->slab->memory.handle)
                                : -ENOSPC;
}

/* Under the lock: the chunk is about to be resident. Where the program answers for what is written, what it came from
 * stays good: the slot, else the slab. True: the slab is kept. */
static bool keep_copy(struct returning *returning)
{
    struct chunk *chunk = returning_chunk(returning);
    struct operand *operand = &core.blocks.operand[returning->first];

    chunk->copied = returning->keep;
    operand->copies += returning->keep;
    if (returning->keep && !returning->from_disk)
        return true;
    chunk->slab = NULL;
    return false;
}

bool returning_commit(struct returning *returning)
{
    struct chunk *chunk = returning_chunk(returning);
    struct block *block = &core.blocks.block[returning->first];
    bool spare = false;

    if (!returning->result) {
        if (chunk->slot != SLOT_NONE)
            chunk->slot_epoch = returning->epoch;
        chunk->handle = returning->handle;
        chunk->mapped = !returning->handle;
        if (!(block->flags & BLOCK_REGISTERED))
            atomic_fetch_sub(&core.away_unproven, 1);
        if (returning->handle) {
            spare = !keep_copy(returning);
            core.devices[block->ordinal].away_bytes -= chunk_bytes(chunk);
            area_came(returning->first, chunk_bytes(chunk));
            block_returned(returning->first);
            stats_add(&core.counters.restores, 1);
        }
        chunk_move(chunk, returning->handle ? CHUNK_RESIDENT : CHUNK_HOST);
    } else if (returning->result == -EFAULT) {
        chunk_move(chunk, CHUNK_BROKEN);
    } else if (returning->from_disk) {
        spare = returning->slab != 0;
        chunk->slab = NULL;
        chunk_move(chunk, CHUNK_DISK);
    } else {
        chunk_move(chunk, CHUNK_HOST);
    }
    block_publish(&core.blocks, returning->first);
    host_area_block(returning->first);
    return spare;
}

uint32_t flight_return(const uint32_t *firsts, uint32_t count, uint32_t most, bool allow_mapped)
{
    struct returning flight[FLIGHT_CHUNKS];
    uint32_t planned = plan(flight, most < FLIGHT_CHUNKS ? most : FLIGHT_CHUNKS, firsts, count), returned = 0;
    uint64_t since_ns = core_now();

    for (uint32_t i = 0; i < planned; i++)
        acquire(&flight[i], allow_mapped, i == 0);
    for (uint32_t i = 0; i < planned; i++)
        reload(&flight[i]);
    wait_all(flight, planned, MOVE_DISK_TO_HOST, since_ns);
    since_ns = core_now();
    for (uint32_t i = 0; i < planned; i++)
        copy_start(&flight[i]);
    wait_all(flight, planned, MOVE_HOST_TO_DEVICE, since_ns);
    for (uint32_t i = 0; i < planned; i++)
        place(&flight[i], allow_mapped);
    for (uint32_t i = 0; i < planned; i++) {
        bool spare;

        pthread_mutex_lock(&core.lock);
        spare = returning_commit(&flight[i]);
        pthread_cond_broadcast(&core.changed);
        pthread_mutex_unlock(&core.lock);
        if (spare)
            stock_return(&core.slabs, chunk_bytes(returning_chunk(&flight[i])), flight[i].slab);
        returned += !flight[i].result;
        if (flight[i].result == -EILSEQ || (flight[i].result == -EIO && flight[i].from_disk))
            core.unreadable = true;
    }
    return returned;
}
