/* SPDX-License-Identifier: Apache-2.0 */
/* test_foresight.c - EBBTIDE_POLICY=lookahead: who leaves where launches repeat, and when they are noted. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "engine/foresight.h"
#include "engine/monitor.h"
#include "ledger/state.h"
#include "world.h"

#define MIB ((uint64_t)1 << 20)

enum {
    BLOCKS = 40,
    BLOCK_MIB = 4,
    ROUNDS = 12
};

TestSuite(foresight, .timeout = 120);

static struct world world;
static struct program program;

/* Room for all blocks but one, beside what is kept to move them through. */
static void start(const char *policy)
{
    char settings[128];

    snprintf(settings, sizeof(settings),
             "EBBTIDE_DEVICE_BUDGET=%uM EBBTIDE_HOST_BUDGET=400M EBBTIDE_POLICY=%s", (BLOCKS - 1) * BLOCK_MIB,
             policy);
    world_start(&world, settings, NULL);
    program_init(&program, &world, BLOCKS, 1);
}

static void allocate(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        cr_assert(program_allocate(&program, &program.model[i], BLOCK_MIB * MIB));
}

static void launch(unsigned index)
{
    struct model *used[] = {&program.model[index]};

    cr_assert_eq(program_launch(&program, used, 1, true), 0);
}

static void finish(void)
{
    program_check_all(&program);
    program_free_all(&program);
    world_finish(&world);
}

/* Chunks that came back while all blocks were used in turn, once the first rounds are over. */
static uint64_t restores_in_turn(void)
{
    uint64_t before = 0;

    allocate(BLOCKS);
    for (unsigned i = 0; i < ROUNDS * BLOCKS; i++) {
        if (i == 4 * BLOCKS)
            before = counters_read(&core.counters.restores);
        launch(i % BLOCKS);
    }
    return counters_read(&core.counters.restores) - before;
}

Test(foresight, by_lru_every_block_that_is_used_in_turn_comes_back_each_time)
{
    start("lru");
    cr_expect_eq(restores_in_turn(), (ROUNDS - 4) * BLOCKS);
    cr_expect_eq(core.counters.launches_foretold, 0);
    finish();
}

Test(foresight, foretold_few_of_them_do)
{
    start("lookahead");
    cr_expect_lt(restores_in_turn(), (ROUNDS - 4) * BLOCKS / 8);
    cr_expect_gt(core.counters.launches_foretold, (ROUNDS - 4) * BLOCKS / 2);
    finish();
}

/* A quarter of what is used in turn is away at each time, so that each pause has something to bring beside what is wanted. */
Test(foresight, what_is_wanted_next_comes_in_a_pause_for_something_else)
{
    uint64_t restores, drains;

    world_start(&world, "EBBTIDE_DEVICE_BUDGET=124M EBBTIDE_HOST_BUDGET=400M EBBTIDE_POLICY=lookahead", NULL);
    program_init(&program, &world, BLOCKS, 1);
    restores_in_turn();
    restores = counters_read(&core.counters.restores);
    drains = counters_read(&core.counters.drains);
    for (unsigned i = 0; i < ROUNDS * BLOCKS; i++)
        launch(i % BLOCKS);
    restores = counters_read(&core.counters.restores) - restores;
    drains = counters_read(&core.counters.drains) - drains;
    cr_expect_lt(drains, restores * 2 / 3, "%llu pauses for %llu", (unsigned long long)drains,
                 (unsigned long long)restores);
    cr_expect_lt(restores, ROUNDS * BLOCKS / 2);
    cr_expect_gt(core.counters.early_bytes, restores / 4 * BLOCK_MIB * MIB);
    cr_expect_lt(core.counters.unused_bytes, core.counters.early_bytes / 4);
    cr_expect_geq(core.counters.pauses, drains);
    finish();
}

/* What nobody foretold is used instead, until what has come early has left again. */
Test(foresight, what_came_early_and_left_unused_is_counted)
{
    world_start(&world, "EBBTIDE_DEVICE_BUDGET=124M EBBTIDE_HOST_BUDGET=400M EBBTIDE_POLICY=lookahead", NULL);
    program_init(&program, &world, BLOCKS, 1);
    restores_in_turn();
    for (unsigned i = 0; i < ROUNDS * BLOCKS && !core.counters.unused_bytes; i++)
        launch(i * i % 17 % BLOCKS);
    for (unsigned i = 0; i < ROUNDS * BLOCKS && !core.counters.unused_bytes; i++)
        launch((unsigned)program_draw(&program, BLOCKS));
    cr_expect_gt(core.counters.unused_bytes, 0);
    cr_expect_leq(core.counters.unused_bytes, core.counters.early_bytes);
    finish();
}

/* The driver says when it is full: what a forecast may cost goes by the size of the device. */
Test(foresight, without_a_budget_they_are_foretold_as_well)
{
    static const struct fake_config config = {.capacity_bytes = (BLOCKS - 1) * BLOCK_MIB * MIB};

    world_start(&world, "EBBTIDE_DEVICE_BUDGET=off EBBTIDE_HOST_BUDGET=400M EBBTIDE_POLICY=lookahead",
                &config);
    program_init(&program, &world, BLOCKS, 1);
    cr_expect_lt(restores_in_turn(), (ROUNDS - 4) * BLOCKS / 4);
    finish();
}

Test(foresight, nothing_is_noted_before_a_device_is_nearly_full)
{
    start("lookahead");
    allocate((BLOCKS - 1) * 7 / 8);
    for (unsigned i = 0; i < 50; i++)
        launch(i % ((BLOCKS - 1) * 7 / 8));
    cr_expect_eq(core.attention, 0);
    cr_assert(program_allocate(&program, &program.model[BLOCKS - 1], BLOCK_MIB * MIB));
    cr_expect(core.attention & ATTENTION_NOTE);
    cr_expect_eq(core.counters.launches_foretold + core.counters.launches_unforetold, 0);
    finish();
}

/* Two rounds over what has room: who leaves for the next blocks is foretold from the first one on. */
Test(foresight, what_was_noted_before_anything_left_counts)
{
    enum {
        FIT = BLOCKS - 2
    };

    start("lookahead");
    allocate(FIT);
    for (unsigned i = 0; i < 2 * FIT; i++)
        launch(i % FIT);
    cr_expect_eq(core.counters.evictions, 0);
    for (unsigned i = FIT; i < BLOCKS; i++)
        cr_assert(program_allocate(&program, &program.model[i], BLOCK_MIB * MIB));
    cr_expect_gt(core.counters.launches_foretold, FIT / 2);
    finish();
}

/* Nobody chooses who leaves for longer than notes have room. */
Test(foresight, the_timer_reads_notes_that_would_have_no_room)
{
    start("lookahead");
    allocate(BLOCKS - 2);
    for (unsigned round = 0; round < 4; round++) {
        for (unsigned i = 0; i < 8000; i++)
            launch(0);
        monitor_tick();
    }
    cr_expect_gt(core.counters.launches_foretold, 20000);
    finish();
}

Test(foresight, noting_ends_ten_seconds_after_nothing_is_away_any_more)
{
    uint64_t now_ns = 1000000000;

    start("lookahead");
    allocate(BLOCKS);
    launch(0);
    cr_assert(core.attention & ATTENTION_NOTE);
    foresight_rest(now_ns);
    foresight_rest(now_ns += 20000000000);
    cr_expect(core.attention & ATTENTION_NOTE, "some block is away");
    program_free_all(&program);
    foresight_rest(now_ns);
    foresight_rest(now_ns + 9999999999);
    cr_expect(core.attention & ATTENTION_NOTE);
    foresight_rest(now_ns + 10000000000);
    cr_expect_eq(core.attention, 0);
    world_finish(&world);
}

/* Blocks of each round are made anew, so that no launch has the blocks of one before. */
Test(foresight, blocks_made_anew_in_each_round_keep_their_bytes_and_are_foretold)
{
    start("lookahead");
    allocate(BLOCKS);
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = BLOCKS / 2; i < BLOCKS; i++) {
            program_free(&program.model[i]);
            cr_assert(program_allocate(&program, &program.model[i], BLOCK_MIB * MIB));
        }
        for (unsigned i = 0; i < BLOCKS; i++)
            launch(i);
        world_check(&world);
    }
    cr_expect_gt(core.counters.launches_foretold, core.counters.launches_unforetold);
    finish();
}

/* More launches between two choices than a ring has words for. */
Test(foresight, launches_that_no_ring_has_room_for_are_forgotten)
{
    start("lookahead");
    allocate(BLOCKS);
    launch(0);
    cr_assert(core.attention & ATTENTION_NOTE);
    for (unsigned i = 0; i < 40000; i++)
        launch(0);
    for (unsigned i = 0; i < 4 * BLOCKS; i++)
        launch(i % BLOCKS);
    cr_expect_leq(core.counters.launches_foretold + core.counters.launches_unforetold, 1 << 15);
    finish();
}
