/* SPDX-License-Identifier: Apache-2.0 */
/* restore_wait.c - unmapped chunks, a batch at a time, waited for with the gate open. See restore.h. */
#include "engine/restore.h"

#include <errno.h>
#include <stddef.h>

#include "engine/callbacks.h"
#include "engine/gate.h"
#include "engine/remap.h"
#include "engine/spill.h"
#include "engine/step.h"
#include "ledger/headroom.h"
#include "tier/slot.h"

/* A batch of the list's unmapped chunks, marked RETURNING. Those in host memory first: they leave the room that is
 * needed to read the others. */
static uint32_t plan(struct step *batch, uint32_t most, const uint32_t *firsts, uint32_t count)
{
    static const uint32_t from[] = {CHUNKS_UNMAPPED(CHUNK_HOST), CHUNKS_UNMAPPED(CHUNK_DISK)};
    uint32_t planned = 0;

    lock_acquire(&core.lock);
    for (unsigned turn = 0; turn < 2; turn++)
        for (uint32_t i = 0; i < count; i++) {
            if (!block_alive(&core.blocks.block[firsts[i]]))
                continue;
            chunks_each(g, &core.blocks, firsts[i])
                if (planned < most && chunk_in(&core.blocks.chunk[g], from[turn]))
                    batch[planned++] = step_begin(firsts[i], g, CHUNK_RETURNING);
        }
    lock_release(&core.lock);
    return planned;
}

/* Device memory for a chunk, else (when allowed) mapped host memory; and a slab for one that is on disk. The reserves
 * are there so that one chunk can always come back: `reserves` says that this is the one. */
static void acquire(struct step *restore, bool allow_mapped, bool reserves)
{
    uint64_t bytes = step_bytes(restore);
    uint64_t keep_bytes = restore->from_disk && !reserves ? headroom_device_keep(step_ordinal(restore)) : 0;
    int error = step_take(restore, keep_bytes);

    if (error < 0 && !(allow_mapped && core.mapped)) {
        restore->result = -ENOSPC;
        return;
    }
    if (!restore->from_disk)
        return;
    error = recycler_take(&core.slabs, bytes, 0, &restore->slab);
    if (error == -ENOSPC && spill_make_room(bytes) == 0)
        error = recycler_take(&core.slabs, bytes, 0, &restore->slab);
    restore->result = error;
    if (!error && !restore->dropped)
        step_submit(restore, slot_tier(step_chunk(restore)->slot), TIER_HOST, 0, step_chunk(restore)->slot);
}

/* After the reads have been started: they go on meanwhile. */
static void reload(struct step *restore)
{
    if (restore->dropped && !restore->result)
        restore->result =
            reload_callback_fill(restore->first, restore->granule, step_slab(restore)->memory.cpu);
}

/* A private address for the chunk's new device memory. */
static int scratch_map(struct step *restore)
{
    const struct chunk *chunk = step_chunk(restore);
    uint32_t granule;
    int error;

    lock_acquire(&core.lock);
    error = extent_take(&core.blocks.arena, chunk->granules, &granule);
    lock_release(&core.lock);
    if (error < 0)
        return error;
    error = backing_map(step_ordinal(restore), granule_address(&core.blocks, granule), chunk_bytes(chunk),
                        restore->handle);
    if (!error) {
        restore->scratch = granule_address(&core.blocks, granule);
        return 0;
    }
    if (error == -EFAULT) /* half mapped: the address is not used again */
        return error;
    lock_acquire(&core.lock);
    extent_give(&core.blocks.arena, granule, chunk->granules);
    lock_release(&core.lock);
    return error;
}

static int scratch_unmap(struct step *restore)
{
    const struct chunk *chunk = step_chunk(restore);
    int error;

    if (!restore->scratch)
        return 0;
    error = core.device->unmap(core.device, restore->scratch, chunk_bytes(chunk));
    if (!error) {
        lock_acquire(&core.lock);
        extent_give(&core.blocks.arena, address_granule(&core.blocks, restore->scratch), chunk->granules);
        lock_release(&core.lock);
    }
    restore->scratch = 0;
    return error;
}

static void copy_start(struct step *restore)
{
    struct chunk *chunk = step_chunk(restore);

    restore->submitted = false;
    if (restore->result)
        return;
    chunk->slab = step_slab(restore);
    if (restore->dropped)
        chunk_remember(chunk);
    restore->result = chunk_verify(chunk, step_address(restore));
    if (restore->result || !restore->handle)
        return;
    restore->result = scratch_map(restore);
    if (!restore->result)
        step_submit(restore, TIER_HOST, TIER_DEVICE, restore->scratch, SLOT_NONE);
}

/* Map at the chunk's own address. What an earlier failure may have left there half mapped is removed first. */
static int map(const struct step *restore, uint64_t handle)
{
    uint64_t address = step_address(restore), bytes = step_bytes(restore);
    int error = backing_map(step_ordinal(restore), address, bytes, handle);

    if (error < 0 && error != -EFAULT && core.device->unmap(core.device, address, bytes) == 0)
        error = backing_map(step_ordinal(restore), address, bytes, handle);
    return error;
}

/* Map what holds the bytes now: the handle, else the slab when that is allowed. */
static void place(struct step *restore, bool allow_mapped)
{
    struct chunk *chunk = step_chunk(restore);
    int error = scratch_unmap(restore);

    if (restore->handle && (error < 0 || restore->result)) {
        step_give(restore, false);
        restore->result = restore->result ? restore->result : error;
    }
    if (restore->result == -EILSEQ || !chunk->slab)
        return;
    restore->epoch = gate_writes();
    if (restore->handle) {
        restore->result = map(restore, restore->handle);
        if (!restore->result)
            return;
        step_give(restore, false);
    }
    if (restore->result != -EFAULT)
        restore->result = allow_mapped && core.mapped && chunk->slab->memory.handle
                              ? map(restore, chunk->slab->memory.handle)
                              : -ENOSPC;
}

uint64_t restore_wait(const uint32_t *firsts, uint32_t count, uint32_t most, bool allow_mapped)
{
    struct step batch[RESTORE_BATCH];
    uint32_t planned = plan(batch, most < RESTORE_BATCH ? most : RESTORE_BATCH, firsts, count);
    uint64_t since_ns = core_now();

    for (uint32_t i = 0; i < planned; i++)
        acquire(&batch[i], allow_mapped, i == 0);
    for (uint32_t i = 0; i < planned; i++)
        reload(&batch[i]);
    steps_wait(batch, planned);
    steps_count(MOVE_DISK_TO_HOST, batch, planned, since_ns);
    since_ns = core_now();
    for (uint32_t i = 0; i < planned; i++)
        copy_start(&batch[i]);
    steps_wait(batch, planned);
    steps_count(MOVE_HOST_TO_DEVICE, batch, planned, since_ns);
    for (uint32_t i = 0; i < planned; i++) {
        place(&batch[i], allow_mapped);
        if (batch[i].result == -EILSEQ || (batch[i].result == -EIO && batch[i].from_disk))
            core.unreadable = true;
    }
    return steps_commit(batch, planned, step_settle_restored);
}
