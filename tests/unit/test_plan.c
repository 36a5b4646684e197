/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/plan.h"

#include <criterion/criterion.h>

static struct plan_block foretold(uint32_t index, uint32_t granules, uint32_t ahead)
{
    return (struct plan_block){.index = index,
                               .granules = granules,
                               .chunk = granules < 16 ? granules : 16,
                               .turn = {ahead, true},
                               .trust = OUTLOOK_TRUST_MAX};
}

Test(plan, the_order_of_launches_rules_before_gaps_and_gaps_before_nothing)
{
    struct guard guard;

    guard_init(&guard, 100);
    cr_expect_eq(plan_ruler(&guard, true), GUARD_ORDER);
    cr_expect_eq(plan_ruler(&guard, false), GUARD_GAPS);
    guard.trial[GUARD_ORDER].off = 1;
    cr_expect_eq(plan_ruler(&guard, true), GUARD_GAPS);
    guard.trial[GUARD_GAPS].off = 1;
    cr_expect_eq(plan_ruler(&guard, true), GUARD_LRU);
}

Test(plan, mru_rules_where_no_order_does_and_it_is_better)
{
    struct guard guard;

    guard_init(&guard, 100);
    guard.is_mru_better = true;
    cr_expect_eq(plan_ruler(&guard, true), GUARD_ORDER);
    cr_expect_eq(plan_ruler(&guard, false), GUARD_MRU);
    guard.trial[GUARD_ORDER].off = 1;
    cr_expect_eq(plan_ruler(&guard, true), GUARD_GAPS, "there is an order, though it is off");
    guard.trial[GUARD_GAPS].off = 1;
    cr_expect_eq(plan_ruler(&guard, true), GUARD_MRU);
}

Test(plan, only_who_is_trusted_goes_by_a_forecast)
{
    struct outlook_block block[2] = {0};
    struct outlook outlook;

    outlook_init(&outlook, block, 2);
    for (uint32_t i = 0; i < 2; i++)
        outlook_make(&outlook, i, 8);
    for (unsigned i = 0; i < 50; i++)
        outlook_launch(&outlook);
    outlook.walks = 1;
    for (uint32_t i = 0; i < 2; i++) {
        block[i].walk = 1;
        block[i].ahead = 7;
        block[i].trust[OUTLOOK_BY_ORDER] = (uint8_t)(OUTLOOK_TRUSTED - i);
    }
    cr_expect_eq(plan_turn(&outlook, 0, GUARD_ORDER).ahead, 7);
    cr_expect(plan_turn(&outlook, 0, GUARD_ORDER).is_foretold);
    cr_expect_eq(plan_turn(&outlook, 1, GUARD_ORDER).ahead, 50, "as LRU has it");
    cr_expect_not(plan_turn(&outlook, 1, GUARD_ORDER).is_foretold);
    cr_expect_eq(plan_turn(&outlook, 0, GUARD_LRU).ahead, 50);
    outlook_launch(&outlook);
    outlook_use(&outlook, 1, 1, 0);
    cr_expect_gt(plan_turn(&outlook, 1, GUARD_MRU).ahead, plan_turn(&outlook, 0, GUARD_MRU).ahead);
}

Test(plan, a_list_keeps_those_that_are_wanted_first)
{
    struct plan_block list[PLAN_BATCH_BLOCKS];
    size_t count = 0;

    for (uint32_t i = 0; i < 2 * PLAN_BATCH_BLOCKS; i++) {
        struct plan_block one = foretold(i, 1, 1 + (i * 37) % (2 * PLAN_BATCH_BLOCKS));

        plan_list(list, &count, &one);
    }
    cr_assert_eq(count, PLAN_BATCH_BLOCKS);
    for (uint32_t i = 0; i < count; i++)
        cr_expect_eq(list[i].turn.ahead, i + 1);
}

Test(plan, what_has_room_comes)
{
    struct plan_block away[] = {foretold(0, 4, 10), foretold(1, 4, 20)};

    cr_expect_eq(plan_batch(away, 2, NULL, 0, 4, GUARD_PAUSE_BYTES), 4);
    cr_expect_eq(away[0].moves, 4);
    cr_expect_eq(away[1].moves, 0);
}

Test(plan, who_is_wanted_much_later_leaves_for_who_is_wanted_next)
{
    struct plan_block away[] = {foretold(0, 2, 2)}, here[] = {foretold(1, 4, 1000)};

    cr_expect_eq(plan_batch(away, 1, here, 1, 0, GUARD_PAUSE_BYTES), 2);
    cr_expect_eq(here[0].moves, 4, "by chunks");
}

/* A place is held for a tenth of the time until its owner wants it: three twentieths of what it costs to move two MiB. */
Test(plan, what_comes_early_costs_less_than_the_pause_that_it_saves)
{
    struct plan_block away[] = {foretold(0, 1, 100)}, here[] = {foretold(1, 1, 1000)};

    away[0].trust = OUTLOOK_TRUST_MAX + 1;
    cr_expect_eq(plan_batch(away, 1, here, 1, 0, GUARD_PAUSE_BYTES / 100), 0);
    cr_expect_eq(plan_batch(away, 1, here, 1, 0, GUARD_PAUSE_BYTES / 10), 1);
}

Test(plan, who_is_wanted_about_as_soon_stays)
{
    struct plan_block away[] = {foretold(0, 1, 100)}, here[] = {foretold(1, 1, 102)};

    cr_expect_eq(plan_batch(away, 1, here, 1, 0, GUARD_PAUSE_BYTES), 0);
    cr_expect_eq(here[0].moves, 0);
}

Test(plan, who_is_not_foretold_leaves_for_no_forecast)
{
    struct plan_block away[] = {foretold(0, 2, 2)}, here[] = {foretold(1, 2, 1000)};

    here[0].turn.is_foretold = false;
    cr_expect_eq(plan_batch(away, 1, here, 1, 0, GUARD_PAUSE_BYTES), 0);
}

Test(plan, what_would_hold_its_place_for_too_long_does_not_come_and_what_is_wanted_later_may)
{
    struct plan_block away[] = {foretold(0, 16, 400), foretold(1, 1, 500)}, here[] = {foretold(2, 16, 1000)};

    here[0].chunk = 1;
    cr_expect_eq(plan_batch(away, 2, here, 1, 0, GUARD_PAUSE_BYTES), 1);
    cr_expect_eq(away[0].moves, 0);
    cr_expect_eq(away[1].moves, 1);
}

Test(plan, nobody_leaves_for_what_does_not_come)
{
    struct plan_block away[] = {foretold(0, 8, 2)}, here[] = {foretold(1, 4, 1000), foretold(2, 4, 2)};

    cr_expect_eq(plan_batch(away, 1, here, 2, 0, GUARD_PAUSE_BYTES), 0);
    cr_expect_eq(here[0].moves, 0);
}

Test(plan, the_less_a_block_is_trusted_the_less_of_it_comes)
{
    struct plan_block away[] = {foretold(0, 16, 1)}, here[] = {foretold(1, 16, 10000)};

    cr_expect_eq(plan_batch(away, 1, here, 1, 0, GUARD_PAUSE_BYTES), 16);
    here[0].moves = away[0].moves = 0;
    away[0].trust = OUTLOOK_TRUSTED;
    away[0].granules = 64;
    here[0].granules = 64;
    cr_expect_eq(plan_batch(away, 1, here, 1, 0, GUARD_PAUSE_BYTES), 0);
}

Test(plan, one_that_is_larger_than_a_batch_comes_alone_or_not_at_all)
{
    struct plan_block away[] = {foretold(0, 1, 10), foretold(1, PLAN_BATCH_GRANULES + 1, 20)};

    cr_expect_eq(plan_batch(away, 2, NULL, 0, 10000, GUARD_PAUSE_BYTES), 1);
    cr_expect_eq(plan_batch(&away[1], 1, NULL, 0, 10000, GUARD_PAUSE_BYTES), PLAN_BATCH_GRANULES + 1);
}

Test(plan, no_more_comes_than_a_batch)
{
    struct plan_block away[PLAN_BATCH_BLOCKS];

    for (uint32_t i = 0; i < PLAN_BATCH_BLOCKS; i++)
        away[i] = foretold(i, 10, i + 1);
    cr_expect_eq(plan_batch(away, PLAN_BATCH_BLOCKS, NULL, 0, 10000, GUARD_PAUSE_BYTES), 70);
}
