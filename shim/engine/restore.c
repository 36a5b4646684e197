/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restore.c - bring blocks back. See mover.h.
 *
 * What is mapped host memory comes back in a pause of the gate; what is unmapped, in flights with the gate open.
 */
#include "engine/mover.h"

#include <errno.h>
#include <stddef.h>

#include "base/log.h"
#include "engine/pause.h"
#include "engine/restore_wait.h"
#include "ledger/headroom.h"
#include "ledger/state.h"

struct restore_need {
    uint64_t mapped_bytes, host_bytes, disk_bytes;
    uint64_t smallest_bytes; /* mapped chunk: no pause is worth less room */
};

static struct restore_need need_of(const uint32_t *firsts, uint32_t count, unsigned ordinal)
{
    struct restore_need need = {.smallest_bytes = UINT64_MAX};

    lock_acquire(&core.lock);
    for (uint32_t i = 0; i < count; i++) {
        if (!block_alive(&core.blocks.block[firsts[i]]) || core.blocks.block[firsts[i]].ordinal != ordinal)
            continue;
        chunks_each(g, &core.blocks, firsts[i]) {
            const struct chunk *chunk = &core.blocks.chunk[g];

            if (chunk->state == CHUNK_DISK)
                need.disk_bytes += chunk_bytes(chunk);
            else if (chunk->state == CHUNK_HOST && !chunk->mapped)
                need.host_bytes += chunk_bytes(chunk);
            else if (chunk->state == CHUNK_HOST) {
                need.mapped_bytes += chunk_bytes(chunk);
                if (need.smallest_bytes > chunk_bytes(chunk))
                    need.smallest_bytes = chunk_bytes(chunk);
            }
        }
    }
    lock_release(&core.lock);
    return need;
}

/* ---- broken chunks --------------------------------------------------------------------------------------- */

/* Under the lock: a broken chunk of the block, marked UNMAPPING: a free waits for it. False: there is none. */
static bool take_broken(uint32_t first, uint32_t *out_granule)
{
    if (!block_alive(&core.blocks.block[first]))
        return false;
    chunks_each(g, &core.blocks, first)
        if (core.blocks.chunk[g].state == CHUNK_BROKEN) {
            chunk_move(&core.blocks.chunk[g], CHUNK_UNMAPPING);
            *out_granule = g;
            return true;
        }
    return false;
}

/* Make the addresses of a block clean again; from then on what was broken is an unmapped chunk like any other. */
static void repair(uint32_t first)
{
    uint32_t granule;
    bool broken;

    do {
        lock_acquire(&core.lock);
        broken = take_broken(first, &granule);
        lock_release(&core.lock);
        if (!broken)
            return;
        core.device->unmap(core.device, granule_address(&core.blocks, granule),
                           chunk_bytes(&core.blocks.chunk[granule]));
        lock_acquire(&core.lock);
        chunk_move(&core.blocks.chunk[granule], CHUNK_HOST);
        pthread_cond_broadcast(&core.changed);
        lock_release(&core.lock);
    } while (broken);
}

/* ---- the whole ------------------------------------------------------------------------------------------- */

/* -ENOSPC when a block of the list cannot be reached. */
static int unreachable(const uint32_t *firsts, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (owner_entry(&core.blocks, firsts[i]) & OWNER_GONE)
            return -ENOSPC;
    return 0;
}

/* A pause that makes room for all that is needed and swaps in what is mapped. Objects leave as a whole for it, unless
 * there is no room for a whole one: with a swap at a time it always fits. */
static void restore_mapped(unsigned ordinal, const uint32_t *firsts, uint32_t count, struct restore_need need)
{
    uint64_t bytes = need.mapped_bytes + need.host_bytes + need.disk_bytes;
    bool moved = false;

    for (int whole = 1; whole >= 0 && !moved; whole--) {
        struct pause pause = {
            .ordinal = ordinal,
            .newest = UINT64_MAX,
            .whole = whole,
            .patient = need.host_bytes + need.disk_bytes != 0,
            .restore = firsts,
            .restore_count = count,
            .evict_bytes = mover_ready_host(ordinal, bytes, bytes - need.disk_bytes),
        };

        moved = pause_run(&pause) < 0 || pause.evicted_bytes || pause.restored_bytes;
    }
}

/* Any block with a chunk in host memory. */
static bool find_in_host(unsigned ordinal, uint32_t *out_first, bool *out_mapped)
{
    bool found = false;

    lock_acquire(&core.lock);
    blocks_each(first, &core.blocks) {
        if (!block_alive(&core.blocks.block[first]) || core.blocks.block[first].ordinal != ordinal ||
            !chunks_bytes(&core.blocks, first, CHUNKS(CHUNK_HOST)))
            continue;
        *out_mapped = chunks_bytes(&core.blocks, first, CHUNKS_MAPPED(CHUNK_HOST)) != 0;
        *out_first = first;
        found = true;
        break;
    }
    lock_release(&core.lock);
    return found;
}

bool mover_lend_slab(unsigned ordinal)
{
    struct pause pause = {.ordinal = ordinal, .patient = true, .restore_count = 1, .restore_bytes = 1};
    uint32_t first;
    bool mapped = false;

    if (headroom_host() >= headroom_host_staging() || !find_in_host(ordinal, &first, &mapped))
        return false;
    if (!mapped)
        return restore_wait(&first, 1, 1, false) != 0;
    pause.restore = &first;
    return pause_run(&pause) == 0 && pause.restored_bytes;
}

/* Unmapped chunks come back as long as that helps. */
static void return_all(unsigned ordinal, const uint32_t *firsts, uint32_t count, bool allow_mapped)
{
    struct restore_need need;

    do
        need = need_of(firsts, count, ordinal);
    while (need.host_bytes + need.disk_bytes &&
           (restore_wait(firsts, count, RESTORE_CHUNKS_MOST, allow_mapped) ||
            (need.disk_bytes && mover_lend_slab(ordinal))));
}

static void restore_on(unsigned ordinal, const uint32_t *firsts, uint32_t count)
{
    struct restore_need need = need_of(firsts, count, ordinal);
    bool returned = true;

    while (returned && need.host_bytes + need.disk_bytes + need.mapped_bytes) {
        uint64_t before = need.host_bytes + need.disk_bytes + need.mapped_bytes;

        if (need.mapped_bytes && !atomic_load(&core.captures) &&
            (headroom_device(ordinal) >= need.smallest_bytes ||
             mover_anything_leaves(ordinal, UINT64_MAX, false)))
            restore_mapped(ordinal, firsts, count, need);
        else if (need.host_bytes + need.disk_bytes)
            mover_make_room(ordinal, need.host_bytes + need.disk_bytes, need.host_bytes, UINT64_MAX);
        return_all(ordinal, firsts, count, false);
        need = need_of(firsts, count, ordinal);
        returned = need.host_bytes + need.disk_bytes + need.mapped_bytes < before;
        if (need.mapped_bytes && !(need.host_bytes + need.disk_bytes))
            break;
    }
    return_all(ordinal, firsts, count, true);
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

int mover_bring(uint32_t first)
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
