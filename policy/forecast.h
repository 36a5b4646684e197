/* SPDX-License-Identifier: Apache-2.0 */
/*
 * forecast.h - how many launches ahead a block is wanted next.
 *
 * Two ways: by the order of launches, what follows the place that the last one repeats; and by gaps, where the distances
 * between the uses of one block repeat themselves. Both only say; what it is worth, trust says (outlook.h).
 *
 * Owns     nothing, allocates nothing. Nothing here fails. The caller locks.
 */
#ifndef EBB_FORECAST_H
#define EBB_FORECAST_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/history.h"
#include "policy/outlook.h"

/** What the last launch of a history had for the blocks of the one that it repeats: these are their heirs, where they are as
 *  large. */
void forecast_inherit(struct outlook *outlook, const struct history *history);

/** Begin a forecast: nobody is foretold. */
void forecast_begin(struct outlook *outlook);

/** Foretell by what a history holds behind its place. Of several histories the nearest use counts. */
void forecast_walk(struct outlook *outlook, const struct history *history);

/** By the last forecast: launches until the block is wanted; OUTLOOK_NEVER. */
static inline uint32_t forecast_order(const struct outlook *outlook, uint32_t index)
{
    const struct outlook_block *block = &outlook->block[index];

    return outlook->walks && block->walk == outlook->walks ? block->ahead : OUTLOOK_NEVER;
}

/** By its gaps: launches until it is; OUTLOOK_NEVER. */
uint32_t forecast_gaps(const struct outlook *outlook, uint32_t index);

#endif
