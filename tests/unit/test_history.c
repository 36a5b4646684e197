/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/history.h"

#include <criterion/criterion.h>

static uint32_t words[HISTORY_WORDS];
static struct history history;
static uint32_t now;

static bool note(uint32_t function, uint32_t name)
{
    return history_note(&history, &(struct launch){function, 1, &name}, ++now);
}

/* A round of launches 0 to length - 1, each with a block of its own from `name` on. How many came as foretold. */
static unsigned round_of(unsigned length, uint32_t name)
{
    unsigned hits = 0;

    for (unsigned i = 0; i < length; i++)
        hits += note(i, name + i);
    return hits;
}

static void start(void)
{
    history_init(&history, words);
    now = 0;
}

TestSuite(history, .init = start);

Test(history, nothing_is_foretold_before_a_launch_was_made_twice)
{
    cr_expect_eq(round_of(30, 1), 0);
    cr_expect_not(history_trusted(&history));
    cr_expect_eq(history.place, HISTORY_NOWHERE);
}

Test(history, the_second_round_comes_as_foretold_from_its_second_launch_on)
{
    round_of(30, 1);
    cr_expect_eq(round_of(30, 1), 29);
    cr_expect(history_trusted(&history));
    cr_expect_eq(history_name(&history, history_next(&history, history.place), 0), 1,
                 "the next one is the first");
}

Test(history, other_blocks_in_the_same_places_come_as_foretold)
{
    round_of(30, 1);
    round_of(30, 1);
    cr_expect_eq(round_of(30, 100), 30);
    cr_expect_eq(round_of(30, 200), 30);
    cr_expect(history_trusted(&history));
}

/* A loop in a loop: the launch that stands where another was expected is known from elsewhere. */
Test(history, a_launch_that_is_known_from_elsewhere_is_no_other_block_in_its_place)
{
    for (unsigned i = 0; i < 40; i++)
        note(1, 1 + i % 4);
    cr_expect(history_trusted(&history));
    cr_expect_not(note(1, 3), "the first is expected, and the third is known");
    cr_expect_eq(history_name(&history, history.place, 0), 3);
}

Test(history, one_launch_on_top_does_not_lose_the_place)
{
    round_of(30, 1);
    round_of(30, 1);
    round_of(15, 1);
    cr_expect_not(note(99, 99));
    cr_expect(note(15, 16));
    cr_expect(history_trusted(&history));
}

Test(history, one_launch_left_out_is_found_again_close_by)
{
    round_of(30, 1);
    round_of(30, 1);
    round_of(15, 1);
    cr_expect_not(note(16, 17));
    cr_expect(note(17, 18));
    cr_expect(history_trusted(&history));
}

Test(history, of_two_places_the_one_counts_whose_launches_before_agree)
{
    note(1, 1);
    note(2, 2);
    note(9, 9);
    note(3, 3);
    note(4, 4);
    note(9, 9);
    note(5, 5);
    note(1, 1);
    note(2, 2);
    cr_expect(note(9, 9));
    cr_expect_eq(history_name(&history, history_next(&history, history.place), 0), 3);
}

Test(history, what_the_ring_no_longer_holds_is_forgotten)
{
    unsigned length = HISTORY_WORDS / 4;

    round_of(length, 1);
    cr_expect_eq(round_of(length, 1), 0, "a round is longer than the ring");
    cr_expect_eq(round_of(100, 500000), 0);
    cr_expect_eq(round_of(100, 500000), 99);
}

Test(history, positions_begin_anew_before_they_are_used_up)
{
    round_of(20, 1);
    history.end = UINT32_MAX / 2 + 1;
    round_of(20, 1);
    cr_expect_lt(history.end, 1000);
    cr_expect_eq(round_of(20, 1), 19);
}

Test(history, a_launch_with_too_many_blocks_is_not_noted)
{
    static uint32_t names[HISTORY_USES_MAX + 1];

    cr_expect_not(history_note(&history, &(struct launch){1, HISTORY_USES_MAX + 1, names}, ++now));
    cr_expect_eq(history.end, 0);
}
