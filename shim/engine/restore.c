/* SPDX-License-Identifier: Apache-2.0 */
/* restore.c - who comes back, and how. See restore.h. */
#include "engine/restore.h"

#include <errno.h>
#include <stddef.h>

#include "engine/mover.h"
#include "engine/pause.h"
#include "ledger/headroom.h"
#include "ledger/state.h"

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
            core.device->unmap(core.device, granule_address(&core.blocks, g), chunk_bytes(chunk));
            lock_acquire(&core.lock);
            chunk_move(chunk, CHUNK_HOST);
            pthread_cond_broadcast(&core.changed);
        }
    lock_release(&core.lock);
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
        return restore_wait(&first, 1, 1, false) != 0;
    return pause_run(&plan).restored_bytes;
}

/* ---- the whole ------------------------------------------------------------------------------------------- */

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
        plan.evict_bytes = mover_ready_host(ordinal, away_bytes(away), away_bytes(away) - away->disk_bytes);
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
    while (unmapped_bytes(&away) && (restore_wait(firsts, count, RESTORE_BATCH, allow_mapped) ||
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

        if (away.mapped_bytes && !atomic_load(&core.captures) &&
            (headroom_device(ordinal) >= away.smallest_bytes || mover_anything_leaves(ordinal, 0, false)))
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

/* -ENOSPC when a block of the list cannot be reached. */
static int unreachable(const uint32_t *firsts, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (owner_entry(&core.blocks, firsts[i]) & OWNER_GONE)
            return -ENOSPC;
    return 0;
}

int restore_blocks(const uint32_t *firsts, uint32_t count)
{
    core.unreadable = false;
    for (uint32_t i = 0; i < count; i++)
        repair(firsts[i]);
    for (unsigned ordinal = 0; ordinal < core.device->count; ordinal++)
        if (core.devices[ordinal].away_bytes)
            restore_on(ordinal, firsts, count);
    return unreachable(firsts, count);
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
    return core.unreadable ? -EIO : atomic_load(&core.captures) ? -EBUSY : -ENOSPC;
}
