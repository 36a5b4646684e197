/* SPDX-License-Identifier: Apache-2.0 */
/* test_timing.c - the scenarios of the policy design that are about when something moves: the timer, a driver that is
 * full, a batch, what is freed in time. */
#include <criterion/criterion.h>
#include <errno.h>

#include "engine/monitor.h"
#include "scenario.h"

TestSuite(timing, .timeout = 60);

static const char s7_settings[] = C200
    " EBBTIDE_HOST_BUDGET=400M EBBTIDE_OPERATIONS=off EBBTIDE_HIGH=0.8 EBBTIDE_LOW=0.5 EBBTIDE_COLD_MS=0";

Test(timing, s7_monitor_evicts_to_the_low_mark_and_leaves_the_band_alone)
{
    struct model b[5];

    start(s7_settings);
    for (unsigned i = 0; i < 3; i++)
        b[i] = make_named(60);
    monitor_tick();
    cr_expect_eq(evictions(), 2);
    cr_expect_eq(used(), 60);
    b[3] = make_named(40);
    monitor_tick();
    b[4] = make_named(40);
    monitor_tick();
    cr_expect_eq(evictions(), 2);
    cr_expect_eq(used(), 140);
    for (unsigned i = 0; i < 5; i++)
        program_free(&b[i]);
    world_finish(&world);
}

Test(timing, s7_monitor_evicts_nothing_that_is_pinned)
{
    struct model b[3];

    start(s7_settings);
    for (unsigned i = 0; i < 3; i++) {
        b[i] = make_named(60);
        pin(&b[i], EBB_RO);
    }
    for (unsigned i = 0; i < 5; i++)
        monitor_tick();
    cr_expect_eq(evictions(), 0);
    cr_expect_eq(used(), 180);
    for (unsigned i = 0; i < 3; i++)
        program_free(&b[i]);
    world_finish(&world);
}

Test(timing, s8_driver_that_is_full_is_asked_again_after_an_eviction)
{
    static const char settings[] =
        "EBBTIDE_DEVICE_BUDGET=off EBBTIDE_OPERATIONS=off EBBTIDE_HOST_BUDGET=400M EBBTIDE_RESIDENCY=strict";
    const struct fake_config config = {.capacity_bytes = 64 * MIB};
    struct model b, other;
    uint64_t calls, address;

    world_start(&world, settings, &config);
    b = make_named(40);
    calls = world.fake->calls[FAKE_CREATE];
    other = make(40);
    /* Chunks of 4: six, a refusal, and the same again; the rest is made of what the victim left. */
    cr_expect_eq(world.fake->calls[FAKE_CREATE] - calls, 8);
    cr_expect_eq(evictions(), 1);
    cr_expect(intact(&other));
    program_free(&other);
    pin(&b, EBB_RO);
    calls = world.fake->calls[FAKE_CREATE];
    cr_expect_eq(core_allocate(0, 40 * MIB, 0, NULL, true, &address), -ENOMEM);
    cr_expect_leq(world.fake->calls[FAKE_CREATE] - calls, 20);
    cr_expect_eq(evictions(), 1);
    program_free(&b);
    world_finish(&world);
}

Test(timing, s9_batch_of_three_costs_one_drain_and_one_synchronisation)
{
    struct model b[3], wide;
    uint64_t drains, copied;

    start("EBBTIDE_DEVICE_BUDGET=26M EBBTIDE_HOST_BUDGET=100M EBBTIDE_OPERATIONS=off");
    for (unsigned i = 0; i < 3; i++)
        b[i] = make_named(8);
    fake_launch(world.fake, b[0].address, b[0].bytes, NULL, NULL);
    drains = core.counters.drains;
    copied = world.fake->calls[FAKE_COPIED];
    wide.bytes = 24 * MIB;
    cr_assert_eq(core_allocate(0, wide.bytes, 0, NULL, true, &wide.address), 0);
    cr_expect_eq(core.counters.drains - drains, 1);
    cr_expect_eq(evictions(), 3);
    cr_expect_leq(world.fake->calls[FAKE_COPIED] - copied, 12, "one wait serves all copies");
    program_free(&wide);
    for (unsigned i = 0; i < 3; i++) {
        cr_expect(intact(&b[i]));
        program_free(&b[i]);
    }
    world_finish(&world);
}

Test(timing, s15_what_is_freed_in_time_is_never_saved)
{
    start("EBBTIDE_DEVICE_BUDGET=100M EBBTIDE_HOST_BUDGET=200M");
    for (unsigned i = 0; i < 500; i++) {
        struct model block = make(20);

        cr_assert(intact(&block));
        program_free(&block);
    }
    cr_expect_eq(core.counters.blocks_saved, 0);
    cr_expect_eq(core.disk.peak_bytes, 0);
    world_finish(&world);
}
