/* SPDX-License-Identifier: Apache-2.0 */
/* restore_stream.c - see restore_stream.h. */
#include "engine/restore_stream.h"

#include <errno.h>
#include <stddef.h>

#include "base/log.h"
#include "engine/allocate.h"
#include "engine/remap.h"
#include "engine/restore_chunk.h"
#include "ledger/headroom.h"

enum {
    RESTORE_STREAMS = 256
};

/* Written with the role and the lock. */
static struct {
    struct restore_chunk chunk[RESTORE_STREAMS];
    const void *stream[RESTORE_STREAMS];
} streamed;

_Atomic uint32_t restore_stream_count;

void restore_streams_forked(void)
{
    atomic_store(&restore_stream_count, 0);
}

static uint64_t address_of(const struct restore_chunk *restore)
{
    return granule_address(&core.blocks, restore->granule);
}

static unsigned ordinal_of(const struct restore_chunk *restore)
{
    return core.blocks.block[restore->first].ordinal;
}

/* Under the lock: chunks that are away join, if all of them are unmapped host memory. Returns how many; 0: they are
 * not. */
static uint32_t plan(uint32_t first, struct restore_chunk *list, uint32_t most)
{
    uint32_t count = 0, i = 0;

    if (!block_alive(&core.blocks.block[first])) /* freed by another thread */
        return 0;
    chunks_each(g, &core.blocks, first) {
        const struct chunk *chunk = &core.blocks.chunk[g];

        if (chunk->state == CHUNK_RESIDENT)
            continue;
        if (chunk->state != CHUNK_HOST || chunk->mapped || count++ == most)
            return 0;
    }
    chunks_each(g, &core.blocks, first)
        if (core.blocks.chunk[g].state == CHUNK_HOST)
            list[i++] = restore_chunk_begin(first, g);
    return count;
}

/* Take its address and its memory away again; the slab has the bytes. */
static void undo(struct restore_chunk *restore, bool is_mapped)
{
    struct recycler *handles = &core.devices[ordinal_of(restore)].handles;
    uint64_t bytes = chunk_bytes(restore_chunk_of(restore));

    if (restore->submitted)
        executors_wait(&core.executors, &restore->transfer);
    if (is_mapped && core.device->unmap(core.device, address_of(restore), bytes) < 0)
        restore->result = -EFAULT;
    if (restore->handle && restore->result == -EFAULT)
        recycler_discard(handles, bytes, restore->handle);
    else if (restore->handle)
        recycler_return(handles, bytes, restore->handle);
    restore->handle = 0;
    if (restore->result != -EFAULT)
        restore->result = -EAGAIN;
}

/* Memory at its address, on its way to be filled. False: nothing of that. */
static bool start(struct restore_chunk *restore)
{
    struct chunk *chunk = restore_chunk_of(restore);
    unsigned ordinal = ordinal_of(restore);
    uint64_t bytes = chunk_bytes(chunk);

    restore->result = chunk_verify(chunk, address_of(restore));
    if (!restore->result)
        restore->result = allocate_take(ordinal, bytes, 0, &restore->handle);
    if (restore->result) {
        restore->handle = 0;
        restore->result = -EAGAIN; /* whatever it is, the one who waits for it meets it again */
        return false;
    }
    restore->epoch = gate_writes();
    restore->result = backing_map(ordinal, address_of(restore), bytes, restore->handle);
    if (restore->result) {
        undo(restore, false);
        return false;
    }
    restore_chunk_submit(restore, TIER_HOST, TIER_DEVICE, address_of(restore));
    if (restore->result)
        undo(restore, true);
    return restore->handle != 0;
}

static void commit(struct restore_chunk *restore)
{
    uint64_t slab = restore->slab, bytes = chunk_bytes(restore_chunk_of(restore));
    bool spare;

    lock_acquire(&core.lock);
    spare = restore_chunk_commit(restore);
    pthread_cond_broadcast(&core.changed);
    lock_release(&core.lock);
    if (spare)
        recycler_return(&core.slabs, bytes, slab);
}

/* Nothing of the block is on its way. */
static void give_up(struct restore_chunk *list, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (list[i].handle)
            undo(&list[i], true);
        else if (!list[i].result)
            list[i].result = -EAGAIN;
        commit(&list[i]);
    }
}

int restore_stream_begin(uint32_t first, void *stream)
{
    uint32_t from = atomic_load(&restore_stream_count), count, started = 0;
    struct restore_chunk *list = &streamed.chunk[from];

    if (!core.device->order || atomic_load(&core.captures))
        return -EAGAIN;
    lock_acquire(&core.lock);
    count = plan(first, list, RESTORE_STREAMS - from);
    lock_release(&core.lock);
    while (started < count && start(&list[started]))
        started++;
    if (!count || started < count ||
        core.device->order(core.device, core.blocks.block[first].ordinal, stream) < 0) {
        give_up(list, count);
        return -EAGAIN;
    }
    for (uint32_t i = 0; i < count; i++)
        streamed.stream[from + i] = stream;
    lock_acquire(&core.lock);
    atomic_store_explicit(&restore_stream_count, from + count, memory_order_release);
    lock_release(&core.lock);
    return 0;
}

/* Its stream may have written to it already: it stays where it is, whatever the driver says of the copy. An error is
 * told twice only where nothing works any more. */
static void complete(struct restore_chunk *restore)
{
    int r = executors_wait(&core.executors, &restore->transfer);

    if (r < 0 && core.device->copied(core.device, ordinal_of(restore)) < 0)
        log_line(LOG_ERROR, "the copy to address %llx failed: what its stream finds there is not what left",
                 (unsigned long long)address_of(restore));
    restore->result = 0;
}

void restore_streams_settle(void)
{
    uint32_t count = atomic_load(&restore_stream_count);
    uint64_t since_ns = core_now();

    for (uint32_t i = 0; i < count; i++) {
        complete(&streamed.chunk[i]);
        stats_moved(MOVE_HOST_TO_DEVICE, streamed.chunk[i].transfer.bytes, i ? 0 : core_now() - since_ns);
    }
    for (uint32_t i = 0; i < count; i++)
        commit(&streamed.chunk[i]);
    lock_acquire(&core.lock);
    atomic_store_explicit(&restore_stream_count, 0, memory_order_release);
    lock_release(&core.lock);
}

/* Under the lock. */
static bool comes_behind(uint32_t first, const void *stream)
{
    bool found = false;

    for (uint32_t i = 0, count = atomic_load(&restore_stream_count); i < count; i++) {
        if (streamed.chunk[i].first != first)
            continue;
        found = streamed.stream[i] == stream;
        if (!found)
            break;
    }
    return found;
}

bool restore_stream_serves(const struct use *use)
{
    bool serves = use->stream && !use->all && !use->more_count;

    if (!serves || !restore_stream_any())
        return false;
    lock_acquire(&core.lock);
    for (uint32_t i = 0; serves && i < use->count; i++) {
        uint32_t first;

        if (blocks_at(&core.blocks, use->granule[i], &first) &&
            owner_entry(&core.blocks, first) & OWNER_FLAGS)
            serves = comes_behind(first, use->stream);
    }
    lock_release(&core.lock);
    return serves;
}
