/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/lookahead.h"

#include <criterion/criterion.h>

enum {
    BLOCKS = 10,
    GRANULES = 8
};

static uint32_t words[HISTORY_WORDS];
static struct history history;
static struct outlook_block block[BLOCKS];
static struct lookahead lookahead;

static void start(void)
{
    history_init(&history, words);
    lookahead_init(&lookahead, (BLOCKS - 2) * GRANULES, block, BLOCKS, &history, 1);
    for (uint32_t i = 0; i < BLOCKS; i++)
        lookahead_make(&lookahead, i, GRANULES);
}

static void launch(uint32_t index)
{
    uint32_t name = outlook_name(&lookahead.outlook, index);

    lookahead_launch(&lookahead, 0, &(struct launch){1 + index, 1, &name});
}

TestSuite(lookahead, .init = start);

Test(lookahead, blocks_in_turn_leave_the_last_one_first_once_that_is_known)
{
    for (unsigned i = 0; i < 3 * BLOCKS; i++)
        launch(i % BLOCKS);
    lookahead_plan(&lookahead);
    cr_assert_eq(lookahead.ruler, GUARD_ORDER);
    for (uint32_t i = 0; i < BLOCKS; i++)
        cr_expect_eq(lookahead_turn(&lookahead, i).ahead, i + 1);
    cr_expect_eq(lookahead.hits, 2 * BLOCKS - 1);
    cr_expect_eq(lookahead.misses, BLOCKS + 1);
    cr_expect(lookahead_batches(&lookahead));
}

Test(lookahead, without_a_repetition_they_leave_as_by_lru)
{
    for (unsigned i = 0; i < 6; i++)
        launch(2 + i);
    lookahead_plan(&lookahead);
    for (uint32_t i = 0; i < 6; i++)
        cr_expect_eq(lookahead_turn(&lookahead, 2 + i).ahead, i == 5 ? 1 : 5 - i);
    cr_expect_not(lookahead_batches(&lookahead));
}

Test(lookahead, what_comes_early_in_vain_ends_that_until_it_is_forgotten)
{
    for (unsigned i = 0; i < 3 * BLOCKS; i++)
        launch(i % BLOCKS);
    lookahead_plan(&lookahead);
    for (unsigned i = 0; i < 6; i++) {
        lookahead_come_early(&lookahead, 0);
        lookahead_leave(&lookahead, 0, 0);
    }
    cr_expect_not(lookahead_batches(&lookahead));
    cr_expect_eq(lookahead.early, 6);
    cr_expect_eq(lookahead.unused, 6);
    for (unsigned i = 0; i < 20 * BLOCKS; i++) {
        lookahead_come_early(&lookahead, i % BLOCKS);
        launch(i % BLOCKS);
    }
    lookahead_plan(&lookahead);
    cr_expect(lookahead_batches(&lookahead), "it was of use since");
    cr_expect_eq(lookahead.unused, 6);
}

Test(lookahead, a_block_that_is_gone_is_no_part_of_a_launch)
{
    uint32_t name = outlook_name(&lookahead.outlook, 4);

    lookahead_free(&lookahead, 4);
    lookahead_launch(&lookahead, 0, &(struct launch){1, 1, &name});
    cr_expect_eq(lookahead.outlook.now, 1);
    cr_expect_eq(block[4].last, 0);
}
