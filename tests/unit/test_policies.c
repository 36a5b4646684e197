/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/policies.h"

#include <criterion/criterion.h>

#define MIB ((uint64_t)1 << 20)

enum {
    BLOCKS = 6
};

/* Six blocks, used in the order 3 1 4 0 5 2. */
static const uint64_t stamp[BLOCKS] = {40, 20, 60, 10, 30, 50};

struct world {
    struct candidate candidate[BLOCKS];
    struct victim scratch[VICTIMS_SCRATCH_MIN];
    uint32_t out[BLOCKS];
    size_t count;
};

static uint64_t movable_bytes(uint32_t index, void *arg)
{
    return ((struct world *)arg)->candidate[index].bytes;
}

static void describe(uint32_t index, void *arg, struct candidate *out)
{
    *out = ((struct world *)arg)->candidate[index];
    out->bytes = 0;
}

static struct world world_of(const unsigned mib[BLOCKS])
{
    struct world world = {.count = 0};

    for (unsigned i = 0; i < BLOCKS; i++)
        world.candidate[i] = (struct candidate){.arrival = i + 1, .bytes = mib[i] * MIB};
    return world;
}

/* Choose, and check who left in which order; `expected` ends with -1. */
static void expect(struct world *world, enum policy_kind kind, uint64_t need_bytes, const int *expected)
{
    const struct policies view = {
        .policy = &policies[kind],
        .victims = {.stamp = stamp,
                    .count = BLOCKS,
                    .newest = UINT64_MAX,
                    .movable_bytes = movable_bytes,
                    .arg = world,
                    .scratch = world->scratch,
                    .scratch_count = VICTIMS_SCRATCH_MIN},
        .describe = describe,
        .is_ranked = true,
    };
    size_t i = 0;

    world->count = policies_choose(&view, need_bytes, world->out, BLOCKS);
    for (; expected[i] >= 0; i++) {
        cr_assert_lt(i, world->count, "only %zu leave", world->count);
        cr_expect_eq(world->out[i], (uint32_t)expected[i], "number %zu is %u", i, world->out[i]);
    }
    cr_expect_eq(world->count, i, "%zu leave", world->count);
}

static const unsigned equal[BLOCKS] = {4, 4, 4, 4, 4, 4};
static const unsigned mixed[BLOCKS] = {20, 8, 30, 4, 8, 12};

Test(policies, lru_takes_what_was_used_longest_ago)
{
    struct world world = world_of(equal);

    expect(&world, POLICY_LRU, 9 * MIB, (const int[]){3, 1, 4, -1});
    expect(&world, POLICY_LRU, 100 * MIB, (const int[]){3, 1, 4, 0, 5, 2, -1});
}

Test(policies, look_ahead_takes_who_is_not_known_and_then_who_is_wanted_last)
{
    static const uint32_t ahead[BLOCKS] = {5, 0, 9, 7, 0, 1000000};
    struct world world = world_of(equal);

    for (unsigned i = 0; i < BLOCKS; i++)
        world.candidate[i].ahead = ahead[i];
    expect(&world, POLICY_LOOKAHEAD, 100 * MIB, (const int[]){1, 4, 5, 2, 3, 0, -1});
}

Test(policies, fifo_takes_what_was_allocated_first_however_much_it_is_used)
{
    struct world world = world_of(equal);

    expect(&world, POLICY_FIFO, 9 * MIB, (const int[]){0, 1, 2, -1});
}

Test(policies, size_takes_the_smallest_that_is_enough_alone)
{
    struct world world = world_of(mixed);

    expect(&world, POLICY_SIZE, 9 * MIB, (const int[]){5, -1});
    expect(&world, POLICY_SIZE, 30 * MIB, (const int[]){2, -1});
}

Test(policies, size_takes_the_less_recent_of_two_that_fit_alike)
{
    struct world world = world_of(mixed);

    expect(&world, POLICY_SIZE, 7 * MIB, (const int[]){1, -1});
}

Test(policies, size_takes_the_largest_first_where_none_is_enough_and_the_last_one_fits)
{
    struct world world = world_of(mixed);

    expect(&world, POLICY_SIZE, 34 * MIB, (const int[]){2, 3, -1});
    expect(&world, POLICY_SIZE, 55 * MIB, (const int[]){2, 0, 1, -1});
    expect(&world, POLICY_SIZE, 500 * MIB, (const int[]){2, 0, 5, 1, 4, 3, -1});
}

Test(policies, size_never_asks_for_a_block_that_cannot_move)
{
    struct world world = world_of(mixed);

    world.candidate[5].bytes = 0;
    expect(&world, POLICY_SIZE, 9 * MIB, (const int[]){0, -1});
    expect(&world, POLICY_SIZE, 500 * MIB, (const int[]){2, 0, 1, 4, 3, -1});
}

Test(policies, stage_takes_the_last_stage_first_and_the_least_recent_in_it)
{
    struct world world = world_of(equal);

    world.candidate[0].stage = 2;
    world.candidate[4].stage = 2;
    world.candidate[2].stage = STAGE_MAX;
    expect(&world, POLICY_STAGE, 100 * MIB, (const int[]){2, 4, 0, 3, 1, 5, -1});
}

Test(policies, lower_priority_leaves_first_under_every_policy)
{
    for (unsigned kind = 0; kind < POLICY_COUNT; kind++) {
        struct world world = world_of(equal);

        for (unsigned i = 0; i < BLOCKS; i++)
            world.candidate[i].priority = PRIORITY_MAX;
        world.candidate[2].priority = PRIORITY_MIN;
        world.candidate[5].priority = 0;
        expect(&world, kind, 4 * MIB, (const int[]){2, -1});
        expect(&world, kind, 8 * MIB, (const int[]){2, 5, -1});
    }
}

Test(policies, block_that_has_just_come_back_leaves_after_the_others)
{
    for (unsigned kind = 0; kind < POLICY_COUNT; kind++) {
        struct world world = world_of(equal);

        for (unsigned i = 0; i < BLOCKS; i++)
            world.candidate[i].is_settling = i != 5;
        world.candidate[5].priority = PRIORITY_MAX;
        expect(&world, kind, 4 * MIB, (const int[]){5, -1});
    }
}

Test(policies, favoured_block_stays_until_nothing_else_can_leave)
{
    for (unsigned kind = 0; kind < POLICY_COUNT; kind++) {
        struct world world = world_of(equal);

        world.candidate[3].is_favoured = world.candidate[0].is_favoured = true;
        world.candidate[1].is_settling = true;
        expect(&world, kind, 16 * MIB,
               kind == POLICY_FIFO   ? (const int[]){2, 4, 5, 1, -1}
               : kind == POLICY_SIZE ? (const int[]){4, 5, 2, 1, -1}
                                     : (const int[]){4, 5, 2, 1, -1});
    }
}

/* One by one and all together: the same order. */
Test(policies, turns_of_single_candidates_give_the_order_of_the_choice)
{
    for (unsigned kind = 0; kind < POLICY_COUNT; kind++) {
        struct world world = world_of(mixed);
        struct victim turn[BLOCKS];
        int expected[BLOCKS + 1];

        for (unsigned i = 0; i < BLOCKS; i++) {
            world.candidate[i].stage = i % 3;
            world.candidate[i].priority = i == 4 ? -1 : 0;
            world.candidate[i].is_settling = i == 3;
            turn[i] = (struct victim){.order = stamp[i], .index = i};
            policies_turn((enum policy_kind)kind, &world.candidate[i], 1000 * MIB, &turn[i]);
        }
        for (unsigned place = 0; place < BLOCKS; place++) {
            unsigned first = place;

            for (unsigned i = place; i < BLOCKS; i++)
                if (victims_before(&turn[i], &turn[first]))
                    first = i;
            struct victim next = turn[first];

            turn[first] = turn[place];
            turn[place] = next;
            expected[place] = (int)next.index;
        }
        expected[BLOCKS] = -1;
        expect(&world, (enum policy_kind)kind, 1000 * MIB, expected);
    }
}

Test(policies, under_lru_everything_has_settled)
{
    cr_expect_eq(policies_settled(POLICY_LRU, 5000, 10000), UINT64_MAX);
    cr_expect_eq(policies_settled(POLICY_FIFO, 5000, 10000), 4000, "100 ms ago");
    cr_expect_eq(policies_settled(POLICY_FIFO, 500, 10000), UINT64_MAX, "there was no such time");
}
