/* SPDX-License-Identifier: Apache-2.0 */
/* arrival.c - see arrival.h. */
#include "engine/restore_stream.h"

#include <errno.h>
#include <stddef.h>

#include "base/log.h"
#include "engine/allocate.h"
#include "engine/remap.h"
#include "engine/restore_chunk.h"
#include "ledger/headroom.h"

enum {
    ARRIVALS = 256
};

/* Written with the role and the lock. */
static struct {
    struct returning chunk[ARRIVALS];
    const void *stream[ARRIVALS];
} arrivals;

_Atomic uint32_t arrival_count;

void arrivals_forked(void)
{
    atomic_store(&arrival_count, 0);
}

static uint64_t address_of(const struct returning *returning)
{
    return granule_address(&core.blocks, returning->granule);
}

static unsigned ordinal_of(const struct returning *returning)
{
    return core.blocks.block[returning->first].ordinal;
}

/* Under the lock: chunks that are away join, if all of them are unmapped host memory. Returns how many; 0: they are
 * not. */
static uint32_t plan(uint32_t first, struct returning *list, uint32_t most)
{
    uint32_t count = 0;

    if (!block_alive(&core.blocks.block[first])) /* freed by another thread */
        return 0;
    for (uint32_t g = first, more = 1; more; more = g = chunk_next(&core.blocks, first, g)) {
        const struct chunk *chunk = &core.blocks.chunk[g];

        if (chunk->state == CHUNK_RESIDENT)
            continue;
        if (chunk->state != CHUNK_HOST || chunk->mapped || count++ == most)
            return 0;
    }
    for (uint32_t g = first, more = 1, i = 0; more; more = g = chunk_next(&core.blocks, first, g))
        if (core.blocks.chunk[g].state == CHUNK_HOST)
            list[i++] = returning_begin(first, g);
    return count;
}

/* Take its address and its memory away again; the slab has the bytes. */
static void undo(struct returning *returning, bool is_mapped)
{
    struct stock *handles = &core.devices[ordinal_of(returning)].handles;
    uint64_t bytes = chunk_bytes(returning_chunk(returning));

    if (returning->submitted)
        executors_wait(&core.executors, &returning->transfer);
    if (is_mapped && core.device->unmap(core.device, address_of(returning), bytes) < 0)
        returning->result = -EFAULT;
    if (returning->handle && returning->result == -EFAULT)
        stock_discard(handles, bytes, returning->handle);
    else if (returning->handle)
        stock_return(handles, bytes, returning->handle);
    returning->handle = 0;
    if (returning->result != -EFAULT)
        returning->result = -EAGAIN;
}

/* Memory at its address, on its way to be filled. False: nothing of that. */
static bool start(struct returning *returning)
{
    struct chunk *chunk = returning_chunk(returning);
    unsigned ordinal = ordinal_of(returning);
    uint64_t bytes = chunk_bytes(chunk);

    returning->result = tier_verify(chunk, address_of(returning));
    if (!returning->result)
        returning->result = allocate_take(ordinal, bytes, 0, &returning->handle);
    if (returning->result) {
        returning->handle = 0;
        returning->result = -EAGAIN; /* whatever it is, the one who waits for it meets it again */
        return false;
    }
    returning->epoch = gate_writes();
    returning->result = swap_in(ordinal, address_of(returning), bytes, returning->handle);
    if (returning->result) {
        undo(returning, false);
        return false;
    }
    returning_submit(returning, TIER_HOST, TIER_DEVICE, address_of(returning));
    if (returning->result)
        undo(returning, true);
    return returning->handle != 0;
}

static void commit(struct returning *returning)
{
    uint64_t slab = returning->slab, bytes = chunk_bytes(returning_chunk(returning));
    bool spare;

    pthread_mutex_lock(&core.lock);
    spare = returning_commit(returning);
    pthread_cond_broadcast(&core.changed);
    pthread_mutex_unlock(&core.lock);
    if (spare)
        stock_return(&core.slabs, bytes, slab);
}

/* Nothing of the block is on its way. */
static void give_up(struct returning *list, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (list[i].handle)
            undo(&list[i], true);
        else if (!list[i].result)
            list[i].result = -EAGAIN;
        commit(&list[i]);
    }
}

int arrival_begin(uint32_t first, void *stream)
{
    uint32_t from = atomic_load(&arrival_count), count, started = 0;
    struct returning *list = &arrivals.chunk[from];

    if (!core.device->order || atomic_load(&core.captures))
        return -EAGAIN;
    pthread_mutex_lock(&core.lock);
    count = plan(first, list, ARRIVALS - from);
    pthread_mutex_unlock(&core.lock);
    while (started < count && start(&list[started]))
        started++;
    if (!count || started < count ||
        core.device->order(core.device, core.blocks.block[first].ordinal, stream) < 0) {
        give_up(list, count);
        return -EAGAIN;
    }
    for (uint32_t i = 0; i < count; i++)
        arrivals.stream[from + i] = stream;
    pthread_mutex_lock(&core.lock);
    atomic_store_explicit(&arrival_count, from + count, memory_order_release);
    pthread_mutex_unlock(&core.lock);
    return 0;
}

/* Its stream may have written to it already: it stays where it is, whatever the driver says of the copy. An error is
 * told twice only where nothing works any more. */
static void complete(struct returning *returning)
{
    int r = executors_wait(&core.executors, &returning->transfer);

    if (r < 0 && core.device->copied(core.device, ordinal_of(returning)) < 0)
        log_line(LOG_ERROR, "the copy to address %llx failed: what its stream finds there is not what left",
                 (unsigned long long)address_of(returning));
    returning->result = 0;
}

void arrivals_settle(void)
{
    uint32_t count = atomic_load(&arrival_count);
    uint64_t since_ns = core_now();

    for (uint32_t i = 0; i < count; i++) {
        complete(&arrivals.chunk[i]);
        stats_moved(MOVE_HOST_TO_DEVICE, arrivals.chunk[i].transfer.bytes, i ? 0 : core_now() - since_ns);
    }
    for (uint32_t i = 0; i < count; i++)
        commit(&arrivals.chunk[i]);
    pthread_mutex_lock(&core.lock);
    atomic_store_explicit(&arrival_count, 0, memory_order_release);
    pthread_mutex_unlock(&core.lock);
}

/* Under the lock. */
static bool comes_behind(uint32_t first, const void *stream)
{
    bool found = false;

    for (uint32_t i = 0, count = atomic_load(&arrival_count); i < count; i++) {
        if (arrivals.chunk[i].first != first)
            continue;
        found = arrivals.stream[i] == stream;
        if (!found)
            break;
    }
    return found;
}

bool arrival_serves(const struct use *use)
{
    bool serves = use->stream && !use->all && !use->more_count;

    if (!serves || !arrival_any())
        return false;
    pthread_mutex_lock(&core.lock);
    for (uint32_t i = 0; serves && i < use->count; i++) {
        uint32_t first;

        if (blocks_at(&core.blocks, use->granule[i], &first) &&
            owner_entry(&core.blocks, first) & OWNER_FLAGS)
            serves = comes_behind(first, use->stream);
    }
    pthread_mutex_unlock(&core.lock);
    return serves;
}
