/* SPDX-License-Identifier: Apache-2.0 */
/* restore_wait.c - see restore_wait.h. */
#include "engine/restore_wait.h"

#include <errno.h>
#include <stddef.h>

#include "engine/allocate.h"
#include "engine/mover.h"
#include "engine/reload_callback.h"
#include "engine/remap.h"
#include "engine/restore_chunk.h"
#include "ledger/headroom.h"

struct restore_chunk restore_chunk_begin(uint32_t first, uint32_t granule)
{
    struct chunk *chunk = &core.blocks.chunk[granule];
    const struct object *object = &core.blocks.object[first];
    struct restore_chunk restore = {
        .first = first,
        .granule = granule,
        .slab = (uintptr_t)chunk->slab,
        .from_disk = chunk->state == CHUNK_DISK,
        .dropped = chunk_dropped(chunk),
        .keep = core.blocks.block[first].flags & BLOCK_REGISTERED && object->flags & OPERAND_KEEP &&
                !object->reload,
    };

    chunk_move(chunk, CHUNK_RETURNING);
    return restore;
}

/* Under the lock: chunks of one tier join the flight, marked RETURNING. Returns how many are in it now. */
static uint32_t plan_from(bool from_disk, struct restore_chunk *batch, uint32_t planned, uint32_t most,
                          const uint32_t *firsts, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (!block_alive(&core.blocks.block[firsts[i]]))
            continue;
        chunks_each(g, &core.blocks, firsts[i]) {
            struct chunk *chunk = &core.blocks.chunk[g];

            if (chunk->state != (from_disk ? CHUNK_DISK : CHUNK_HOST) || chunk->mapped || planned == most)
                continue;
            batch[planned++] = restore_chunk_begin(firsts[i], g);
        }
    }
    return planned;
}

/* Up to a flight of unmapped chunks of the list. Those in host memory first: they leave the room that is needed to
 * read the others. */
static uint32_t plan(struct restore_chunk *batch, uint32_t most, const uint32_t *firsts, uint32_t count)
{
    uint32_t planned;

    lock_acquire(&core.lock);
    planned = plan_from(false, batch, 0, most, firsts, count);
    planned = plan_from(true, batch, planned, most, firsts, count);
    lock_release(&core.lock);
    return planned;
}

void restore_chunk_submit(struct restore_chunk *restore, enum tier from, enum tier to,
                          uint64_t device_address)
{
    restore->transfer = (struct transfer){
        .from = from,
        .to = to,
        .ordinal = core.blocks.block[restore->first].ordinal,
        .device_address = device_address,
        .host = &((struct slab *)(uintptr_t)restore->slab)->memory,
        .slot = restore_chunk_of(restore)->slot,
        .bytes = chunk_bytes(restore_chunk_of(restore)),
    };
    restore->result = executors_submit(&core.executors, &restore->transfer);
    restore->submitted = !restore->result;
}

static void wait_all(struct restore_chunk *batch, uint32_t count, enum stats_move move, uint64_t since_ns)
{
    for (uint32_t i = 0; i < count; i++)
        if (batch[i].submitted)
            batch[i].result = executors_wait(&core.executors, &batch[i].transfer);
    since_ns = core_now() - since_ns;
    for (uint32_t i = 0; i < count; i++) {
        if (batch[i].submitted && !batch[i].result) {
            stats_moved(move, batch[i].transfer.bytes, since_ns);
            since_ns = 0;
        }
        batch[i].submitted = false;
    }
}

/* Device memory for a chunk, else (when allowed) mapped host memory; and a slab for one that is on disk. The reserves
 * are there so that one chunk can always come back: `reserves` says that this is the one. */
static void acquire(struct restore_chunk *restore, bool allow_mapped, bool reserves)
{
    uint64_t bytes = chunk_bytes(restore_chunk_of(restore));
    unsigned ordinal = core.blocks.block[restore->first].ordinal;
    uint64_t keep = restore->from_disk && !reserves ? headroom_device_keep(ordinal) : 0;
    int r = allocate_take(ordinal, bytes, keep, &restore->handle);

    if (r < 0 && !(allow_mapped && core.mapped)) {
        restore->result = -ENOSPC;
        return;
    }
    if (!restore->from_disk)
        return;
    r = recycler_take(&core.slabs, bytes, 0, &restore->slab);
    if (r == -ENOSPC && mover_spill(bytes, UINT64_MAX) == 0)
        r = recycler_take(&core.slabs, bytes, 0, &restore->slab);
    restore->result = r;
    if (!r && !restore->dropped)
        restore_chunk_submit(restore, TIER_DISK, TIER_HOST, 0);
}

/* After the reads have been started: they go on meanwhile. */
static void reload(struct restore_chunk *restore)
{
    const struct slab *slab = (const struct slab *)(uintptr_t)restore->slab;

    if (restore->dropped && !restore->result)
        restore->result = reload_callback_fill(restore->first, restore->granule, slab->memory.cpu);
}

/* A private address for the chunk's new device memory. */
static int scratch_map(struct restore_chunk *restore)
{
    const struct chunk *chunk = restore_chunk_of(restore);
    uint32_t granule;
    int r;

    lock_acquire(&core.lock);
    r = extent_take(&core.blocks.arena, chunk->granules, &granule);
    lock_release(&core.lock);
    if (r < 0)
        return r;
    r = backing_map(core.blocks.block[restore->first].ordinal, granule_address(&core.blocks, granule),
                    chunk_bytes(chunk), restore->handle);
    if (!r) {
        restore->scratch = granule_address(&core.blocks, granule);
        return 0;
    }
    if (r == -EFAULT) /* half mapped: the address is not used again */
        return r;
    lock_acquire(&core.lock);
    extent_give(&core.blocks.arena, granule, chunk->granules);
    lock_release(&core.lock);
    return r;
}

static int scratch_unmap(struct restore_chunk *restore)
{
    const struct chunk *chunk = restore_chunk_of(restore);
    int r;

    if (!restore->scratch)
        return 0;
    r = core.device->unmap(core.device, restore->scratch, chunk_bytes(chunk));
    if (!r) {
        lock_acquire(&core.lock);
        extent_give(&core.blocks.arena, address_granule(&core.blocks, restore->scratch), chunk->granules);
        lock_release(&core.lock);
    }
    restore->scratch = 0;
    return r;
}

static void copy_start(struct restore_chunk *restore)
{
    struct chunk *chunk = restore_chunk_of(restore);

    if (restore->result)
        return;
    chunk->slab = (struct slab *)(uintptr_t)restore->slab;
    if (restore->dropped)
        chunk_remember(chunk);
    restore->result = chunk_verify(chunk, granule_address(&core.blocks, restore->granule));
    if (restore->result || !restore->handle)
        return;
    restore->result = scratch_map(restore);
    if (!restore->result)
        restore_chunk_submit(restore, TIER_HOST, TIER_DEVICE, restore->scratch);
}

/* Map at the chunk's own address. What an earlier failure may have left there half mapped is removed first. */
static int settle_at(unsigned ordinal, uint64_t address, uint64_t bytes, uint64_t handle)
{
    int r = backing_map(ordinal, address, bytes, handle);

    if (r < 0 && r != -EFAULT && core.device->unmap(core.device, address, bytes) == 0)
        r = backing_map(ordinal, address, bytes, handle);
    return r;
}

/* Map what holds the bytes now: the handle, else the slab when that is allowed. */
static void place(struct restore_chunk *restore, bool allow_mapped)
{
    struct chunk *chunk = restore_chunk_of(restore);
    unsigned ordinal = core.blocks.block[restore->first].ordinal;
    uint64_t address = granule_address(&core.blocks, restore->granule), bytes = chunk_bytes(chunk);
    int r = scratch_unmap(restore);

    if (restore->handle && (r < 0 || restore->result)) {
        recycler_discard(&core.devices[ordinal].handles, bytes, restore->handle);
        restore->handle = 0;
        restore->result = restore->result ? restore->result : r;
    }
    if (restore->result == -EILSEQ || !chunk->slab)
        return;
    restore->epoch = gate_writes();
    if (restore->handle) {
        restore->result = settle_at(ordinal, address, bytes, restore->handle);
        if (!restore->result)
            return;
        recycler_discard(&core.devices[ordinal].handles, bytes, restore->handle);
        restore->handle = 0;
    }
    if (restore->result != -EFAULT)
        restore->result = allow_mapped && core.mapped && chunk->slab->memory.handle
                              ? settle_at(ordinal, address, bytes, chunk->slab->memory.handle)
                              : -ENOSPC;
}

/* Under the lock: the chunk is about to be resident. Where the program answers for what is written, what it came from
 * stays good: the slot, else the slab. True: the slab is kept. */
static bool keep_copy(struct restore_chunk *restore)
{
    struct chunk *chunk = restore_chunk_of(restore);
    struct object *object = &core.blocks.object[restore->first];

    chunk->copied = restore->keep;
    object->copies += restore->keep;
    if (restore->keep && !restore->from_disk)
        return true;
    chunk->slab = NULL;
    return false;
}

bool restore_chunk_commit(struct restore_chunk *restore)
{
    struct chunk *chunk = restore_chunk_of(restore);
    struct block *block = &core.blocks.block[restore->first];
    bool spare = false;

    if (!restore->result) {
        if (chunk->slot != SLOT_NONE)
            chunk->slot_epoch = restore->epoch;
        chunk->handle = restore->handle;
        chunk->mapped = !restore->handle;
        if (!(block->flags & BLOCK_REGISTERED))
            atomic_fetch_sub(&core.away_unproven, 1);
        if (restore->handle) {
            spare = !keep_copy(restore);
            core.devices[block->ordinal].away_bytes -= chunk_bytes(chunk);
            share_came(restore->first, chunk_bytes(chunk));
            block_returned(restore->first);
            stats_add(&core.counters.restores, 1);
        }
        chunk_move(chunk, restore->handle ? CHUNK_RESIDENT : CHUNK_HOST);
    } else if (restore->result == -EFAULT) {
        chunk_move(chunk, CHUNK_BROKEN);
    } else if (restore->from_disk) {
        spare = restore->slab != 0;
        chunk->slab = NULL;
        chunk_move(chunk, CHUNK_DISK);
    } else {
        chunk_move(chunk, CHUNK_HOST);
    }
    block_publish(&core.blocks, restore->first);
    host_share_block(restore->first);
    return spare;
}

uint32_t restore_wait(const uint32_t *firsts, uint32_t count, uint32_t most, bool allow_mapped)
{
    struct restore_chunk batch[RESTORE_CHUNKS_MOST];
    uint32_t planned = plan(batch, most < RESTORE_CHUNKS_MOST ? most : RESTORE_CHUNKS_MOST, firsts, count),
             returned = 0;
    uint64_t since_ns = core_now();

    for (uint32_t i = 0; i < planned; i++)
        acquire(&batch[i], allow_mapped, i == 0);
    for (uint32_t i = 0; i < planned; i++)
        reload(&batch[i]);
    wait_all(batch, planned, MOVE_DISK_TO_HOST, since_ns);
    since_ns = core_now();
    for (uint32_t i = 0; i < planned; i++)
        copy_start(&batch[i]);
    wait_all(batch, planned, MOVE_HOST_TO_DEVICE, since_ns);
    for (uint32_t i = 0; i < planned; i++)
        place(&batch[i], allow_mapped);
    for (uint32_t i = 0; i < planned; i++) {
        bool spare;

        lock_acquire(&core.lock);
        spare = restore_chunk_commit(&batch[i]);
        pthread_cond_broadcast(&core.changed);
        lock_release(&core.lock);
        if (spare)
            recycler_return(&core.slabs, chunk_bytes(restore_chunk_of(&batch[i])), batch[i].slab);
        returned += !batch[i].result;
        if (batch[i].result == -EILSEQ || (batch[i].result == -EIO && batch[i].from_disk))
            core.unreadable = true;
    }
    return returned;
}
