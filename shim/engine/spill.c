/* SPDX-License-Identifier: Apache-2.0 */
/* spill.c - host to disk. See spill.h. */
#include "engine/spill.h"

#include <errno.h>
#include <stddef.h>

#include "base/compiler.h"
#include "engine/pause.h"
#include "engine/pick.h"
#include "engine/restore.h"
#include "engine/step.h"
#include "host/host_block.h"
#include "ledger/busy.h"
#include "ledger/copies.h"
#include "ledger/headroom.h"
#include "ledger/state.h"
#include "tier/slot.h"

enum {
    SPILL_BATCH = 8
};

/* The bytes that are to be written. */
struct wish {
    uint64_t bytes;
    uint64_t newest;      /* only blocks with a stamp up to here; 0: of any age */
    uint64_t room_bytes;  /* of the disk: a registered block goes there as a whole */
    const uint32_t *only; /* first granule of the only block; NULL: any */
    bool only_registered;
};

static uint64_t unmapped_bytes(uint32_t first, void *arg)
{
    const struct block *block = &core.blocks.block[first];
    const struct wish *wish = arg;
    uint64_t bytes;

    if ((wish->only && *wish->only != first) || !block_alive(block) || block_in_launch(first) ||
        (wish->only_registered && !(block->flags & BLOCK_REGISTERED)))
        return 0;
    bytes = chunks_bytes(&core.blocks, first, CHUNKS_UNMAPPED(CHUNK_HOST));
    return block->flags & BLOCK_REGISTERED && bytes > wish->room_bytes ? 0 : bytes;
}

/* Under the lock: the next chunks to be written, marked SPILLING. */
static uint32_t plan(struct step *batch, const struct wish *wish)
{
    const uint32_t *list;
    struct wish asked = *wish;
    uint64_t planned = 0;
    uint32_t count = 0, blocks;

    asked.room_bytes = headroom_disk();
    lock_acquire(&core.lock);
    blocks = pick_blocks(wish->bytes, wish->newest, unmapped_bytes, &asked, &list);
    for (uint32_t i = 0; i < blocks && planned < wish->bytes; i++)
        chunks_each(g, &core.blocks, list[i]) {
            const struct chunk *chunk = &core.blocks.chunk[g];
            bool enough = planned >= wish->bytes && !(core.blocks.block[list[i]].flags & BLOCK_REGISTERED);

            if (!chunk_in(chunk, CHUNKS_UNMAPPED(CHUNK_HOST)) || enough || count == SPILL_BATCH)
                continue;
            planned += chunk_bytes(chunk);
            batch[count++] = step_begin(list[i], g, CHUNK_SPILLING);
        }
    lock_release(&core.lock);
    return count;
}

static void start(struct step *spill)
{
    struct chunk *chunk = step_chunk(spill);
    uint64_t slot;

    /* Equal since it was unmapped: nothing is saved twice. */
    if (chunk->slot != SLOT_NONE || spill->reloadable) {
        spill->transfer.slot = chunk->slot;
        spill->clean = true;
        return;
    }
    spill->result = slot_take(&core.disk, chunk_bytes(chunk), &slot);
    if (spill->result == -ENOSPC && copies_reclaim_slots())
        spill->result = slot_take(&core.disk, chunk_bytes(chunk), &slot);
    if (spill->result)
        return;
    step_submit(spill, TIER_HOST, slot_tier(slot), 0, slot);
    if (spill->result)
        slot_give(&core.disk, slot, chunk_bytes(chunk));
}

/* Under the lock: the chunk's new state. True: its bytes are on disk now. */
static bool settle(struct step *spill)
{
    struct chunk *chunk = step_chunk(spill);

    if (spill->result) {
        spill->slab = 0;
    } else {
        chunk->slot = spill->transfer.slot;
        chunk->slot_epoch = UINT64_MAX;
        chunk->slab = NULL;
    }
    chunk_move(chunk, spill->result ? CHUNK_HOST : CHUNK_DISK);
    host_share_block(spill->first);
    return !spill->result;
}

/* Count the batch and tell of failed writes, whose slots are free again. Returns whether a chunk found no slot. */
static bool tell_batch(const struct step *batch, uint32_t count, uint64_t since_ns)
{
    bool is_full = false;

    steps_count(MOVE_HOST_TO_DISK, batch, count, since_ns);
    for (uint32_t i = 0; i < count; i++) {
        if (!batch[i].result) {
            counters_add(&core.counters.dropped_clean, batch[i].clean);
        } else if (batch[i].submitted) {
            slot_give(&core.disk, batch[i].transfer.slot, step_bytes(&batch[i]));
            headroom_save_failed(batch[i].result);
        } else {
            is_full = true;
        }
    }
    return is_full;
}

/* Write a batch of chunks. Returns the bytes that are on disk now. */
static uint64_t write_batch(const struct wish *wish, bool *out_full)
{
    struct step batch[SPILL_BATCH];
    uint32_t count = plan(batch, wish);
    uint64_t since_ns = core_now();

    for (uint32_t i = 0; i < count; i++)
        start(&batch[i]);
    steps_wait(batch, count);
    *out_full = tell_batch(batch, count, since_ns);
    return steps_commit(batch, count, settle);
}

/* A scan reads into a slab, and without a scan nothing could go to disk: where the host has no slab left, the reserve
 * of both tiers lies with a device. */
static void find_slab_for_scan(void)
{
    for (unsigned i = 0; i < core.device->count && headroom_host() < GRANULE_BYTES; i++)
        restore_lend_slab(i);
}

/* Have `bytes` more unmapped, in a pause. False: nothing was. */
static bool unmap_more(const struct wish *wish, uint64_t bytes)
{
    struct pause_plan plan = {.unmap_bytes = bytes, .newest = wish->newest, .only = wish->only};

    if (wish->only_registered || !core.mapped)
        return false;
    if (options_search(core.options) && !wish->only) /* a scan costs the same for many blocks as for one */
        plan.unmap_bytes += core.host_budget.used_bytes / 4;
    if (pause_could_scan())
        find_slab_for_scan();
    return pause_run(&plan).unmapped_bytes;
}

/* Returns the bytes that went. */
static uint64_t write(struct wish wish)
{
    uint64_t gone = 0, all = wish.bytes, written;
    bool is_full = false;

    if (!core.device || core_places())
        return 0;
    for (; gone < all && !is_full && headroom_disk_open(); wish.bytes = all - gone) {
        written = write_batch(&wish, &is_full);
        gone += written;
        if (!written && !is_full && !unmap_more(&wish, all - gone))
            break;
    }
    return gone;
}

static uint64_t slab_bytes(uint32_t first, IGNORED void *arg)
{
    uint64_t bytes = 0;

    if (!block_alive(&core.blocks.block[first]) || !core.blocks.object[first].copies)
        return 0;
    chunks_each(g, &core.blocks, first) {
        const struct chunk *chunk = &core.blocks.chunk[g];

        if (chunk->state == CHUNK_RESIDENT && chunk->slab)
            bytes += chunk_bytes(chunk);
    }
    return bytes;
}

/* Slabs that are copies go, least recent first. Returns their bytes. */
static uint64_t reclaim_copies(uint64_t bytes)
{
    const uint32_t *list;
    uint64_t given = 0;
    uint32_t count;

    lock_acquire(&core.lock);
    count = pick_blocks(bytes, 0, slab_bytes, NULL, &list);
    lock_release(&core.lock);
    for (uint32_t i = 0; i < count && given < bytes; i++)
        given += copies_void(list[i]);
    return given;
}

int spill_cold(uint64_t bytes, uint64_t newest)
{
    uint64_t gone = write((struct wish){.bytes = bytes, .newest = newest});

    /* A timer cannot tell whether host blocks are cold: their uses are not seen. Need decides alone. */
    if (gone < bytes && !newest)
        gone += host_block_demote(bytes - gone);
    /* Copies of what is on the device go last: without them it would be saved again. */
    if (gone < bytes && core.shares_used)
        gone += reclaim_copies(bytes - gone);
    return gone >= bytes ? 0 : -ENOSPC;
}

int spill_make_room(uint64_t bytes)
{
    return spill_cold(bytes, 0);
}

uint64_t spill_registered(uint64_t bytes)
{
    uint64_t gone = write((struct wish){.bytes = bytes, .only_registered = true});

    return gone < bytes ? gone + host_block_demote(bytes - gone) : gone;
}

uint64_t spill_block(uint32_t first)
{
    return write((struct wish){.bytes = core.blocks.block[first].granules * GRANULE_BYTES, .only = &first});
}
