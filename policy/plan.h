/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan.h - who leaves for what is wanted now, and what comes beside it for what is wanted next.
 *
 * Owns     nothing, allocates nothing. Nothing here fails. The caller locks.
 */
#ifndef EBB_PLAN_H
#define EBB_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/guard.h"
#include "policy/outlook.h"

enum {
    PLAN_BATCH_GRANULES = 64, /**< that may come beside what is wanted */
    PLAN_BATCH_BLOCKS = 64
};

/** Who decides. @has_order  the order of launches is trusted */
enum guard_ruler plan_ruler(const struct guard *guard, bool has_order);

/** When a block leaves: the larger `ahead` first. */
struct plan_turn {
    uint32_t ahead; /**< launches until it is wanted where that is trusted, else since it was used; never 0 */
    bool is_foretold; /**< and trusted */
};

struct plan_turn plan_turn(const struct outlook *outlook, uint32_t index, enum guard_ruler ruler);

/** A block of a batch. */
struct plan_block {
    uint32_t index;
    uint32_t granules; /**< that are away; or here, and may leave */
    uint32_t chunk;    /**< granules that leave together */
    uint32_t moves;    /**< granules of it that come, or leave, by the plan */
    struct plan_turn turn;
    uint8_t trust;
};

/** Put a block into a list of at most PLAN_BATCH_BLOCKS, the one that is wanted first in front. Where it is full the last one
 *  goes. */
void plan_list(struct plan_block *list, size_t *count, const struct plan_block *block);

/**
 * Plan what comes beside what is wanted: foretold blocks that are away, the next one first, each while those that leave for
 * it are wanted later. What a slot costs that is held before its time, and what the risk does, have to be less than
 * another pause.
 *
 * @away   as plan_list made it of blocks that are foretold
 * @here   in the order in which they leave; what is to leave for what is wanted now is no part of it
 * @room   granules that are free once what is wanted has come
 * @pause_bytes  what another pause costs
 * Returns granules that come; each block's `moves` says of it, whichever list it is in
 */
uint64_t plan_batch(struct plan_block *away, size_t away_count, struct plan_block *here, size_t here_count,
                    uint64_t room, uint64_t pause_bytes);

#endif
