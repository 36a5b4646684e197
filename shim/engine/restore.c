/* SPDX-License-Identifier: Apache-2.0 */
/* restore.c - who comes back, and how. See restore.h. */
#include "engine/restore.h"

#include <errno.h>

#include "engine/batch.h"
#include "engine/callbacks.h"
#include "engine/gate.h"
#include "engine/managed.h"
#include "engine/mover.h"
#include "engine/pause.h"
#include "engine/remap.h"
#include "engine/spill.h"
#include "engine/step.h"
#include "ledger/headroom.h"
#include "ledger/managed_range.h"
#include "policy/policies.h"
#include "tier/slot.h"

enum {
    RESTORE_BATCH = 4, /* chunks that are on their way together */
    LEAVING_MOST = 256 /* blocks for what comes early */
};

/* Bytes of a list that are away, by the way that they come back. */
struct away {
    uint64_t mapped_bytes, host_bytes, disk_bytes;
    uint64_t smallest_bytes; /* mapped chunk: no pause is worth less room */
};

static uint64_t unmapped_bytes(const struct away *away)
{
    return away->host_bytes + away->disk_bytes;
}

static uint64_t away_bytes(const struct away *away)
{
    return away->mapped_bytes + unmapped_bytes(away);
}

static void add_chunk(struct away *away, const struct chunk *chunk)
{
    uint64_t bytes = chunk_bytes(chunk);

    if (chunk->state == CHUNK_DISK)
        away->disk_bytes += bytes;
    else if (chunk->state == CHUNK_HOST && !chunk->mapped)
        away->host_bytes += bytes;
    else if (chunk->state == CHUNK_HOST) {
        away->mapped_bytes += bytes;
        if (away->smallest_bytes > bytes)
            away->smallest_bytes = bytes;
    }
}

static struct away away_of(const uint32_t *firsts, uint32_t count, unsigned ordinal)
{
    struct away away = {.smallest_bytes = UINT64_MAX};

    lock_acquire(&core.lock);
    for (uint32_t i = 0; i < count; i++) {
        if (!block_alive(&core.blocks.block[firsts[i]]) || core.blocks.block[firsts[i]].ordinal != ordinal)
            continue;
        chunks_each(g, &core.blocks, firsts[i])
            add_chunk(&away, &core.blocks.chunk[g]);
    }
    lock_release(&core.lock);
    return away;
}

/* ---- broken chunks --------------------------------------------------------------------------------------- */

/* Make the addresses of a block clean again; from then on what was broken is an unmapped chunk like any other. The
 * table stays while the lock is open, since a free waits for what is UNMAPPING. */
static void repair(uint32_t first)
{
    lock_acquire(&core.lock);
    if (block_alive(&core.blocks.block[first]))
        chunks_each(g, &core.blocks, first) {
            struct chunk *chunk = &core.blocks.chunk[g];

            if (chunk->state != CHUNK_BROKEN)
                continue;
            chunk_move(chunk, CHUNK_UNMAPPING);
            lock_release(&core.lock);
            chunk->stuck =
                core.device->unmap(core.device, granule_address(&core.blocks, g), chunk_bytes(chunk)) < 0;
            lock_acquire(&core.lock);
            chunk_move(chunk, CHUNK_HOST);
            pthread_cond_broadcast(&core.changed);
        }
    lock_release(&core.lock);
}

/* ---- unmapped chunks, a batch at a time, waited for with the gate open ------------------------------------ */

/* A batch of the list's unmapped chunks on one device, marked RETURNING. Those in host memory first: they leave the room
 * that is needed to read the others. */
static uint32_t plan(struct step *batch, uint32_t most, unsigned ordinal, const uint32_t *firsts,
                     uint32_t count)
{
    static const uint32_t from[] = {CHUNKS_UNMAPPED(CHUNK_HOST), CHUNKS_UNMAPPED(CHUNK_DISK)};
    uint32_t planned = 0;

    lock_acquire(&core.lock);
    for (unsigned turn = 0; turn < 2; turn++)
        for (uint32_t i = 0; i < count; i++) {
            if (!block_alive(&core.blocks.block[firsts[i]]) ||
                core.blocks.block[firsts[i]].ordinal != ordinal)
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

/* Private addresses of a batch's new device memory, side by side. */
struct scratch {
    uint32_t first, granules;
    bool is_lost; /* something is left there: it is not used again */
};

static bool ends_of_scratch(const struct step *restore, struct remap *out)
{
    out->address = restore->scratch;
    out->new = restore->handle;
    return restore->scratch;
}

static bool ends_after_scratch(const struct step *restore, struct remap *out)
{
    out->address = restore->scratch;
    out->old = restore->handle;
    return restore->scratch;
}

static void scratch_map(struct step *batch, uint32_t count, struct scratch *out)
{
    uint32_t at;
    int error = 0;

    *out = (struct scratch){0};
    for (uint32_t i = 0; i < count; i++)
        out->granules += batch[i].handle && !batch[i].result ? step_chunk(&batch[i])->granules : 0;
    if (!out->granules)
        return;
    lock_acquire(&core.lock);
    error = extent_take(&core.blocks.arena, out->granules, &out->first);
    lock_release(&core.lock);
    if (error < 0)
        out->granules = 0;
    at = out->first;
    for (uint32_t i = 0; i < count; i++) {
        if (!batch[i].handle || batch[i].result)
            continue;
        batch[i].result = error;
        batch[i].scratch = error ? 0 : granule_address(&core.blocks, at);
        at += step_chunk(&batch[i])->granules;
    }
    steps_remap(batch, count, ends_of_scratch);
    for (uint32_t i = 0; i < count; i++) {
        out->is_lost = out->is_lost || batch[i].result == -EFAULT;
        batch[i].scratch = batch[i].result ? 0 : batch[i].scratch;
    }
}

static void scratch_unmap(struct step *batch, uint32_t count, const struct scratch *scratch)
{
    bool is_lost = !steps_remap(batch, count, ends_after_scratch) || scratch->is_lost;

    for (uint32_t i = 0; i < count; i++)
        batch[i].scratch = 0;
    if (!scratch->granules || is_lost)
        return;
    lock_acquire(&core.lock);
    extent_give(&core.blocks.arena, scratch->first, scratch->granules);
    lock_release(&core.lock);
}

static void copy_start(struct step *batch, uint32_t count, struct scratch *scratch)
{
    for (uint32_t i = 0; i < count; i++) {
        struct chunk *chunk = step_chunk(&batch[i]);

        batch[i].submitted = false;
        if (batch[i].result)
            continue;
        chunk_set_slab(chunk, step_slab(&batch[i]));
        if (batch[i].dropped)
            chunk_remember(chunk);
        batch[i].result = chunk_verify(chunk, step_address(&batch[i]));
    }
    scratch_map(batch, count, scratch);
    for (uint32_t i = 0; i < count; i++)
        if (batch[i].scratch)
            step_submit(&batch[i], TIER_HOST, TIER_DEVICE, batch[i].scratch, SLOT_NONE);
}

static bool ends_on_device(const struct step *restore, struct remap *out)
{
    out->new = restore->handle;
    return restore->handle;
}

static bool ends_in_slab(const struct step *restore, struct remap *out)
{
    if (restore->handle || restore->result)
        return false;
    out->new = step_chunk(restore)->slab->memory.handle;
    return true;
}

/* Memory that could not be filled or mapped is given up. */
static void give_failed(struct step *batch, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (batch[i].handle && batch[i].result)
            step_give(&batch[i], false);
}

/* Map what holds the bytes now: the handle, else the slab when that is allowed. */
static void place(struct step *batch, uint32_t count, bool allow_mapped)
{
    give_failed(batch, count);
    for (uint32_t i = 0; i < count; i++) {
        struct chunk *chunk = step_chunk(&batch[i]);

        batch[i].epoch = gate_writes();
        if (chunk->stuck)
            chunk->stuck =
                core.device->unmap(core.device, step_address(&batch[i]), step_bytes(&batch[i])) < 0;
    }
    steps_remap(batch, count, ends_on_device);
    give_failed(batch, count);
    for (uint32_t i = 0; i < count; i++) {
        const struct slab *slab = step_chunk(&batch[i])->slab;

        if (!batch[i].handle && batch[i].result != -EILSEQ && batch[i].result != -EFAULT && slab)
            batch[i].result = allow_mapped && core.mapped && slab->memory.handle ? 0 : -ENOSPC;
    }
    steps_remap(batch, count, ends_in_slab);
}

/* Restore up to `most` unmapped chunks, a batch at most, of those of a list of blocks that are on one device: each is
 * read into a slab if it is on disk, copied to device memory through a private address, and mapped at its own address
 * last.
 *
 * @allow_mapped  to mapped host memory where the device has no room
 * Returns        the bytes that came; 0 when none is left or none can
 */
static uint64_t restore_wait(unsigned ordinal, const uint32_t *firsts, uint32_t count, uint32_t most,
                             bool allow_mapped)
{
    struct step batch[RESTORE_BATCH];
    struct scratch scratch;
    uint32_t planned = plan(batch, most, ordinal, firsts, count);
    uint64_t since_ns = core_now();

    for (uint32_t i = 0; i < planned; i++)
        acquire(&batch[i], allow_mapped, i == 0);
    for (uint32_t i = 0; i < planned; i++)
        reload(&batch[i]);
    steps_wait(batch, planned);
    steps_count(MOVE_DISK_TO_HOST, batch, planned, since_ns);
    since_ns = core_now();
    copy_start(batch, planned, &scratch);
    steps_wait(batch, planned);
    steps_count(MOVE_HOST_TO_DEVICE, batch, planned, since_ns);
    scratch_unmap(batch, planned, &scratch);
    place(batch, planned, allow_mapped);
    for (uint32_t i = 0; i < planned; i++)
        if (batch[i].result == -EILSEQ || (batch[i].result == -EIO && batch[i].from_disk))
            core.unreadable = true;
    return steps_commit(batch, planned, step_settle_restored);
}

/* ---- lending a slab -------------------------------------------------------------------------------------- */

/* Any block with a chunk in host memory; BLOCK_NONE: there is none. */
static uint32_t find_in_host(unsigned ordinal, bool *out_mapped)
{
    uint32_t found = BLOCK_NONE;

    lock_acquire(&core.lock);
    blocks_each(first, &core.blocks)
        if (block_alive(&core.blocks.block[first]) && core.blocks.block[first].ordinal == ordinal &&
            chunks_bytes(&core.blocks, first, CHUNKS(CHUNK_HOST))) {
            *out_mapped = chunks_bytes(&core.blocks, first, CHUNKS_MAPPED(CHUNK_HOST)) != 0;
            found = first;
            break;
        }
    lock_release(&core.lock);
    return found;
}

bool restore_lend_slab(unsigned ordinal)
{
    uint32_t first;
    struct pause_plan plan = {
        .ordinal = ordinal, .waiter = DRAIN_NEED, .restore = &first, .restore_count = 1, .restore_one = true};
    bool mapped = false;

    if (headroom_host() >= headroom_host_staging())
        return false;
    first = find_in_host(ordinal, &mapped);
    if (first == BLOCK_NONE)
        return false;
    if (!mapped)
        return restore_wait(ordinal, &first, 1, 1, false) != 0;
    return pause_run(&plan).restored_bytes;
}

/* ---- the whole ------------------------------------------------------------------------------------------- */

/* What comes beside it: nothing where host memory is for those that have to leave. */
static void add_early(struct pause_plan *plan)
{
    static struct plan_block leaving[LEAVING_MOST]; /* the role's */
    uint64_t room_bytes = headroom_device(plan->ordinal), kept_bytes = headroom_device_keep(plan->ordinal);
    uint64_t host_bytes = headroom_host();

    host_bytes = host_bytes > plan->evict_bytes ? host_bytes - plan->evict_bytes : 0;
    lock_acquire(&core.lock);
    batch_plan(
        plan, leaving,
        pause_leaving(plan, host_bytes < BATCH_BYTES ? host_bytes : BATCH_BYTES, leaving, LEAVING_MOST),
        room_bytes > kept_bytes ? room_bytes - kept_bytes : 0);
    lock_release(&core.lock);
}

/* A pause that makes room for all that is away and restores what is mapped. Objects leave as a whole for it, unless
 * there is no room for a whole one: a chunk for a chunk always fits. */
static void restore_mapped(unsigned ordinal, const uint32_t *firsts, uint32_t count, const struct away *away)
{
    struct pause_plan plan = {.ordinal = ordinal,
                              .waiter = unmapped_bytes(away) ? DRAIN_NEED : DRAIN_LAUNCH,
                              .restore = firsts,
                              .restore_count = count};
    struct pause_result result;

    for (unsigned tries = 0; tries < 2; tries++) {
        plan.in_parts = tries;
        plan.early_count = 0;
        plan.evict_bytes = mover_ready_host(ordinal, away_bytes(away), away_bytes(away) - away->disk_bytes);
        if (!tries && core.options->policy == POLICY_LOOKAHEAD)
            add_early(&plan);
        result = pause_run(&plan);
        if (result.error < 0 || result.evicted_bytes || result.restored_bytes)
            break;
    }
}

/* Unmapped chunks come back as long as that helps. */
static void restore_unmapped(unsigned ordinal, const uint32_t *firsts, uint32_t count, bool allow_mapped)
{
    struct away away;

    do
        away = away_of(firsts, count, ordinal);
    while (unmapped_bytes(&away) && (restore_wait(ordinal, firsts, count, RESTORE_BATCH, allow_mapped) ||
                                     (away.disk_bytes && restore_lend_slab(ordinal))));
}

/*
 * Restore what one device has of the list, in rounds.
 *
 * A round makes room for all that is away: in a pause, which restores the chunks mapped in host memory as well, or,
 * where none is mapped or a pause could move nothing, by itself. Then unmapped chunks come back, a batch at a time
 * with the gate open, as long as any does. Each of them gives its slab back, and that may be the room in host memory
 * that the next victim lacked: so another round follows while one brings anything. Chunks mapped in host memory that
 * are all that is left stay where they are: the device reaches them. At last unmapped chunks may become mapped host
 * memory, too, since the caller needs every block reachable and not resident.
 */
static void restore_on(unsigned ordinal, const uint32_t *firsts, uint32_t count)
{
    struct away away = away_of(firsts, count, ordinal);
    bool is_nearer = true;

    while (is_nearer && away_bytes(&away)) {
        uint64_t before = away_bytes(&away);

        if (managed_range_count())
            managed_leave(ordinal, before, mover_oldest(ordinal));
        if (away.mapped_bytes && !atomic_load(&core.captures) &&
            (headroom_device(ordinal) >= away.smallest_bytes || mover_anything_leaves(ordinal, 0, false) ||
             managed_leave(ordinal, before, UINT64_MAX)))
            restore_mapped(ordinal, firsts, count, &away);
        else if (unmapped_bytes(&away))
            mover_make_room(ordinal, unmapped_bytes(&away), away.host_bytes);
        restore_unmapped(ordinal, firsts, count, false);
        away = away_of(firsts, count, ordinal);
        is_nearer = away_bytes(&away) < before;
        if (away.mapped_bytes && !unmapped_bytes(&away))
            break;
    }
    restore_unmapped(ordinal, firsts, count, true);
}

int restore_blocks(const uint32_t *firsts, uint32_t count)
{
    core.unreadable = false;
    for (uint32_t i = 0; i < count; i++)
        repair(firsts[i]);
    for (unsigned ordinal = 0; ordinal < core.device->count; ordinal++)
        if (core.devices[ordinal].away_bytes)
            restore_on(ordinal, firsts, count);
    for (uint32_t i = 0; i < count; i++)
        if (owner_entry(&core.blocks, firsts[i]) & OWNER_GONE)
            return -ENOSPC;
    return 0;
}

int restore_block(uint32_t first)
{
    uint64_t before;

    do {
        before = core.devices[core.blocks.block[first].ordinal].away_bytes;
        restore_blocks(&first, 1);
        if (!(owner_entry(&core.blocks, first) & OWNER_AWAY))
            return 0;
    } while (core.devices[core.blocks.block[first].ordinal].away_bytes < before);
    if (core.unreadable)
        return -EIO;
    return atomic_load(&core.captures) || atomic_load(&core.account_only) ? -EBUSY : -ENOSPC;
}
