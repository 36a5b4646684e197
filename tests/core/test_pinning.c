/* SPDX-License-Identifier: Apache-2.0 */
/* test_pinning.c - host memory is pinned before it is needed, while the program runs, and kept for the next time. */
#include <criterion/criterion.h>

#include "api/object.h"
#include "engine/core.h"
#include "engine/gate.h"
#include "engine/monitor.h"
#include "ledger/state.h"
#include "world.h"

#define MIB ((uint64_t)1 << 20)

TestSuite(pinning, .timeout = 60);

static struct world world;
static struct program program;

/* Slabs that were made with the gate open, and with it closed. */
static unsigned made[2];

static void watch(struct fake_device *fake, enum fake_call call, void *arg)
{
    (void)fake, (void)arg;
    if (call == FAKE_HOST_CREATE)
        made[atomic_load(&gate.closed)]++;
}

static void start_on(const char *settings, const struct fake_config *config)
{
    world_start(&world, settings, config);
    core.machine_root = "/nowhere";
    made[false] = made[true] = 0;
    world.fake->before = watch;
    program_init(&program, &world, PROGRAM_BLOCKS, 1);
}

static void start(const char *settings)
{
    start_on(settings, NULL);
}

static void allocate(unsigned index, uint64_t bytes)
{
    cr_assert(program_allocate(&program, &program.model[index], bytes));
}

static void finish(void)
{
    world.fake->before = NULL;
    program_check_all(&program);
    program_free_all(&program);
    world_finish(&world);
}

Test(pinning, what_leaves_finds_host_memory_that_was_made_with_the_gate_open)
{
    start("EBBTIDE_DEVICE_BUDGET=40M EBBTIDE_HOST_BUDGET=1G");
    for (unsigned i = 0; i < 8; i++)
        allocate(i, i % 2 ? 7 * MIB : 12 * MIB);
    cr_expect_gt(core.counters.evictions, 0);
    cr_expect_gt(made[false], 0);
    cr_expect_eq(made[true], 0);
    finish();
}

Test(pinning, block_that_leaves_as_a_whole_finds_all_that_it_needs)
{
    start("EBBTIDE_DEVICE_BUDGET=40M EBBTIDE_HOST_BUDGET=1G");
    allocate(0, 24 * MIB);
    cr_assert_eq(object_register(program.model[0].address, 24 * MIB, 0, "block"), 0);
    allocate(1, 18 * MIB);
    cr_expect_eq(core.devices[0].away_bytes, 24 * MIB);
    cr_expect_eq(made[true], 0);
    finish();
}

Test(pinning, timer_makes_it_once_use_nears_the_budget)
{
    uint64_t ahead_bytes;

    start("EBBTIDE_DEVICE_BUDGET=40M EBBTIDE_HOST_BUDGET=1G EBBTIDE_COLD_MS=60000");
    for (unsigned i = 0; i < 2; i++)
        allocate(i, 12 * MIB);
    monitor_tick();
    cr_expect_eq(core.host_budget.idle_bytes, 0, "24 of 40 MiB");
    allocate(2, 10 * MIB);
    monitor_tick();
    ahead_bytes = core.host_budget.idle_bytes;
    cr_expect_geq(ahead_bytes, 12 * MIB);
    cr_expect_leq(ahead_bytes, 20 * MIB, "half of the budget");
    monitor_tick();
    cr_expect_eq(core.host_budget.idle_bytes, ahead_bytes, "and no more");
    made[false] = 0;
    allocate(3, 12 * MIB);
    cr_expect_gt(core.counters.evictions, 0);
    cr_expect_eq(made[false] + made[true], 0);
    finish();
}

Test(pinning, timer_takes_no_more_than_a_quarter_of_the_host_budget_and_gives_way_to_others)
{
    start("EBBTIDE_DEVICE_BUDGET=40M EBBTIDE_HOST_BUDGET=40M EBBTIDE_COLD_MS=60000");
    for (unsigned i = 0; i < 9; i++)
        allocate(i, 4 * MIB);
    monitor_tick();
    cr_expect_geq(core.host_budget.idle_bytes, 8 * MIB);
    cr_expect_leq(core.host_budget.idle_bytes, 10 * MIB);
    cr_expect_eq(core_host_charge(HOST_REGISTERED, 36 * MIB), 0);
    cr_expect_leq(core.host_budget.idle_bytes, 4 * MIB);
    core_host_credit(HOST_REGISTERED, 36 * MIB);
    finish();
}

Test(pinning, timer_asks_again_after_a_while_where_there_is_no_host_memory)
{
    start("EBBTIDE_DEVICE_BUDGET=40M EBBTIDE_HOST_BUDGET=1G EBBTIDE_COLD_MS=60000");
    for (unsigned i = 0; i < 9; i++)
        allocate(i, 4 * MIB);
    fake_fail(world.fake, FAKE_HOST_CREATE, 1, 1000, -ENOMEM);
    for (unsigned i = 0; i < 20; i++)
        monitor_tick();
    cr_expect_eq(made[false], 1);
    fake_fail(world.fake, FAKE_HOST_CREATE, 1, 0, 0);
    fake_advance(world.fake, 11 * UINT64_C(1000000000));
    monitor_tick();
    cr_expect_gt(core.host_budget.idle_bytes, 0);
    finish();
}

Test(pinning, timer_makes_none_where_nothing_may_move)
{
    start("EBBTIDE_DEVICE_BUDGET=40M EBBTIDE_HOST_BUDGET=1G EBBTIDE_COLD_MS=60000");
    for (unsigned i = 0; i < 9; i++)
        allocate(i, 4 * MIB);
    core_account_only("calls go past us");
    monitor_tick();
    cr_expect_eq(core.host_budget.idle_bytes, 0);
    finish();
}

Test(pinning, none_is_made_for_what_cannot_leave_and_none_that_cannot_be_mapped_is_kept)
{
    static const struct fake_config strict = {.strict = true};

    start_on("EBBTIDE_DEVICE_BUDGET=40M EBBTIDE_HOST_BUDGET=1G EBBTIDE_RESIDENCY=auto EBBTIDE_COLD_MS=60000",
             &strict);
    for (unsigned i = 0; i < 9; i++)
        allocate(i, 4 * MIB);
    monitor_tick();
    cr_expect(!program_allocate(&program, &program.model[9], 12 * MIB), "nothing may be unmapped");
    cr_expect_eq(made[false] + made[true], 0);
    cr_assert_eq(recycler_add(&core.slabs, 4 * MIB), 0);
    world.fake->config.strict = false;
    core_residency(true);
    cr_expect(core.mapped);
    cr_expect_eq(core.host_budget.idle_bytes, 0);
    allocate(9, 12 * MIB);
    cr_expect_gt(core.counters.evictions, 0);
    finish();
}

Test(pinning, host_memory_is_kept_by_its_bytes_however_many_pieces_that_are)
{
    enum {
        PIECES = 600
    };
    static uint64_t item[PIECES];

    start("EBBTIDE_DEVICE_BUDGET=40M EBBTIDE_HOST_BUDGET=2G");
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < PIECES; i++)
            cr_assert_eq(recycler_take(&core.slabs, 2 * MIB, 0, &item[i]), 0);
        for (unsigned i = 0; i < PIECES; i++)
            recycler_return(&core.slabs, 2 * MIB, item[i]);
        cr_expect_eq(recycler_count(&core.slabs, 2 * MIB), PIECES);
    }
    cr_expect_eq(made[false], PIECES);
    cr_expect_eq(recycler_trim(&core.slabs, UINT64_MAX), PIECES * 2 * MIB);
    finish();
}

Test(pinning, half_of_a_device_waits_and_the_driver_has_the_rest)
{
    start("EBBTIDE_DEVICE_BUDGET=40M EBBTIDE_HOST_BUDGET=1G");
    for (unsigned i = 0; i < 2; i++)
        allocate(i, 16 * MIB);
    for (unsigned i = 0; i < 2; i++)
        program_free(&program.model[i]);
    cr_expect_leq(core.devices[0].budget.idle_bytes, 20 * MIB);
    cr_expect_geq(core.devices[0].budget.idle_bytes, 16 * MIB);
    finish();
}
