/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guard.h - whether a forecast does better than none: what it moved is held against what ghosts of LRU and of MRU would have.
 *
 * Shape    a ghost is a device in numbers: who would be on it, had its order decided from the beginning. Blocks stand in
 *          its list by their last use, in rows of the outlook. Costs are added up over a window, which ends when those
 *          of LRU or the real ones reach a share of what it costs to move a budget both ways. Who ruled for most of the
 *          launches of a window and moved more than LRU would have regrets it; who regrets too much is off for a window,
 *          the next time for two, and so on.
 * Owns     nothing, allocates nothing. Nothing here fails. The caller locks.
 * Units    granules of 2 MiB; a cost is in bytes that one direction of the link carries in the time.
 */
#ifndef EBB_GUARD_H
#define EBB_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/outlook.h"

/** Who decides which block leaves. */
enum guard_ruler {
    GUARD_LRU,
    GUARD_ORDER, /**< of launches */
    GUARD_GAPS,
    GUARD_MRU,
    GUARD_RULERS
};

struct guard_ghost {
    uint64_t used;             /**< granules */
    uint64_t cost;             /**< in this window */
    uint32_t oldest, youngest; /**< indexes and one; 0: none */
};

struct guard_trial {
    int64_t regret;
    uint32_t off;      /**< windows that it is off for */
    uint32_t term;     /**< that it will be the next time */
    uint32_t launches; /**< of this window that it ruled */
};

struct guard {
    uint64_t room; /**< granules of the device */
    uint64_t cost; /**< of what was moved in this window */
    uint32_t launches;
    uint64_t pause_bytes; /**< what it costs to stop the program for a move */
    uint32_t pause_share; /**< of a pause that one block costs, in 2^-16: several share one */
    uint32_t given_up;    /**< times that somebody was off from then on */
    bool is_mru_better;
    struct guard_ghost ghost[OUTLOOK_GHOSTS]; /**< of LRU, of MRU */
    struct guard_trial trial[GUARD_RULERS];
};

/** What it costs to stop the program for a move until somebody has measured it: as much as the link carries in 0.3 ms at
 *  25 GB/s. One more chunk costs a sixth of that each way. */
#define GUARD_PAUSE_BYTES ((uint64_t)7500000)

enum {
    GUARD_CHUNK_GRANULES = 16,
    GUARD_CHUNKS_OF_PAUSE = 6
};

void guard_init(struct guard *guard, uint64_t room);

/** The room changes; ghosts follow when they next need some. */
void guard_resize(struct guard *guard, uint64_t room);

/** Cost of granules that come while as many leave, in a pause that is for something else, where one costs that much. */
uint64_t guard_move_cost(uint64_t granules, uint64_t pause_bytes);

/** A block was made: ghosts have it. */
void guard_make(struct guard *guard, struct outlook *outlook, uint32_t index);
/** It is about to be freed. */
void guard_free(struct guard *guard, struct outlook *outlook, uint32_t index);

/** A launch uses blocks, each once: after outlook_use, and before what it lacks is brought.
 *  @ruler  who would decide */
void guard_launch(struct guard *guard, struct outlook *outlook, const uint32_t *index, size_t count,
                  enum guard_ruler ruler);

/** What a launch lacked was brought in a pause, and more for those that come after it. */
void guard_pause(struct guard *guard, uint64_t wanted, uint64_t more);

/** May it rule? */
static inline bool guard_allows(const struct guard *guard, enum guard_ruler ruler)
{
    return !guard->trial[ruler].off;
}

#endif
