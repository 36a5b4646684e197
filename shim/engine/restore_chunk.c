/* SPDX-License-Identifier: Apache-2.0 */
/* restore_chunk.c - see restore_chunk.h. */
#include "engine/restore_chunk.h"

#include <errno.h>
#include <stddef.h>

#include "engine/allocate.h"
#include "ledger/busy.h"

struct step restore_chunk_begin(uint32_t first, uint32_t granule)
{
    struct chunk *chunk = &core.blocks.chunk[granule];
    const struct object *object = &core.blocks.object[first];
    struct step restore = {
        .first = first,
        .granule = granule,
        .slab = (uintptr_t)chunk->slab,
        .from_disk = chunk->state == CHUNK_DISK,
        .dropped = chunk_dropped(chunk),
        .keep = core.blocks.block[first].flags & BLOCK_REGISTERED && object->flags & OBJECT_KEEP &&
                !object->reload,
    };

    chunk_move(chunk, CHUNK_RETURNING);
    return restore;
}

int restore_chunk_take(struct step *restore, uint64_t keep_free_bytes)
{
    int error = allocate_take(step_ordinal(restore), step_bytes(restore), keep_free_bytes, &restore->handle);

    if (error < 0)
        restore->handle = 0;
    return error;
}

void restore_chunk_give(struct step *restore, bool is_good)
{
    struct recycler *handles = &core.devices[step_ordinal(restore)].handles;

    if (is_good)
        recycler_return(handles, step_bytes(restore), restore->handle);
    else
        recycler_discard(handles, step_bytes(restore), restore->handle);
    restore->handle = 0;
}

/* The chunk is resident. Where the program answers for what is written, the slot or the slab that it came from stays
 * good. */
static void settle_resident(struct step *restore)
{
    struct chunk *chunk = step_chunk(restore);

    chunk->handle = restore->handle;
    restore->handle = 0;
    chunk->copied = restore->keep;
    core.blocks.object[restore->first].copies += restore->keep;
    if (restore->keep && !restore->from_disk)
        restore->slab = 0;
    else
        chunk->slab = NULL;
    core.devices[step_ordinal(restore)].away_bytes -= chunk_bytes(chunk);
    share_moved(restore->first, (int64_t)chunk_bytes(chunk));
    block_returned(restore->first);
    counters_add(&core.counters.restores, 1);
    chunk_move(chunk, CHUNK_RESIDENT);
}

static void settle_failed(struct step *restore)
{
    struct chunk *chunk = step_chunk(restore);

    if (restore->result == -EFAULT)
        chunk_move(chunk, CHUNK_BROKEN);
    else
        chunk_move(chunk, restore->from_disk ? CHUNK_DISK : CHUNK_HOST);
    if (chunk->state == CHUNK_DISK)
        chunk->slab = NULL;
    else
        restore->slab = 0;
}

bool restore_chunk_settle(struct step *restore)
{
    struct chunk *chunk = step_chunk(restore);

    if (restore->result) {
        settle_failed(restore);
    } else {
        if (chunk->slot != SLOT_NONE)
            chunk->slot_epoch = restore->epoch;
        chunk->mapped = !restore->handle;
        if (!(core.blocks.block[restore->first].flags & BLOCK_REGISTERED))
            atomic_fetch_sub(&core.away_unproven, 1);
        if (restore->handle) {
            settle_resident(restore);
        } else {
            restore->slab = 0;
            chunk_move(chunk, CHUNK_HOST);
        }
    }
    block_publish(&core.blocks, restore->first);
    host_share_block(restore->first);
    return !restore->result;
}
