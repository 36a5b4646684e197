/* SPDX-License-Identifier: Apache-2.0 */
/* step.c - see step.h. */
#include "engine/step.h"

#include <errno.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/log.h"

struct step pause_steps[PAUSE_STEP_MAX];

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

void steps_count(enum move_kind move, const struct step *list, uint32_t count, uint64_t since_ns)
{
    uint64_t ns = core_now() - since_ns;

    for (uint32_t i = 0; i < count; i++)
        if (list[i].submitted && !list[i].result) {
            counters_moved(&core.counters, move, list[i].transfer.bytes, ns);
            ns = 0;
        }
}

uint64_t steps_commit(struct step *list, uint32_t count, bool (*settle)(struct step *step))
{
    uint64_t moved_bytes = 0;

    for (uint32_t i = 0; i < count; i++) {
        struct step *step = &list[i];
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
    return moved_bytes;
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
