/* SPDX-License-Identifier: Apache-2.0 */
/* pause_step.c - see pause_step.h. */
#include "engine/pause_step.h"

struct pause_step pause_steps[PAUSE_STEP_MAX];

void pause_step_copy(struct pause_step *step, enum tier from, enum tier to, const struct slab *slab)
{
    const struct block *block = &core.blocks.block[step->first];

    step->transfer = (struct transfer){
        .from = from,
        .to = to,
        .ordinal = block->ordinal,
        .device_address = granule_address(&core.blocks, step->granule),
        .host = &slab->memory,
        .bytes = chunk_bytes(pause_step_chunk(step)),
    };
    step->result = executors_submit(&core.executors, &step->transfer);
    step->copied = step->result == 0;
}

void pause_wait(struct pause_step *list, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (list[i].copied)
            list[i].result = executors_wait(&core.executors, &list[i].transfer);
}

void pause_counted(enum stats_move move, const struct pause_step *list, uint32_t count, uint64_t since_ns)
{
    uint64_t ns = core_now() - since_ns;

    for (uint32_t i = 0; i < count; i++)
        if (list[i].copied && !list[i].result) {
            stats_moved(move, list[i].transfer.bytes, ns);
            ns = 0;
        }
}

bool pause_step_meant(const struct pause *pause, uint32_t first)
{
    if (pause->only && pause->only != first + 1)
        return false;
    return !pause->only_registered || core.blocks.block[first].flags & BLOCK_REGISTERED;
}
