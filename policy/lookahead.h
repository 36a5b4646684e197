/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lookahead.h - a device whose launches repeat themselves: what is noted of each, and what a pause asks.
 *
 * Shape    outlook.h, history.h for each thread, forecast.h, guard.h and plan.h together. Blocks go by the row that they have
 *          in the outlook.
 * Owns     nothing: the memory is the caller's. Nothing here fails. The caller locks.
 */
#ifndef EBB_LOOKAHEAD_H
#define EBB_LOOKAHEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/guard.h"
#include "policy/history.h"
#include "policy/outlook.h"
#include "policy/plan.h"

struct lookahead {
    struct outlook outlook;
    struct guard guard;
    struct history *history; /**< of each thread */
    unsigned threads;
    uint32_t waste;         /**< share of what came early that nobody wanted, in 2^-16 */
    enum guard_ruler ruler; /**< as of the last plan */
    uint64_t hits, misses;  /**< launches that came as foretold, and that did not */
    uint64_t early, unused; /**< blocks that came before they were wanted; and left before they were */
};

/** @room      granules of the device
 *  @history   `threads` of them, initialized */
void lookahead_init(struct lookahead *lookahead, uint64_t room, struct outlook_block *block, uint32_t blocks,
                    struct history *history, unsigned threads);

/** A block is made in a free row. Returns its name. */
uint32_t lookahead_make(struct lookahead *lookahead, uint32_t index, uint32_t granules);
void lookahead_free(struct lookahead *lookahead, uint32_t index);

/** A thread makes a launch with blocks, each named once. Before what it lacks is brought. */
void lookahead_launch(struct lookahead *lookahead, unsigned thread, const struct launch *launch);

/** A pause begins: who decides is settled, and blocks are foretold. */
void lookahead_plan(struct lookahead *lookahead);

/** When a block leaves, by the plan. */
static inline struct plan_turn lookahead_turn(const struct lookahead *lookahead, uint32_t index)
{
    return plan_turn(&lookahead->outlook, index, lookahead->ruler);
}

/** May more come in a pause than what is wanted? */
bool lookahead_batches(const struct lookahead *lookahead);

/** A block, or a part of it, leaves, while `oldest` was not used for longest of all that could. */
void lookahead_leave(struct lookahead *lookahead, uint32_t index, uint32_t oldest);

/** A block comes before it is wanted. */
void lookahead_come_early(struct lookahead *lookahead, uint32_t index);

/** The pause ends: granules came for a launch, none if it was for something else, and more beside them. */
void lookahead_paused(struct lookahead *lookahead, uint64_t wanted, uint64_t more);

#endif
