/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pause_step.h - one chunk on its way between the tiers while the gate is closed, for the files of pause_steps.h.
 *
 * Threads  the mover's role owns the list.
 */
#ifndef EBB_STEP_H
#define EBB_STEP_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/pause.h"
#include "ledger/state.h"

enum {
    PAUSE_STEP_MAX = 256
};

struct pause_step {
    uint32_t first, granule;
    uint64_t item; /**< slab or handle taken for it; 0: none */
    struct transfer transfer;
    bool clean;      /**< an equal copy is in a slower tier */
    bool saves;      /**< a chunk of its block that leaves with it is not clean */
    bool reloadable; /**< dropped: the program has the bytes */
    bool unmap;      /**< its address stays unmapped */
    bool copied;     /**< transfer submitted */
    bool whole;      /**< fails when another chunk of its block does */
    int result;
};

/** What a choice of blocks is asked with. */
struct eligible {
    const struct pause *pause;
    bool proven;
};

/** The batch at work. */
extern struct pause_step pause_steps[PAUSE_STEP_MAX];

static inline struct chunk *pause_step_chunk(const struct pause_step *step)
{
    return &core.blocks.chunk[step->granule];
}

/** The slab that an item of core.slabs stands for. */
static inline struct slab *pause_step_slab(uint64_t item)
{
    return (struct slab *)(uintptr_t)item;
}

/** Is the block one of those that the pause is about? core.lock held. */
bool pause_step_meant(const struct pause *pause, uint32_t first);

/** Start a copy between a chunk's address and a slab. */
void pause_step_copy(struct pause_step *step, enum tier from, enum tier to, const struct slab *slab);

/** Wait for every copy of the list. */
void pause_wait(struct pause_step *list, uint32_t count);

/** Count the good copies of a list that was started at `since_ns`. */
void pause_counted(enum stats_move move, const struct pause_step *list, uint32_t count, uint64_t since_ns);

#endif
