/* SPDX-License-Identifier: Apache-2.0 */
#include "memory/range.h"

#include <criterion/criterion.h>
#include <stdlib.h>

enum {
    CELLS = 4096,
    STEPS = 200000
};

/* The naive model: which range each cell of a small address space belongs to, by its start plus one; 0 is none. */
static uintptr_t cells[CELLS];

static void check_after(const struct range_set *set, uintptr_t address)
{
    const struct range *range = range_after(set, address), *found = range_find(set, address);
    uintptr_t at = address;

    while (at < CELLS && !cells[at])
        at++;
    cr_assert_eq(range != NULL, at < CELLS);
    cr_assert(!range || range->start == cells[at] - 1);
    cr_assert_eq(found != NULL, cells[address] != 0);
    cr_assert(!found || found->owner == &cells[found->start]);
}

Test(range, random_inserts_and_removals_agree_with_a_table)
{
    struct range_set set = {0};
    unsigned seed = 7;

    for (int step = 0; step < STEPS; step++) {
        uintptr_t at = (unsigned)rand_r(&seed) % (CELLS - 4);
        size_t size = 1 + (unsigned)rand_r(&seed) % 3;
        bool taken = false;

        for (uintptr_t i = at; i < at + size; i++)
            taken |= cells[i] != 0;
        cr_assert_eq(range_overlaps(&set, at, size), taken);
        if (!taken) {
            cr_assert_eq(range_insert(&set, at, size, &cells[at]), 0);
            for (uintptr_t i = at; i < at + size; i++)
                cells[i] = at + 1;
        } else if (cells[at] == at + 1) {
            range_remove(&set, at);
            for (uintptr_t i = at; i < CELLS && cells[i] == at + 1; i++)
                cells[i] = 0;
        }
        check_after(&set, (unsigned)rand_r(&seed) % CELLS);
    }
}
