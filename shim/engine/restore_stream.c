/* SPDX-License-Identifier: Apache-2.0 */
/* restore_stream.c - behind a stream. See restore.h. */
#include "engine/restore.h"

#include <errno.h>

#include "base/log.h"
#include "engine/core.h"
#include "engine/gate.h"
#include "engine/remap.h"
#include "engine/step.h"

enum {
    RESTORE_STREAMS = 256
};

/* Written with the role and the lock. */
static struct {
    struct step step[RESTORE_STREAMS];
    const void *stream[RESTORE_STREAMS];
} streamed;

_Atomic uint32_t restore_stream_count;

void restore_streams_forked(void)
{
    atomic_store(&restore_stream_count, 0);
}

/* Under the lock: chunks that are away join, marked RETURNING, if all of them are unmapped host memory. Returns how
 * many; 0: they are not. */
static uint32_t plan(uint32_t first, struct step *list, uint32_t most)
{
    uint32_t count = 0;

    if (!block_alive(&core.blocks.block[first])) /* freed by another thread */
        return 0;
    chunks_each(g, &core.blocks, first)
        if (core.blocks.chunk[g].state != CHUNK_RESIDENT &&
            (!chunk_in(&core.blocks.chunk[g], CHUNKS_UNMAPPED(CHUNK_HOST)) || count++ == most))
            return 0;
    count = 0;
    chunks_each(g, &core.blocks, first)
        if (core.blocks.chunk[g].state == CHUNK_HOST)
            list[count++] = step_begin(first, g, CHUNK_RETURNING);
    return count;
}

/* Take its address and its memory away again; the slab has the bytes. */
static void undo(struct step *restore, bool is_mapped)
{
    if (restore->submitted)
        executors_wait(&core.executors, &restore->transfer);
    if (is_mapped && core.device->unmap(core.device, step_address(restore), step_bytes(restore)) < 0)
        restore->result = -EFAULT;
    if (restore->handle)
        step_give(restore, restore->result != -EFAULT);
    if (restore->result != -EFAULT)
        restore->result = -EAGAIN;
}

/* Memory at its address, on its way to be filled. False: nothing of that. */
static bool start(struct step *restore)
{
    uint64_t address = step_address(restore);

    restore->result = chunk_verify(step_chunk(restore), address);
    if (!restore->result)
        restore->result = step_take(restore, 0);
    if (restore->result) {
        restore->result = -EAGAIN; /* whatever it is, the one who waits for it meets it again */
        return false;
    }
    restore->epoch = gate_writes();
    restore->result = backing_map(step_ordinal(restore), address, step_bytes(restore), restore->handle);
    if (restore->result) {
        undo(restore, false);
        return false;
    }
    step_submit(restore, TIER_HOST, TIER_DEVICE, address, SLOT_NONE);
    if (restore->result)
        undo(restore, true);
    return restore->handle != 0;
}

/* Nothing of the block is on its way. */
static void give_up(struct step *list, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (list[i].handle)
            undo(&list[i], true);
        else if (!list[i].result)
            list[i].result = -EAGAIN;
    }
    steps_commit(list, count, step_settle_restored);
}

int restore_stream_begin(uint32_t first, void *stream)
{
    uint32_t from = atomic_load(&restore_stream_count), count, started = 0;
    struct step *list = &streamed.step[from];

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

/* The stream may have written to the chunk already: it stays where it is, whatever the driver says of the copy. We ask
 * the driver again, so that an error of other work is not taken for the copy's own. */
static void complete(struct step *restore)
{
    int error = executors_wait(&core.executors, &restore->transfer);

    if (error < 0 && core.device->copied(core.device, step_ordinal(restore), WAY_IN) < 0)
        log_line(LOG_ERROR, "the copy to address %llx failed: what its stream finds there is not what left",
                 (unsigned long long)step_address(restore));
    restore->result = 0;
}

void restore_streams_settle(void)
{
    uint32_t count = atomic_load(&restore_stream_count);
    uint64_t since_ns = core_now();

    for (uint32_t i = 0; i < count; i++) {
        complete(&streamed.step[i]);
        counters_moved(&core.counters, MOVE_HOST_TO_DEVICE, streamed.step[i].transfer.bytes,
                       i ? 0 : core_now() - since_ns);
    }
    steps_commit(streamed.step, count, step_settle_restored);
    lock_acquire(&core.lock);
    atomic_store_explicit(&restore_stream_count, 0, memory_order_release);
    lock_release(&core.lock);
}

/* Under the lock. */
static bool comes_behind(uint32_t first, const void *stream)
{
    bool found = false;

    for (uint32_t i = 0, count = atomic_load(&restore_stream_count); i < count; i++) {
        if (streamed.step[i].first != first)
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
        uint32_t first, flags;

        if (!blocks_at(&core.blocks, use->granule[i], &first))
            continue;
        flags = owner_entry(&core.blocks, first) & OWNER_FLAGS;
        serves = !flags || (!(flags & OWNER_MATES) && comes_behind(first, use->stream));
    }
    lock_release(&core.lock);
    return serves;
}
