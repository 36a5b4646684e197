/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/outlook.h"

#include <criterion/criterion.h>

enum {
    BLOCKS = 4,
    FUNCTION = 7
};

static struct outlook_block block[BLOCKS];
static struct outlook outlook;

static void start(void)
{
    outlook_init(&outlook, block, BLOCKS);
    for (uint32_t i = 0; i < BLOCKS; i++)
        outlook_make(&outlook, i, 8);
}

/* A launch with one block. */
static void use(uint32_t index)
{
    outlook_launch(&outlook);
    outlook_use(&outlook, index, FUNCTION, 0);
}

static void idle(unsigned launches)
{
    while (launches--)
        outlook_launch(&outlook);
}

TestSuite(outlook, .init = start);

Test(outlook, a_name_means_its_block_and_none_that_has_the_row_later)
{
    uint32_t name = outlook_name(&outlook, 2), later;

    cr_expect(outlook_lives(&outlook, name));
    cr_expect_eq(outlook_find(&outlook, name), 2);
    outlook_free(&outlook, 2);
    cr_expect_not(outlook_lives(&outlook, name));
    later = outlook_make(&outlook, 2, 8);
    cr_expect_neq(later, name);
    cr_expect_not(outlook_lives(&outlook, name));
    cr_expect_eq(outlook_find(&outlook, name), OUTLOOK_NOBODY);
    cr_expect_eq(outlook_find(&outlook, later), 2);
}

Test(outlook, no_name_is_nobodys)
{
    cr_expect_not(outlook_lives(&outlook, OUTLOOK_NO_NAME));
    cr_expect_eq(outlook_find(&outlook, OUTLOOK_NO_NAME), OUTLOOK_NOBODY);
}

Test(outlook, an_heir_is_found_by_the_name_of_who_is_gone_while_it_lives)
{
    uint32_t name = outlook_name(&outlook, 1);

    outlook_inherit(&outlook, name, outlook_name(&outlook, 3));
    cr_expect_eq(outlook_find(&outlook, name), 1, "it lives itself");
    outlook_free(&outlook, 1);
    cr_expect_eq(outlook_find(&outlook, name), 3);
    outlook_make(&outlook, 1, 8);
    cr_expect_eq(outlook_find(&outlook, name), 3, "another one has its row");
    outlook_free(&outlook, 3);
    cr_expect_eq(outlook_find(&outlook, name), OUTLOOK_NOBODY);
}

Test(outlook, uses_that_lie_close_together_are_one_burst)
{
    use(0);
    idle(OUTLOOK_BURST - 1);
    use(0);
    cr_expect_eq(block[0].burst, 1);
    idle(OUTLOOK_BURST);
    use(0);
    cr_expect_eq(block[0].burst, outlook.now);
    cr_expect_eq(block[0].gaps, 1);
    cr_expect_eq(block[0].gap[0], outlook.now - 1, "from one beginning to the next");
}

Test(outlook, who_left_in_the_place_of_one_that_was_wanted_first_is_trusted_more)
{
    use(0);
    outlook_leave(&outlook, 0, 1);
    idle(20);
    use(1);
    use(0);
    cr_expect_eq(block[0].trust[OUTLOOK_BY_ORDER], OUTLOOK_TRUST_FIRST + 1);
    cr_expect_eq(block[0].trust[OUTLOOK_BY_GAPS], OUTLOOK_TRUST_FIRST + 1);
}

Test(outlook, who_left_in_the_place_of_one_that_nobody_wanted_is_trusted_less)
{
    use(0);
    outlook_leave(&outlook, 0, 1);
    idle(20);
    use(0);
    cr_expect_eq(block[0].trust[OUTLOOK_BY_ORDER], OUTLOOK_TRUST_FIRST - 3);
    idle(20);
    use(0);
    cr_expect_eq(block[0].trust[OUTLOOK_BY_ORDER], OUTLOOK_TRUST_FIRST - 3, "judged once");
}

Test(outlook, who_leaves_as_lru_would_have_it_is_judged_by_nothing)
{
    use(0);
    outlook_leave(&outlook, 0, 0);
    idle(20);
    use(0);
    cr_expect_eq(block[0].trust[OUTLOOK_BY_ORDER], OUTLOOK_TRUST_FIRST);
}

Test(outlook, who_is_freed_before_it_is_wanted_left_rightly)
{
    use(0);
    outlook_leave(&outlook, 0, 1);
    outlook_free(&outlook, 0);
    outlook_make(&outlook, 0, 8);
    use(0);
    cr_expect_eq(block[0].trust[OUTLOOK_BY_ORDER], OUTLOOK_TRUST_FIRST + 1,
                 "its call site has what it earned");
}

Test(outlook, a_call_site_hands_its_trust_to_those_that_come_after)
{
    use(0);
    outlook_leave(&outlook, 0, 1);
    idle(20);
    use(0);
    use(2);
    cr_expect_eq(block[2].trust[OUTLOOK_BY_ORDER], OUTLOOK_TRUST_FIRST - 3, "the same function and argument");
    outlook_launch(&outlook);
    outlook_use(&outlook, 3, FUNCTION, 1);
    cr_expect_eq(block[3].trust[OUTLOOK_BY_ORDER], OUTLOOK_TRUST_FIRST, "another argument");
}

Test(outlook, trust_stays_within_its_bounds)
{
    for (unsigned i = 0; i < 40; i++) {
        use(0);
        outlook_leave(&outlook, 0, 1);
        idle(20);
        use(1);
    }
    use(0);
    cr_expect_eq(block[0].trust[OUTLOOK_BY_ORDER], OUTLOOK_TRUST_MAX);
    for (unsigned i = 0; i < 10; i++) {
        outlook_leave(&outlook, 0, 1);
        idle(20);
        use(0);
    }
    cr_expect_eq(block[0].trust[OUTLOOK_BY_ORDER], 0);
}
