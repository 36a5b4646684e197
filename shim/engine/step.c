/* SPDX-License-Identifier: Apache-2.0 */
/* step.c - see step.h. */
#include "engine/step.h"

#include <errno.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/log.h"
#include "engine/foresight.h"
#include "engine/remap.h"
#include "ledger/busy.h"
#include "ledger/live.h"

struct step step_begin(uint32_t first, uint32_t granule, enum chunk_state moving)
{
    struct chunk *chunk = &core.blocks.chunk[granule];
    const struct object *object = &core.blocks.object[first];
    bool from_slab =
        moving == CHUNK_RETURNING || moving == CHUNK_SPILLING; /* else a slab is a copy of its own */
    struct step step = {
        .first = first,
        .granule = granule,
        .slab = from_slab ? (uintptr_t)chunk->slab : 0,
        .reloadable = block_reloadable(&core.blocks, first),
        .from_disk = chunk->state == CHUNK_DISK,
        .dropped = chunk_dropped(chunk),
    };

    step.keep = step_registered(&step) && object->flags & OBJECT_KEEP && !object->reload && !chunk->mapped;
    chunk_move(chunk, moving);
    return step;
}

void step_submit(struct step *step, enum tier from, enum tier to, uint64_t device_address, uint64_t slot)
{
    step->transfer = (struct transfer){
        .from = from,
        .to = to,
        .ordinal = step_ordinal(step),
        .device_address = device_address,
        .host = &step_slab(step)->memory,
        .slot = slot,
        .bytes = step_bytes(step),
    };
    step->result = executors_submit(&core.executors, &step->transfer);
    step->submitted = !step->result;
}

void steps_wait(struct step *list, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (list[i].submitted)
            list[i].result = executors_wait(&core.executors, &list[i].transfer);
}

bool steps_remap(struct step *list, uint32_t count, bool (*ends)(const struct step *step, struct remap *out))
{
    static struct remap change[STEPS_MAX];
    static struct step *of[STEPS_MAX];
    uint32_t changes = 0;
    bool all = true;

    for (uint32_t i = 0; i < count; i++) {
        change[changes] = (struct remap){.address = step_address(&list[i]), .bytes = step_bytes(&list[i])};
        of[changes] = &list[i];
        changes += ends(&list[i], &change[changes]);
    }
    if (changes)
        backing_replace(step_ordinal(list), change, changes);
    for (uint32_t i = 0; i < changes; i++) {
        all = all && !change[i].result;
        if (!of[i]->result)
            of[i]->result = change[i].result;
    }
    return all;
}

void steps_count(enum move_kind move, const struct step *list, uint32_t count, uint64_t since_ns)
{
    uint64_t ns = core_now() - since_ns;

    for (uint32_t i = 0; i < count; i++)
        if (list[i].submitted && !list[i].result) {
            counters_moved(&core.counters, move, list[i].transfer.bytes, ns);
            ns = 0;
        }
    live_changed();
}

uint64_t steps_commit(struct step *list, uint32_t count, bool (*settle)(struct step *step))
{
    uint64_t moved_bytes = 0;

    for (uint32_t i = 0; i < count; i++) {
        struct step *step = &list[i];
        /* Asked before: once it is settled a chunk may be freed, and another one be in its place. */
        struct recycler *handles = &core.devices[step_ordinal(step)].handles;
        uint64_t bytes = step_bytes(step);

        lock_acquire(&core.lock);
        moved_bytes += settle(step) ? bytes : 0;
        pthread_cond_broadcast(&core.changed);
        lock_release(&core.lock);
        if (step->handle && step->result == -EFAULT)
            recycler_discard(handles, bytes, step->handle);
        else if (step->handle)
            recycler_return(handles, bytes, step->handle);
        if (step->slab)
            recycler_return(&core.slabs, bytes, step->slab);
    }
    live_changed();
    return moved_bytes;
}

void step_count_unproven(const struct step *step, int more)
{
    if (!step_registered(step))
        atomic_fetch_add(&core.attention, (uint32_t)more);
}

/* ---- coming back ---------------------------------------------------------------------------------------------- */

void step_give(struct step *step, bool is_good)
{
    struct recycler *handles = &core.devices[step_ordinal(step)].handles;

    if (is_good)
        recycler_return(handles, step_bytes(step), step->handle);
    else
        recycler_discard(handles, step_bytes(step), step->handle);
    step->handle = 0;
}

/* The chunk is resident. Where the program answers for what is written, the slot or the slab that it came from stays
 * good. */
static void settle_resident(struct step *step)
{
    struct chunk *chunk = step_chunk(step);

    chunk->handle = step->handle;
    step->handle = 0;
    chunk->copied = step->keep;
    core.blocks.object[step->first].copies += step->keep;
    if (step->keep && !step->from_disk)
        step->slab = 0;
    else
        chunk->slab = NULL;
    core.devices[step_ordinal(step)].away_bytes -= chunk_bytes(chunk);
    share_moved(step->first, (int64_t)chunk_bytes(chunk));
    block_returned(step->first);
    counters_add(&core.counters.restores, 1);
    foresight_came(step->first, chunk->granules);
    chunk_move(chunk, CHUNK_RESIDENT);
}

/* The chunk is where it was, or broken: then its bytes are kept, and nothing is mapped. */
static void settle_failed(struct step *step)
{
    struct chunk *chunk = step_chunk(step);

    if (step->result == -EFAULT)
        chunk_move(chunk, CHUNK_BROKEN);
    else
        chunk_move(chunk, step->from_disk ? CHUNK_DISK : CHUNK_HOST);
    if (chunk->state == CHUNK_BROKEN && chunk->mapped) {
        chunk->mapped = false;
        step_count_unproven(step, 1);
    }
    if (chunk->state == CHUNK_DISK)
        chunk->slab = NULL;
    else
        step->slab = 0;
}

bool step_settle_restored(struct step *step)
{
    struct chunk *chunk = step_chunk(step);

    if (step->result) {
        settle_failed(step);
    } else {
        if (!chunk->mapped) {
            if (chunk->slot != SLOT_NONE)
                chunk->slot_epoch = step->epoch;
            step_count_unproven(step, -1);
        }
        chunk->mapped = !step->handle;
        if (step->handle) {
            settle_resident(step);
        } else {
            step->slab = 0;
            chunk_move(chunk, CHUNK_HOST);
        }
    }
    block_publish(&core.blocks, step->first);
    host_share_block(step->first);
    return !step->result;
}

void chunk_set_slab(struct chunk *chunk, struct slab *slab)
{
    lock_acquire(&core.lock);
    chunk->slab = slab;
    lock_release(&core.lock);
}

/* ---- checksums ------------------------------------------------------------------------------------------------ */

static uint64_t checksum(const struct chunk *chunk)
{
    return XXH3_64bits(chunk->slab->memory.cpu, chunk_bytes(chunk));
}

/* What the driver sends from one place to another has no second copy that could be compared. */
static bool verifies(const struct chunk *chunk)
{
    return core.options->verify && chunk->slab->memory.cpu;
}

void chunk_remember(struct chunk *chunk)
{
    if (verifies(chunk))
        chunk->checksum = checksum(chunk);
}

int chunk_verify(const struct chunk *chunk, uint64_t address)
{
    if (!verifies(chunk) || chunk->checksum == checksum(chunk))
        return 0;
    log_line(LOG_ERROR,
             "the bytes of address %llx changed while they were away: the block is kept out of use",
             (unsigned long long)address);
    return -EILSEQ;
}
