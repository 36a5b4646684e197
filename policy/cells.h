/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cells.h - sizes of the cells that small allocations lie in, several to a block.
 *
 * Shape    a class for each size, about six to a doubling, a power of two among them. A block of a class is cut into equal
 *          cells from its start; of what it holds when it is full at most an eighth is wasted, by what cells are larger
 *          than asked for and by what is left at its end together. Where a block of one granule cannot keep to that, one
 *          of more granules can.
 * Units    a size counts in CELL_UNIT_BYTES: what the driver aligns small allocations to.
 */
#ifndef EBB_CELLS_H
#define EBB_CELLS_H

#include <stdint.h>

enum {
    CELL_UNIT_BYTES = 512,
    CELL_GRANULE_UNITS = 4096, /**< 2 MiB of them */
    CELL_LARGEST_UNITS =
        3584, /**< above seven eighths of a granule, one for itself wastes no more than an eighth */
    CELL_LARGEST_BYTES = CELL_LARGEST_UNITS * CELL_UNIT_BYTES,
    CELL_CLASSES = 63,
    CELLS_MOST = 4096 /**< in a block */
};

/** Class of an allocation of 1 to CELL_LARGEST_BYTES. */
unsigned cells_class(uint64_t bytes);

/** Size of its cells. */
uint32_t cells_bytes(unsigned class);

/** Granules of its blocks. */
uint32_t cells_granules(unsigned class);

/** Cells in one of them. */
uint32_t cells_count(unsigned class);

#endif
