/* SPDX-License-Identifier: Apache-2.0 */
/* test_cells.c - what becomes of every size that a small allocation can have. */
#include "policy/cells.h"

#include <criterion/criterion.h>

#define GRANULE_BYTES ((uint64_t)CELL_GRANULE_UNITS * CELL_UNIT_BYTES)

Test(cells, every_size_has_the_smallest_cell_that_it_fits)
{
    for (uint64_t bytes = 1; bytes <= CELL_LARGEST_BYTES; bytes++) {
        unsigned class = cells_class(bytes);

        cr_assert_lt(class, CELL_CLASSES);
        cr_assert_leq(bytes, cells_bytes(class));
        cr_assert(!class || bytes > cells_bytes(class - 1), "%llu bytes", (unsigned long long)bytes);
    }
    cr_expect_eq(cells_class(CELL_LARGEST_BYTES), CELL_CLASSES - 1);
}

Test(cells, full_block_wastes_an_eighth_at_most)
{
    for (uint64_t units = 1; units <= CELL_LARGEST_UNITS; units++) {
        uint64_t bytes = units * CELL_UNIT_BYTES;
        unsigned class = cells_class(bytes);
        uint64_t held = cells_granules(class) * GRANULE_BYTES;

        cr_assert_geq(8 * cells_count(class) * bytes, 7 * held, "%llu units", (unsigned long long)units);
    }
    cr_expect_geq(8 * (uint64_t)CELL_LARGEST_BYTES, 7 * GRANULE_BYTES);
}

Test(cells, cells_of_a_block_fit_in_it_and_are_aligned_as_the_driver_aligns)
{
    for (unsigned class = 0; class < CELL_CLASSES; class ++) {
        uint64_t count = cells_count(class);

        cr_expect_eq(cells_bytes(class) % CELL_UNIT_BYTES, 0);
        cr_expect_gt(count, 0);
        cr_expect_leq(count, CELLS_MOST);
        cr_expect_leq(count * cells_bytes(class), cells_granules(class) * GRANULE_BYTES);
    }
}

Test(cells, powers_of_two_waste_nothing)
{
    for (uint64_t bytes = CELL_UNIT_BYTES; bytes < GRANULE_BYTES; bytes *= 2) {
        unsigned class = cells_class(bytes);

        cr_expect_eq(cells_bytes(class), bytes);
        cr_expect_eq(cells_granules(class), 1);
    }
}
