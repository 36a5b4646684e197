/* SPDX-License-Identifier: Apache-2.0 */
/* step.c - see step.h. */
#include "engine/pause_step.h"

struct step steps[STEP_MAX];

void step_copy(struct step *step, enum tier from, enum tier to, const struct slab *slab)
{
    const struct block *block = &core.blocks.block[step->first];

    step->transfer = (struct transfer){
        .from = from,
        .to = to,
        .ordinal = block->ordinal,
        .device_address = granule_address(&core.blocks, step->granule),
        .host = &slab->memory,
        .bytes = chunk_bytes(step_chunk(step)),
    };
    step->result = executors_submit(&core.executors, &step->transfer);
    step->copied = step->result == 0;
}

void steps_wait(struct step *list, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (list[i].copied)
            list[i].result = executors_wait(&core.executors, &list[i].transfer);
}

void steps_counted(enum stats_move move, const struct step *list, uint32_t count, uint64_t since_ns)
{
    uint64_t ns = core_now() - since_ns;

    for (uint32_t i = 0; i < count; i++)
        if (list[i].copied && !list[i].result) {
            stats_moved(move, list[i].transfer.bytes, ns);
            ns = 0;
        }
}

bool step_meant(const struct closure *closure, uint32_t first)
{
    if (closure->only && closure->only != first + 1)
        return false;
    return !closure->only_registered || core.blocks.block[first].flags & BLOCK_REGISTERED;
}
