/* SPDX-License-Identifier: Apache-2.0 */
/*
 * units.h - a granule of which pieces of any size are taken, the first hole that is large enough first.
 *
 * Shape    two bits for each unit of CELL_UNIT_BYTES: whether it is taken, and whether a piece begins there.
 * Owns     nothing. Never allocates.
 * Threads  none of its own: the caller locks.
 * Units    units.
 */
#ifndef EBB_UNITS_H
#define EBB_UNITS_H

#include <stdint.h>

#include "policy/cells.h"

struct units {
    uint64_t taken[CELL_GRANULE_UNITS / 64];
    uint64_t begins[CELL_GRANULE_UNITS / 64];
};

/** The first of `count` units in a row that are free; CELL_GRANULE_UNITS: there is no such row, and `*out_largest` is the longest
 *  that there is. */
uint32_t units_find(const struct units *units, uint32_t count, uint32_t *out_largest);

/** How many in a row are free around a unit that is. */
uint32_t units_hole(const struct units *units, uint32_t unit);

/** Take a piece that units_find has found, and give it back. */
void units_take(struct units *units, uint32_t first, uint32_t count);
void units_give(struct units *units, uint32_t first, uint32_t count);

/** Where the last piece begins that begins at a unit or before it; CELL_GRANULE_UNITS: none does. */
uint32_t units_begin(const struct units *units, uint32_t unit);

/** Where the first piece begins that begins at a unit or behind it; CELL_GRANULE_UNITS: none does. */
uint32_t units_next(const struct units *units, uint32_t unit);

#endif
