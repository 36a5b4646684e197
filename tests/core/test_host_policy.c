/* SPDX-License-Identifier: Apache-2.0 */
/* test_host_policy.c - which host blocks leave first, under each EBBTIDE_POLICY. */
#include "host/host_state.h"
#include "host_world.h"
#include "ledger/state.h"
#include "policy/policies.h"

#include <criterion/criterion.h>

enum {
    BLOCKS = 6
};

/* Blocks of so many MiB, registered in this order, each used once. */
static void begin(enum policy_kind kind, uint64_t *block[BLOCKS], const unsigned mib[BLOCKS])
{
    host_world_begin(256 * MIB, NULL);
    host_spill.options.policy = kind;
    for (unsigned i = 0; i < BLOCKS; i++) {
        block[i] = range_map_registered(mib[i] * MIB);
        range_fill(block[i], mib[i] * MIB);
    }
    for (unsigned i = 0; i < BLOCKS; i++)
        cr_assert_eq(host_block_touch(block[i]), 0);
}

static void end(uint64_t *block[BLOCKS], const unsigned mib[BLOCKS])
{
    for (unsigned i = 0; i < BLOCKS; i++) {
        cr_expect(range_is_filled(block[i], mib[i] * MIB));
        range_release(block[i], mib[i] * MIB);
    }
    host_world_end();
}

/* Whatever has come back settles at once, or never. */
static void settle(bool at_once)
{
    core.stamp_hz = at_once ? 0 : core_stamp() * 5; /* 100 ms are half of all time so far */
}

static void expect_next(uint64_t *block[BLOCKS], const unsigned mib[BLOCKS], unsigned next)
{
    cr_expect_eq(host_block_demote(mib[next] * MIB), mib[next] * MIB);
    cr_expect_eq(range_away(block[next]), mib[next] * MIB, "block %u does not leave", next);
}

static const unsigned equal[BLOCKS] = {2, 2, 2, 2, 2, 2};

/* The order of the stamps and nothing else, as without any policy. */
static void expect_order_of_use(enum policy_kind kind)
{
    uint64_t *block[BLOCKS], random = 7;

    begin(kind, block, equal);
    settle(false);
    for (unsigned round = 0; round < 8; round++) {
        unsigned used[BLOCKS] = {0, 1, 2, 3, 4, 5};

        for (unsigned i = BLOCKS - 1; i > 0; i--) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            unsigned other = (unsigned)(random >> 33) % (i + 1), kept = used[i];

            used[i] = used[other];
            used[other] = kept;
        }
        for (unsigned i = 0; i < BLOCKS; i++) {
            cr_assert_eq(host_block_bring(block[used[i]]), 0);
            cr_assert_eq(host_block_touch(block[used[i]]), 0);
        }
        for (unsigned i = 0; i < BLOCKS; i++)
            expect_next(block, equal, used[i]);
    }
    end(block, equal);
}

Test(host_policy, lru_goes_by_the_last_use_alone)
{
    expect_order_of_use(POLICY_LRU);
}

Test(host_policy, blocks_of_one_stage_leave_by_their_last_use)
{
    uint64_t *block[BLOCKS];

    begin(POLICY_STAGE, block, equal);
    cr_assert_eq(host_block_touch(block[0]), 0);
    for (unsigned i = 1; i < BLOCKS; i++)
        expect_next(block, equal, i);
    end(block, equal);
}

Test(host_policy, fifo_goes_by_registration_however_much_a_block_is_used)
{
    uint64_t *block[BLOCKS];

    begin(POLICY_FIFO, block, equal);
    for (unsigned i = BLOCKS; i-- > 0;)
        cr_assert_eq(host_block_touch(block[i]), 0);
    for (unsigned i = 0; i < BLOCKS; i++)
        expect_next(block, equal, i);
    end(block, equal);
}

Test(host_policy, what_has_just_come_back_leaves_after_the_others)
{
    uint64_t *block[BLOCKS];

    begin(POLICY_FIFO, block, equal);
    settle(false);
    expect_next(block, equal, 0);
    cr_expect_eq(*block[0], range_word(0));
    expect_next(block, equal, 1);
    settle(true);
    cr_expect_eq(host_block_bring(block[0]), 0);
    expect_next(block, equal, 0);
    end(block, equal);
}

Test(host_policy, size_takes_the_smallest_block_that_is_enough_alone)
{
    static const unsigned mib[BLOCKS] = {10, 4, 20, 2, 6, 40};
    uint64_t *block[BLOCKS];

    begin(POLICY_SIZE, block, mib);
    expect_next(block, mib, 4);
    expect_next(block, mib, 2);
    expect_next(block, mib, 3);
    cr_expect_eq(host_block_demote(11 * MIB), 11 * MIB, "of 10, 4 and 40 the last");
    cr_expect_eq(range_away(block[5]), 11 * MIB);
    end(block, mib);
}

Test(host_policy, block_that_is_named_leaves_under_every_policy)
{
    for (unsigned kind = 0; kind < POLICY_COUNT; kind++) {
        uint64_t *block[BLOCKS];

        begin((enum policy_kind)kind, block, equal);
        range_evict(block[3], 2 * MIB);
        cr_expect_eq(host_block_evict(block[5], MIB), MIB);
        for (unsigned i = 0; i < BLOCKS; i++)
            cr_expect_eq(range_away(block[i]), i == 3 ? 2 * MIB : i == 5 ? MIB : 0);
        end(block, equal);
    }
}
