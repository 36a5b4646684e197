/* SPDX-License-Identifier: Apache-2.0 */
/* test_drain.c - devices that do not come to rest: who waits for them, how long, and with the gate open. */
#include "engine/drain.h"

#include <criterion/criterion.h>
#include <errno.h>

#include "api/object.h"
#include "engine/gate.h"
#include "engine/monitor.h"
#include "ledger/state.h"
#include "world.h"

#define MIB ((uint64_t)1 << 20)

TestSuite(drain, .timeout = 60);

static struct world world;
static struct program program;

static const char settings[] =
    "EBBTIDE_DEVICE_BUDGET=40M EBBTIDE_HOST_BUDGET=1G EBBTIDE_DRAIN_MS=2000 EBBTIDE_OPERATIONS=off";

static void start(const struct fake_config *config)
{
    world_start(&world, settings, config);
    core.machine_root = "/nowhere";
    program_init(&program, &world, PROGRAM_BLOCKS, 1);
    for (unsigned i = 0; i < 3; i++)
        cr_assert(program_allocate(&program, &program.model[i], 12 * MIB));
}

static void finish(void)
{
    world.fake->restless = 0;
    if (core.deferred)
        monitor_tick();
    program_check_all(&program);
    program_free_all(&program);
    world_finish(&world);
}

/* Milliseconds on the device's clock. */
static uint64_t now_ms(void)
{
    return fake_now_ns(world.fake) / 1000000;
}

static uint64_t allocating_ms(unsigned index)
{
    uint64_t since_ms = now_ms();

    cr_assert(program_allocate(&program, &program.model[index], 12 * MIB));
    return now_ms() - since_ms;
}

static uint64_t freeing_ms(unsigned index)
{
    uint64_t since_ms = now_ms();

    program_free(&program.model[index]);
    return now_ms() - since_ms;
}

static bool is_in_host(unsigned index)
{
    return owner_at(&core.blocks, address_granule(&core.blocks, program.model[index].address)) & OWNER_AWAY;
}

/* How long the gate was closed, as seen when the device is asked something. */
static struct {
    uint64_t ns, since_ns;
    bool is_closed;
} closed;

static void watch_gate(struct fake_device *fake, enum fake_call call, void *arg)
{
    uint64_t now = fake_now_ns(fake);

    (void)call, (void)arg;
    closed.ns += closed.is_closed ? now - closed.since_ns : 0;
    closed.is_closed = atomic_load(&gate.closed);
    closed.since_ns = now;
}

Test(drain, allocation_waits_once_and_is_given_what_needs_no_rest)
{
    start(NULL);
    world.fake->restless = 1;
    cr_expect_eq(allocating_ms(3), 2000);
    cr_expect(is_in_host(3));
    for (unsigned i = 4; i < 8; i++) {
        cr_expect_eq(allocating_ms(i), 0);
        cr_expect(is_in_host(i));
    }
    cr_expect_eq(core.counters.evictions, 0);
    finish();
}

Test(drain, native_memory_is_refused_after_one_wait)
{
    uint64_t since_ms;

    start(NULL);
    world.fake->restless = 1;
    since_ms = now_ms();
    cr_expect_eq(core_charge(0, CLASS_NATIVE, 12 * MIB), -ENOMEM);
    cr_expect_eq(now_ms() - since_ms, 2000);
    cr_expect_eq(core_charge(0, CLASS_NATIVE, 12 * MIB), -ENOMEM);
    cr_expect_eq(now_ms() - since_ms, 2000);
    finish();
}

Test(drain, device_that_has_come_to_rest_is_waited_for_again)
{
    start(NULL);
    world.fake->restless = 1;
    allocating_ms(3);
    world.fake->restless = 0;
    cr_expect_eq(allocating_ms(4), 0);
    cr_expect_gt(core.counters.evictions, 0);
    world.fake->restless = 1;
    cr_expect_eq(allocating_ms(5), 2000);
    finish();
}

static uint64_t launching_ms(unsigned index)
{
    struct model *used[] = {&program.model[index]};
    uint64_t since_ms = now_ms();

    cr_assert_eq(program_launch(&program, used, 1, false), 0);
    return now_ms() - since_ms;
}

/* What was waited for in vain has come to rest, and that is seen. */
static void rest_and_start_again(void)
{
    world.fake->restless = 0;
    cr_assert_eq(drain_wait(1, 0), 0);
    world.fake->restless = 1;
}

static uint64_t launching_behind_ms(unsigned index, uint64_t queue_ms)
{
    cr_assert_eq(drain_wait(1, 0), 0);
    world.fake->busy_until_ns = fake_now_ns(world.fake) + queue_ms * 1000000;
    return launching_ms(index);
}

Test(drain, launch_waits_for_what_is_queued_rather_than_run_from_host_memory)
{
    start(NULL);
    allocating_ms(3);
    for (unsigned i = 0; i < 4; i++) {
        cr_expect_geq(launching_behind_ms(i, 900), 900);
        cr_expect_not(is_in_host(i));
    }
    cr_expect_eq(core.counters.zero_copy_launches, 0);
    finish();
}

Test(drain, launch_that_waited_in_vain_runs_in_place_and_the_next_ones_at_once)
{
    start(NULL);
    world.fake->restless = 1;
    allocating_ms(3);
    rest_and_start_again();
    for (unsigned i = 0; i < 3; i++)
        cr_expect_eq(launching_ms(3), i ? 0 : 2000);
    cr_expect_eq(core.counters.zero_copy_launches, 4, "with the one that filled it");
    finish();
}

Test(drain, launch_waits_a_moment_once_it_was_in_vain_and_longer_as_that_helps)
{
    unsigned away = 0;

    start(NULL);
    allocating_ms(3);
    while (!is_in_host(away))
        away++;
    world.fake->restless = 1;
    cr_expect_eq(launching_ms(away), 2000);
    rest_and_start_again();
    cr_expect_eq(launching_ms(away), DRAIN_MOMENT_MS);
    world.fake->restless = 0;
    for (unsigned i = 0; i < 4; i++)
        launching_behind_ms(i, 60);
    for (unsigned i = 0; i < 4; i++)
        launching_behind_ms(i, 200);
    cr_expect_eq(core.counters.zero_copy_launches, 2, "none of the last eight");
    finish();
}

Test(drain, moment_that_a_launch_waited_does_not_keep_an_allocation_from_waiting)
{
    start(NULL);
    allocating_ms(3);
    world.fake->restless = 1;
    launching_ms(0);
    rest_and_start_again();
    cr_expect_eq(launching_ms(0), DRAIN_MOMENT_MS);
    cr_expect_eq(launching_ms(0), 0);
    cr_expect_eq(allocating_ms(4), 2000);
    finish();
}

Test(drain, gate_is_open_nearly_all_the_time_that_is_waited)
{
    start(NULL);
    world.fake->restless = 1;
    world.fake->before = watch_gate;
    cr_expect_eq(allocating_ms(3), 2000);
    watch_gate(world.fake, FAKE_DRAIN, NULL);
    cr_expect_gt(closed.ns, 0);
    cr_expect_leq(closed.ns, 20000000);
    world.fake->before = NULL;
    finish();
}

/* A device that is given as much again whenever the gate is open, which takes it 300 ms. */
static struct {
    unsigned closed_tries;
    uint64_t tried_since_ms, second_try_ms;
} feeding;

static void feed(struct fake_device *fake, enum fake_call call, void *arg)
{
    (void)arg;
    if (call != FAKE_DRAIN)
        return;
    if (feeding.closed_tries == 2 && !feeding.second_try_ms)
        feeding.second_try_ms = now_ms() - feeding.tried_since_ms;
    feeding.tried_since_ms = now_ms();
    fake->restless = atomic_load(&gate.closed) && ++feeding.closed_tries <= 2;
    if (!atomic_load(&gate.closed))
        fake_advance(fake, 300000000);
}

Test(drain, try_with_the_gate_closed_is_as_long_as_it_took_with_the_gate_open)
{
    start(NULL);
    world.fake->before = feed;
    allocating_ms(3);
    world.fake->before = NULL;
    cr_expect_geq(feeding.second_try_ms, 300);
    cr_expect_eq(feeding.closed_tries, 3);
    cr_expect_gt(core.counters.evictions, 0);
    finish();
}

Test(drain, free_waits_for_the_devices_that_reach_the_block_alone)
{
    static const struct fake_config two = {.count = 2};

    start(&two);
    world.fake->restless = 2;
    cr_expect_eq(freeing_ms(0), 0);
    cr_expect_eq(core.deferred, 0);
    world.fake->peers[0] = 2;
    cr_expect_eq(freeing_ms(1), 2000);
    cr_expect_eq(core.deferred, 1);
    finish();
}

Test(drain, move_waits_for_the_devices_that_may_use_the_memory_alone)
{
    static const struct fake_config two = {.count = 2};

    start(&two);
    world.fake->restless = 2;
    cr_expect_eq(allocating_ms(3), 0);
    cr_expect_gt(core.counters.evictions, 0);
    cr_expect_not(is_in_host(3));
    world.fake->copiers[0] = 2;
    cr_expect_eq(allocating_ms(4), 2000, "a copy that it was given may be on its way");
    world.fake->copiers[0] = 0;
    cr_expect_eq(allocating_ms(5), 0);
    cr_expect_not(is_in_host(5));
    world.fake->peers[0] = 2;
    cr_expect_eq(allocating_ms(6), 0, "nobody has waited longer than is known to be in vain");
    cr_expect(is_in_host(6));
    finish();
}

Test(drain, timer_asks_the_devices_that_may_use_the_memory_alone)
{
    static const struct fake_config two = {.count = 2};

    start(&two);
    world.fake->restless = 2;
    cr_expect(drain_expected(0));
    cr_expect_not(drain_expected(1));
    cr_expect_not(drain_expected(1));
    cr_expect(drain_expected(0), "the other one's tries do not count");
    finish();
}

Test(drain, free_is_deferred_after_one_wait_until_the_device_rests)
{
    start(NULL);
    world.fake->restless = 1;
    cr_expect_eq(freeing_ms(0), 2000);
    cr_expect_eq(freeing_ms(1), 0);
    cr_expect_eq(core.deferred, 2);
    monitor_tick();
    cr_expect_eq(core.deferred, 2);
    world.fake->restless = 0;
    cr_expect_eq(freeing_ms(2), 0);
    cr_expect_eq(core.deferred, 0, "the device is at rest for all of them");
    world_check(&world);
    finish();
}

Test(drain, what_was_deferred_is_there_for_an_allocation_once_the_device_rests)
{
    world_start(&world, "EBBTIDE_DEVICE_BUDGET=40M EBBTIDE_RESIDENCY=strict", NULL);
    program_init(&program, &world, PROGRAM_BLOCKS, 1);
    cr_assert(program_allocate(&program, &program.model[0], 36 * MIB));
    world.fake->restless = 1;
    program_free(&program.model[0]);
    world.fake->restless = 0;
    cr_expect(program_allocate(&program, &program.model[0], 36 * MIB));
    program_free_all(&program);
    world_finish(&world);
}

Test(drain, process_ends_though_a_device_does_not_rest)
{
    start(NULL);
    world.fake->restless = 1;
    for (unsigned i = 0; i < 3; i++)
        program_free(&program.model[i]);
    core_settle();
    cr_expect_eq(core.deferred, 0);
    cr_expect_leq(core.devices[0].budget.class_bytes[CLASS_BLOCK], 0);
}

/* ---- the timer -------------------------------------------------------------------------------------------- */

static void cool(void)
{
    for (unsigned i = 0; i < 3; i++)
        atomic_store(&core.blocks.stamp[address_granule(&core.blocks, program.model[i].address)], i + 1);
}

static void tick(unsigned times)
{
    for (; times; times--) {
        monitor_tick();
        fake_advance(world.fake, 50000000);
    }
}

Test(drain, timer_asks_with_the_gate_open_and_less_and_less_often)
{
    uint64_t asked;

    start(NULL);
    for (unsigned i = 0; i < 3; i++)
        cr_assert_eq(object_register(program.model[i].address, 12 * MIB, 0, "block"), 0);
    cool();
    asked = world.fake->calls[FAKE_DRAIN];
    world.fake->restless = 1;
    world.fake->before = watch_gate;
    tick(400);
    watch_gate(world.fake, FAKE_DRAIN, NULL);
    cr_expect_eq(closed.ns, 0);
    cr_expect_not(closed.is_closed);
    cr_expect_gt(world.fake->calls[FAKE_DRAIN] - asked, 4);
    cr_expect_leq(world.fake->calls[FAKE_DRAIN] - asked, 16);
    world.fake->restless = 0;
    cool();
    tick(100);
    cr_expect_gt(core.counters.evictions, 0, "it goes on when the device rests");
    world.fake->before = NULL;
    finish();
}
