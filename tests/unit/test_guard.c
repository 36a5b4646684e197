/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/guard.h"

#include <criterion/criterion.h>

enum {
    BLOCKS = 6,
    MANY = 120,
    LRU = 0,
    MRU = 1
};

static struct outlook_block block[BLOCKS];
static struct outlook outlook;
static struct guard guard;

static void start(void)
{
    outlook_init(&outlook, block, BLOCKS);
    guard_init(&guard, 4 * 8);
    for (uint32_t i = 0; i < BLOCKS; i++) {
        outlook_make(&outlook, i, 8);
        guard_make(&guard, &outlook, i);
    }
}

static void launch(uint32_t index, enum guard_ruler ruler)
{
    outlook_launch(&outlook);
    outlook_use(&outlook, index, 1, 0);
    guard_launch(&guard, &outlook, &index, 1, ruler);
}

static unsigned ghosts_here(int kind)
{
    unsigned here = 0;

    for (unsigned i = 0; i < BLOCKS; i++)
        here |= (block[i].ghost[kind].here == 8) << i;
    return here;
}

TestSuite(guard, .init = start);

Test(guard, ghosts_have_what_their_order_would_have_kept)
{
    cr_expect_eq(ghosts_here(LRU), 0x3c, "the last four made");
    cr_expect_eq(ghosts_here(MRU), 0x27, "the first three, and the last");
    launch(0, GUARD_LRU);
    cr_expect_eq(ghosts_here(LRU), 0x39, "the oldest of them left");
    cr_expect_eq(ghosts_here(MRU), 0x27, "it was there");
    launch(3, GUARD_LRU);
    cr_expect_eq(ghosts_here(MRU), 0x2e, "the one used just before left");
}

Test(guard, ghosts_let_go_of_what_is_freed)
{
    guard_free(&guard, &outlook, 4);
    outlook_free(&outlook, 4);
    cr_expect_eq(guard.ghost[LRU].used, 3 * 8);
    launch(0, GUARD_LRU);
    cr_expect_eq(ghosts_here(LRU), 0x2d, "nobody had to leave");
}

Test(guard, a_ghost_holds_a_part_of_a_block_that_is_larger_than_what_is_left)
{
    guard_resize(&guard, 3 * 8 + 3);
    launch(5, GUARD_LRU);
    launch(0, GUARD_LRU);
    cr_expect_eq(guard.ghost[LRU].used, 3 * 8 + 3);
    cr_expect_eq(block[3].ghost[LRU].here, 3);
}

/* In turn, as LRU has it worst: each misses there. Where the last one leaves, a twelfth does. */
Test(guard, mru_is_better_where_blocks_are_used_in_turn)
{
    static struct outlook_block many[MANY];

    outlook_init(&outlook, many, MANY);
    guard_init(&guard, (MANY - 10) * 8);
    for (uint32_t i = 0; i < MANY; i++) {
        outlook_make(&outlook, i, 8);
        guard_make(&guard, &outlook, i);
    }
    for (unsigned i = 0; i < 3 * MANY; i++)
        launch(i % MANY, GUARD_LRU);
    cr_expect(guard.is_mru_better);
}

/* What moves is more than LRU would have moved: nothing, for three blocks that are there. */
static void waste(enum guard_ruler ruler, unsigned pauses)
{
    for (unsigned i = 0; i < pauses; i++) {
        launch(i % 3, ruler);
        guard_pause(&guard, 8, 0);
    }
    launch(0, ruler);
}

Test(guard, who_moves_more_than_lru_would_is_off)
{
    waste(GUARD_ORDER, 8);
    cr_expect_gt(guard.given_up, 0);
    cr_expect_not(guard_allows(&guard, GUARD_ORDER));
    cr_expect(guard_allows(&guard, GUARD_GAPS));
    cr_expect(guard_allows(&guard, GUARD_MRU));
}

Test(guard, who_did_not_rule_regrets_nothing)
{
    waste(GUARD_GAPS, 8);
    cr_expect(guard_allows(&guard, GUARD_ORDER));
    cr_expect_not(guard_allows(&guard, GUARD_GAPS));
}

/* Windows that it is off for, from the moment on at which it is. */
static unsigned off_for(void)
{
    unsigned windows = 0;

    while (guard_allows(&guard, GUARD_ORDER))
        waste(GUARD_ORDER, 1);
    while (!guard_allows(&guard, GUARD_ORDER)) {
        uint32_t before = guard.trial[GUARD_ORDER].off;

        waste(GUARD_LRU, 1);
        windows += guard.trial[GUARD_ORDER].off < before;
    }
    return windows;
}

Test(guard, who_is_off_again_is_off_for_twice_as_long)
{
    cr_expect_eq(off_for(), 1);
    cr_expect_eq(off_for(), 2);
    cr_expect_eq(off_for(), 4);
}

Test(guard, who_moves_less_than_lru_would_stays)
{
    for (unsigned i = 0; i < 300; i++)
        launch(i % BLOCKS, GUARD_ORDER);
    cr_expect(guard_allows(&guard, GUARD_ORDER));
    cr_expect_leq(guard.trial[GUARD_ORDER].regret, 0);
}

Test(guard, what_comes_together_shares_the_pause)
{
    uint64_t alone = guard_move_cost(8, GUARD_PAUSE_BYTES) + GUARD_PAUSE_BYTES;

    guard_pause(&guard, 8, 0);
    cr_expect_eq(guard.cost, alone);
    for (unsigned i = 0; i < 200; i++)
        guard_pause(&guard, 8, 8);
    guard.cost = 0;
    guard_pause(&guard, 8, 0);
    cr_expect_lt(guard.cost, guard_move_cost(8, GUARD_PAUSE_BYTES) + GUARD_PAUSE_BYTES * 6 / 10);
}

Test(guard, a_pause_for_something_else_costs_no_launch)
{
    guard_pause(&guard, 0, 0);
    cr_expect_eq(guard.cost, 0);
}
