/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/budget.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>

enum {
    BLOCK,
    NATIVE
};

static struct budget with_limit(uint64_t limit_bytes)
{
    struct budget budget;
    budget_init(&budget, limit_bytes);
    return budget;
}

Test(budget, admits_up_to_the_limit_and_not_a_byte_more)
{
    struct budget budget = with_limit(100);
    cr_assert_eq(budget_charge(&budget, BLOCK, 60, 0), 0);
    cr_assert_eq(budget_charge(&budget, NATIVE, 41, 0), -ENOMEM);
    cr_assert_eq(budget_charge(&budget, NATIVE, 40, 0), 0);
    cr_assert_eq(budget_charge(&budget, BLOCK, 1, 0), -ENOMEM);
    cr_assert_eq(budget.used_bytes, 100);
    cr_assert_eq(budget.class_bytes[BLOCK], 60);
    cr_assert_eq(budget.class_bytes[NATIVE], 40);
    cr_assert_eq(budget_held(&budget), 100);
}

Test(budget, refused_charge_changes_nothing)
{
    struct budget budget = with_limit(100);
    cr_assert_eq(budget_charge(&budget, BLOCK, 60, 0), 0);
    budget_to_idle(&budget, BLOCK, 10);
    struct budget before = budget;
    cr_assert_eq(budget_charge(&budget, BLOCK, 41, 0), -ENOMEM);
    cr_assert_eq(memcmp(&before, &budget, sizeof budget), 0);
}

Test(budget, does_not_wrap_when_use_is_over_the_limit)
{
    struct budget budget = with_limit(100);
    cr_assert_eq(budget_charge(&budget, BLOCK, 80, 0), 0);
    budget.limit_bytes = 50;
    cr_assert_eq(budget_room(&budget, 0), 0);
    cr_assert_eq(budget_charge(&budget, BLOCK, 1, 0), -ENOMEM);
    cr_assert_eq(budget_charge(&budget, BLOCK, 0, 0), 0);
    budget_credit(&budget, BLOCK, 40);
    cr_assert_eq(budget_room(&budget, 0), 10);
    cr_assert_eq(budget_charge(&budget, BLOCK, 10, 0), 0);
}

Test(budget, huge_request_does_not_overflow)
{
    struct budget budget = with_limit(100);
    cr_assert_eq(budget_charge(&budget, BLOCK, 60, 0), 0);
    cr_assert_eq(budget_charge(&budget, BLOCK, UINT64_MAX, 0), -ENOMEM);
    cr_assert_eq(budget_charge(&budget, BLOCK, UINT64_MAX - 59, 0), -ENOMEM);
    cr_assert_eq(budget_charge(&budget, BLOCK, 1, UINT64_MAX), -ENOMEM);

    struct budget open = with_limit(BUDGET_NO_LIMIT);
    cr_assert_eq(budget_charge(&open, BLOCK, 60, 0), 0);
    cr_assert_eq(budget_charge(&open, BLOCK, UINT64_MAX, 0), -ENOMEM);
    cr_assert_eq(open.used_bytes, 60);
}

Test(budget, keeps_room_free_for_others)
{
    struct budget budget = with_limit(100);
    cr_assert_eq(budget_room(&budget, 30), 70);
    cr_assert_eq(budget_charge(&budget, BLOCK, 71, 30), -ENOMEM);
    cr_assert_eq(budget_charge(&budget, BLOCK, 70, 30), 0);
    cr_assert_eq(budget_room(&budget, 30), 0);
    cr_assert_eq(budget_room(&budget, 0), 30);
    cr_assert_eq(budget_charge(&budget, BLOCK, 30, 0), 0);
}

Test(budget, without_a_limit_nothing_is_kept_free)
{
    struct budget budget = with_limit(BUDGET_NO_LIMIT);
    cr_assert_eq(budget_charge(&budget, BLOCK, UINT64_C(1) << 62, UINT64_MAX), 0);
    cr_assert_eq(budget_room(&budget, UINT64_MAX), UINT64_MAX - (UINT64_C(1) << 62));
}

Test(budget, idle_bytes_count_against_the_limit_until_dropped)
{
    struct budget budget = with_limit(100);
    cr_assert_eq(budget_charge(&budget, BLOCK, 80, 0), 0);
    budget_to_idle(&budget, BLOCK, 50);
    cr_assert_eq(budget.used_bytes, 30);
    cr_assert_eq(budget.idle_bytes, 50);
    cr_assert_eq(budget.class_bytes[BLOCK], 30);
    cr_assert_eq(budget_charge(&budget, NATIVE, 21, 0), -ENOMEM);
    budget_from_idle(&budget, NATIVE, 20);
    cr_assert_eq(budget.class_bytes[NATIVE], 20);
    cr_assert_eq(budget_held(&budget), 80);
    budget_drop_idle(&budget, 30);
    cr_assert_eq(budget_held(&budget), 50);
    cr_assert_eq(budget_charge(&budget, NATIVE, 50, 0), 0);
}

Test(budget, peak_is_the_most_that_was_held)
{
    struct budget budget = with_limit(100);
    cr_assert_eq(budget_charge(&budget, BLOCK, 40, 0), 0);
    budget_to_idle(&budget, BLOCK, 40);
    cr_assert_eq(budget_charge(&budget, BLOCK, 30, 0), 0);
    cr_assert_eq(budget.peak_bytes, 70);
    budget_drop_idle(&budget, 40);
    budget_credit(&budget, BLOCK, 30);
    cr_assert_eq(budget_charge(&budget, BLOCK, 69, 0), 0);
    cr_assert_eq(budget.peak_bytes, 70);
    cr_assert_eq(budget_charge(&budget, BLOCK, 2, 0), 0);
    cr_assert_eq(budget.peak_bytes, 71);
}

Test(budget, what_is_there_already_is_charged_past_the_limit)
{
    struct budget budget = with_limit(100);
    cr_assert_eq(budget_charge(&budget, BLOCK, 90, 0), 0);
    budget_force(&budget, NATIVE, 30);
    cr_assert_eq(budget.used_bytes, 120);
    cr_assert_eq(budget.peak_bytes, 120);
    cr_assert_eq(budget.limit_bytes, 100);
    cr_assert_eq(budget_charge(&budget, BLOCK, 1, 0), -ENOMEM);
    budget_credit(&budget, NATIVE, 30);
    cr_assert_eq(budget_charge(&budget, BLOCK, 10, 0), 0);
}

Test(budget, counts_refusals_only_when_told)
{
    struct budget budget = with_limit(10);
    cr_assert_eq(budget_charge(&budget, BLOCK, 11, 0), -ENOMEM);
    cr_assert_eq(budget.refused, 0);
    budget_refuse(&budget);
    cr_assert_eq(budget.refused, 1);
}

#ifndef NDEBUG
Test(budget, what_is_lent_is_no_room_for_others_and_in_no_figure)
{
    struct budget budget;

    budget_init(&budget, 100);
    cr_assert_eq(budget_charge(&budget, 0, 30, 0), 0);
    cr_expect_eq(budget_lend(&budget, 60, 20), -ENOMEM);
    cr_expect_eq(budget_room(&budget, 0), 70, "refused: nothing has changed");
    cr_expect_eq(budget_lend(&budget, 50, 20), 0);
    cr_expect_eq(budget_charge(&budget, 0, 21, 0), -ENOMEM);
    cr_expect_eq(budget_held(&budget), 30);
    cr_expect_eq(budget.peak_bytes, 30);
    budget_lend_anyway(&budget, 50);
    cr_expect_eq(budget_room(&budget, 0), 0);
    budget_take_back(&budget, 100);
    cr_expect_eq(budget_charge(&budget, 0, 70, 0), 0);
}

Test(budget, credit_beyond_the_charge_is_caught, .signal = SIGABRT)
{
    struct budget budget = with_limit(100);
    cr_assert_eq(budget_charge(&budget, BLOCK, 10, 0), 0);
    cr_assert_eq(budget_charge(&budget, NATIVE, 10, 0), 0);
    budget_credit(&budget, BLOCK, 11);
}
#endif

Test(budget, random_operations_match_a_model)
{
    struct budget budget = with_limit(1000);
    uint64_t class_bytes[BUDGET_CLASSES] = {0}, idle = 0, used = 0, peak = 0, state = 1;
    for (unsigned step = 0; step < 200000; step++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        unsigned class = state >> 61;
        uint64_t bytes = (state >> 40) % 300, keep = (state >> 20) % 2 ? 100 : 0;
        switch ((state >> 33) % 6) {
        case 0:
        case 1: {
            bool fits = used + idle + bytes + keep <= budget.limit_bytes || bytes == 0;
            cr_assert_eq(budget_charge(&budget, class, bytes, keep), fits ? 0 : -ENOMEM);
            if (fits) {
                class_bytes[class] += bytes;
                used += bytes;
            }
            break;
        }
        case 2:
            bytes = bytes < class_bytes[class] ? bytes : class_bytes[class];
            budget_credit(&budget, class, bytes);
            class_bytes[class] -= bytes;
            used -= bytes;
            break;
        case 3:
            bytes = bytes < class_bytes[class] ? bytes : class_bytes[class];
            budget_to_idle(&budget, class, bytes);
            class_bytes[class] -= bytes;
            used -= bytes;
            idle += bytes;
            break;
        case 4:
            bytes = bytes < idle ? bytes : idle;
            budget_from_idle(&budget, class, bytes);
            class_bytes[class] += bytes;
            used += bytes;
            idle -= bytes;
            break;
        case 5:
            bytes = bytes < idle ? bytes : idle;
            budget_drop_idle(&budget, bytes);
            idle -= bytes;
            budget.limit_bytes = 500 + (state >> 11) % 1000;
            break;
        }
        peak = used + idle > peak ? used + idle : peak;
        cr_assert_eq(budget.used_bytes, used);
        cr_assert_eq(budget.idle_bytes, idle);
        cr_assert_eq(budget.peak_bytes, peak);
        cr_assert_eq(memcmp(budget.class_bytes, class_bytes, sizeof class_bytes), 0);
        cr_assert_eq(budget_room(&budget, 0),
                     budget.limit_bytes > used + idle ? budget.limit_bytes - used - idle : 0);
    }
}
