/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/forecast.h"

#include <criterion/criterion.h>

enum {
    BLOCKS = 8,
    LENGTH = 10
};

static uint32_t words[2][HISTORY_WORDS];
static struct history history[2];
static struct outlook_block block[BLOCKS];
static struct outlook outlook;

static void start(void)
{
    outlook_init(&outlook, block, BLOCKS);
    for (unsigned i = 0; i < 2; i++)
        history_init(&history[i], words[i]);
    for (uint32_t i = 0; i < BLOCKS; i++)
        outlook_make(&outlook, i, 4);
}

static bool launch(unsigned thread, uint32_t function, uint32_t index)
{
    uint32_t name = outlook_name(&outlook, index);
    bool is_hit;

    outlook_launch(&outlook);
    outlook_use(&outlook, index, function, 0);
    is_hit = history_note(&history[thread], &(struct launch){function, 1, &name}, outlook.now);
    if (is_hit)
        forecast_inherit(&outlook, &history[thread]);
    return is_hit;
}

static void foretell(void)
{
    forecast_begin(&outlook);
    for (unsigned i = 0; i < 2; i++)
        if (history_trusted(&history[i]))
            forecast_walk(&outlook, &history[i]);
}

TestSuite(forecast, .init = start);

Test(forecast, by_order_a_block_is_as_far_ahead_as_launches_lie_between)
{
    for (unsigned i = 0; i < 6 * 5; i++)
        launch(0, i % 5, i % 5);
    foretell();
    for (uint32_t i = 0; i < 5; i++)
        cr_expect_eq(forecast_order(&outlook, i), i + 1);
    cr_expect_eq(forecast_order(&outlook, 6), OUTLOOK_NEVER);
}

Test(forecast, nobody_is_foretold_before_there_is_a_forecast_or_after_a_new_one_without_it)
{
    cr_expect_eq(forecast_order(&outlook, 0), OUTLOOK_NEVER);
    for (unsigned i = 0; i < 6 * 5; i++)
        launch(0, i % 5, i % 5);
    foretell();
    forecast_begin(&outlook);
    cr_expect_eq(forecast_order(&outlook, 0), OUTLOOK_NEVER);
}

Test(forecast, a_thread_that_makes_every_second_launch_is_twice_as_far_ahead)
{
    for (unsigned i = 0; i < 400; i++) {
        launch(0, i % 3, i % 3);
        launch(1, 100 + i, 7); /* never the same */
    }
    foretell();
    cr_expect_eq(forecast_order(&outlook, 400 % 3), 2, "%u", forecast_order(&outlook, 400 % 3));
    cr_expect_eq(forecast_order(&outlook, 402 % 3), 6, "%u", forecast_order(&outlook, 402 % 3));
}

/* `launches` of a round whose third and seventh use a block of that round alone. */
static void round_with(uint32_t own, unsigned launches)
{
    for (unsigned i = 0; i < launches; i++)
        launch(0, i, i == 3 || i == 7 ? own : i % 4);
}

Test(forecast, a_block_made_anew_is_foretold_where_the_one_before_it_stood)
{
    for (uint32_t row = 4; row < 6; row++)
        outlook_free(&outlook, row);
    for (uint32_t round = 0; round < 5; round++) {
        outlook_make(&outlook, 4 + round % 2, 4);
        round_with(4 + round % 2, LENGTH);
        outlook_free(&outlook, 4 + round % 2);
    }
    outlook_make(&outlook, 5, 4);
    round_with(5, 5);
    foretell();
    cr_expect_eq(forecast_order(&outlook, 5), 3, "%u", forecast_order(&outlook, 5));
}

Test(forecast, a_block_of_another_size_is_no_heir)
{
    for (uint32_t row = 4; row < 6; row++)
        outlook_free(&outlook, row);
    for (uint32_t round = 0; round < 5; round++) {
        outlook_make(&outlook, 4 + round % 2, 4);
        round_with(4 + round % 2, LENGTH);
        outlook_free(&outlook, 4 + round % 2);
    }
    outlook_make(&outlook, 5, 7);
    round_with(5, 5);
    foretell();
    cr_expect_eq(forecast_order(&outlook, 5), LENGTH - 1,
                 "where it stood itself in this round, in the next one");
}

Test(forecast, by_gaps_what_came_back_at_equal_distances_is_foretold)
{
    for (unsigned i = 0; i < 4 * 20 + 5; i++)
        launch(0, i, i % 20 ? 1 : 0);
    cr_expect_eq(forecast_gaps(&outlook, 0), 20 - 5 + 1 + 1, "%u", forecast_gaps(&outlook, 0));
}

Test(forecast, by_gaps_two_distances_in_turn_are_a_period)
{
    for (unsigned i = 0; i < 5 * 50 + 1; i++)
        launch(0, i, i % 50 == 0 || i % 50 == 10 ? 0 : 1);
    cr_expect_eq(forecast_gaps(&outlook, 0), 11, "the short one is next: %u", forecast_gaps(&outlook, 0));
}

Test(forecast, by_gaps_distances_that_do_not_repeat_foretell_nothing)
{
    static const unsigned at[] = {0, 20, 70, 85, 190, 220};

    for (unsigned i = 0, next = 0; i < 240; i++) {
        bool is_one = next < 6 && i == at[next];

        next += is_one;
        launch(0, i, !is_one);
    }
    cr_expect_eq(forecast_gaps(&outlook, 0), OUTLOOK_NEVER);
}

Test(forecast, by_gaps_what_is_a_little_late_is_wanted_now_and_what_is_much_too_late_is_not)
{
    for (unsigned i = 0; i < 4 * 40 + 41; i++)
        launch(0, i, i % 40 || i > 160 ? 1 : 0);
    cr_expect_eq(forecast_gaps(&outlook, 0), 1);
    for (unsigned i = 0; i < 20; i++)
        launch(0, 1000 + i, 1);
    cr_expect_eq(forecast_gaps(&outlook, 0), OUTLOOK_NEVER);
}
