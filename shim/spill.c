/* SPDX-License-Identifier: Apache-2.0 */
/* spill.c - host to disk. The gate stays open: what is written here no kernel can reach. See mover.h. */
#include "mover.h"

#include <errno.h>
#include <stddef.h>

#include "closure.h"
#include "host_block.h"
#include "pick.h"
#include "state.h"
#include "tier.h"

enum {
    SPILL_FLIGHT = 8
};

struct spill {
    uint32_t first, granule;
    struct transfer transfer;
    bool submitted;
    bool clean; /* its slot holds the same bytes already */
    int result;
};

static uint64_t unmapped_bytes(uint32_t first, void *arg)
{
    const struct block *block = &core.blocks.block[first];
    uint64_t bytes = 0;

    (void)arg;
    if (!block_alive(block) || block_in_launch(first))
        return 0;
    for (uint32_t g = first, more = 1; more; more = g = chunk_next(&core.blocks, first, g))
        if (core.blocks.chunk[g].state == CHUNK_HOST && !core.blocks.chunk[g].mapped)
            bytes += chunk_bytes(&core.blocks.chunk[g]);
    return bytes;
}

/* Under the lock: the next chunks to be written, marked SPILLING. */
static uint32_t plan(struct spill *flight, uint64_t bytes, uint64_t newest)
{
    const uint32_t *list;
    uint64_t planned = 0;
    uint32_t count = 0, blocks;

    pthread_mutex_lock(&core.lock);
    blocks = pick_blocks(bytes, newest, unmapped_bytes, NULL, &list);
    for (uint32_t i = 0; i < blocks; i++)
        for (uint32_t g = list[i], more = 1; more; more = g = chunk_next(&core.blocks, list[i], g)) {
            struct chunk *chunk = &core.blocks.chunk[g];

            if (chunk->state != CHUNK_HOST || chunk->mapped || planned >= bytes || count == SPILL_FLIGHT)
                continue;
            chunk_move(chunk, CHUNK_SPILLING);
            planned += chunk_bytes(chunk);
            flight[count++] = (struct spill){.first = list[i], .granule = g};
        }
    pthread_mutex_unlock(&core.lock);
    return count;
}

static void start(struct spill *spill)
{
    struct chunk *chunk = &core.blocks.chunk[spill->granule];
    uint64_t slot;

    if (chunk->slot != SLOT_NONE) { /* equal since it was unmapped: nothing is saved twice */
        spill->transfer.slot = chunk->slot;
        spill->clean = true;
        return;
    }
    spill->result = disk_take(&core.disk, chunk_bytes(chunk), &slot);
    if (spill->result == -ENOSPC && tier_reclaim_slots())
        spill->result = disk_take(&core.disk, chunk_bytes(chunk), &slot);
    if (spill->result)
        return;
    spill->transfer = (struct transfer){
        .from = TIER_HOST,
        .to = TIER_DISK,
        .host = &chunk->slab->memory,
        .slot = slot,
        .bytes = chunk_bytes(chunk),
    };
    spill->result = executors_submit(&core.executors, &spill->transfer);
    spill->submitted = !spill->result;
    if (spill->result)
        disk_give(&core.disk, slot, chunk_bytes(chunk));
}

/* The chunk's new state; its bytes when they are on disk now. */
static uint64_t settle(struct spill *spill)
{
    struct chunk *chunk = &core.blocks.chunk[spill->granule];
    struct slab *slab = chunk->slab;
    uint64_t bytes = chunk_bytes(chunk);

    if (spill->submitted && spill->result)
        disk_give(&core.disk, spill->transfer.slot, bytes);
    pthread_mutex_lock(&core.lock);
    if (!spill->result) {
        chunk->slot = spill->transfer.slot;
        chunk->slot_epoch = UINT64_MAX;
        chunk->slab = NULL;
    }
    chunk_move(chunk, spill->result ? CHUNK_HOST : CHUNK_DISK);
    pthread_cond_broadcast(&core.changed);
    pthread_mutex_unlock(&core.lock);
    if (spill->result)
        return 0;
    stock_return(&core.slabs, bytes, (uintptr_t)slab);
    return bytes;
}

/* Write up to a flight of chunks. Returns the bytes written. */
static uint64_t write_flight(uint64_t bytes, uint64_t newest, bool *out_full)
{
    struct spill flight[SPILL_FLIGHT];
    uint32_t count = plan(flight, bytes, newest);
    uint64_t since_ns = core_now(), written = 0;

    for (uint32_t i = 0; i < count; i++)
        start(&flight[i]);
    for (uint32_t i = 0; i < count; i++)
        if (flight[i].submitted)
            flight[i].result = executors_wait(&core.executors, &flight[i].transfer);
    since_ns = core_now() - since_ns;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t saved = settle(&flight[i]);

        if (saved && flight[i].clean) {
            stats_add(&core.counters.dropped_clean, 1);
        } else if (saved) {
            stats_moved(MOVE_HOST_TO_DISK, saved, since_ns);
            since_ns = 0;
        } else if (flight[i].submitted) {
            tier_save_failed(flight[i].result);
        } else {
            *out_full = true;
        }
        written += saved;
    }
    return written;
}

int mover_spill(uint64_t bytes, uint64_t newest)
{
    uint64_t gone = 0;
    bool full = false;

    while (core.device && gone < bytes && !full && tier_disk_open()) {
        struct closure closure = {.unmap_bytes = bytes - gone, .newest = newest};
        uint64_t written = write_flight(bytes - gone, newest, &full);

        gone += written;
        if (written || full)
            continue;
        if (core.options->disk == DISK_AUTO) /* a search costs the same for one block as for many */
            closure.unmap_bytes += core.host_budget.used_bytes / 4;
        if (!core.mapped || closure_run(&closure) < 0 || !closure.unmapped_bytes)
            break;
    }
    /* A timer cannot tell whether host blocks are cold: their uses are not seen. Need decides alone. */
    if (gone < bytes && newest == UINT64_MAX)
        gone += host_block_demote(bytes - gone);
    return gone >= bytes ? 0 : -ENOSPC;
}
