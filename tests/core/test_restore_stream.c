/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_restore_stream.c - pins behind a stream: the copy is the stream's to wait for. On the fake device a copy is made
 * when somebody waits for it, so whoever reads before that reads what was there before.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>

#include "engine/monitor.h"
#include "engine/mover.h"
#include "engine/restore.h"
#include "scenario.h"

TestSuite(restore_stream, .timeout = 60);

static char a_stream, another_stream;

static const char settings[] = "EBBTIDE_DEVICE_BUDGET=20M EBBTIDE_HOST_BUDGET=100M";

static uint64_t waits(void)
{
    return world.fake->calls[FAKE_COPIED] + world.fake->calls[FAKE_DRAIN];
}

/* One that was sent to host memory and is pinned again, with room for it. */
static struct model away(uint64_t mib)
{
    struct model block = make_named(mib);

    cr_assert_eq(object_evict(block.address, EBB_TIER_HOST), (long)(mib * MIB));
    return block;
}

static void pin_behind(const struct model *block, unsigned flags)
{
    cr_assert_eq(object_pin(block->address, flags, &a_stream), 0);
}

/* A launch on a stream that finds every byte and, if asked, writes. */
static void launch_on(struct model *block, void *stream, bool write)
{
    struct use use;

    use_init(&use, write);
    use.stream = stream;
    use_word(&use, block->address);
    cr_assert_eq(use_begin(&use), 0);
    if (stream)
        fake_finish_kernels(world.fake); /* the stream gets there */
    cr_expect(model_intact(block));
    if (write) {
        block->seed += UINT64_C(1) << 33;
        model_write(block);
    }
    use_end(&use);
}

static void settle(void)
{
    mover_take();
    mover_give();
    world_check(&world);
}

static void stop(struct model *block, unsigned pins)
{
    while (pins--)
        unpin(block, EBB_CLEAN);
    settle();
    program_free(block);
    world_finish(&world);
}

Test(restore_stream, nobody_waits_for_the_copy_but_the_stream)
{
    world_start(&world, settings, NULL);
    struct model block = away(8);
    uint64_t waited = waits();

    pin_behind(&block, EBB_RW);
    cr_expect_eq(waits(), waited);
    cr_expect_eq(world.fake->calls[FAKE_ORDER], 1);
    cr_expect(!model_intact(&block), "the copy has not been made");
    cr_expect(restore_stream_any());
    launch_on(&block, &a_stream, true);
    launch_on(&block, &a_stream, false);
    cr_expect_eq(waits(), waited, "nor does the launch wait");
    settle();
    cr_expect(!restore_stream_any());
    cr_expect_eq(ask(&block).tier, EBB_TIER_DEVICE);
    launch_on(&block, NULL, false);
    stop(&block, 1);
}

Test(restore_stream, any_other_use_waits_for_it)
{
    void *const streams[] = {NULL, &another_stream};

    world_start(&world, settings, NULL);
    struct model block = make_named(8);
    for (unsigned i = 0; i < 2; i++) {
        struct use use;

        cr_assert_eq(object_evict(block.address, EBB_TIER_HOST), 8 * (long)MIB);
        pin_behind(&block, EBB_RO);
        use_init(&use, false);
        use.stream = streams[i];
        use_word(&use, block.address);
        cr_assert_eq(use_begin(&use), 0);
        cr_expect(model_intact(&block), "in place when the call is made");
        use_end(&use);
        cr_expect(!restore_stream_any());
        unpin(&block, EBB_DIRTY);
    }
    stop(&block, 0);
}

Test(restore_stream, a_call_that_names_something_else_as_well_waits)
{
    world_start(&world, settings, NULL);
    struct model block = away(4), other = away(4);
    struct use use;

    pin_behind(&block, EBB_RO);
    use_init(&use, false);
    use.stream = &a_stream;
    use_word(&use, block.address);
    use_word(&use, other.address);
    cr_assert_eq(use_begin(&use), 0);
    cr_expect(model_intact(&block));
    cr_expect(model_intact(&other));
    use_end(&use);
    program_free(&other);
    stop(&block, 1);
}

Test(restore_stream, several_are_on_their_way_together)
{
    world_start(&world, settings, NULL);
    struct model one = away(4), two = away(4), three = away(4);
    uint64_t waited = waits();

    pin_behind(&one, EBB_RO);
    pin_behind(&two, EBB_RW);
    pin_behind(&three, EBB_RO);
    cr_expect_eq(waits(), waited);
    launch_on(&two, &a_stream, true);
    launch_on(&one, &a_stream, false);
    cr_expect_eq(waits(), waited);
    cr_assert_eq(object_pin(one.address, EBB_RO, &another_stream), 0, "for which it is still on its way");
    cr_expect_gt(waits(), waited);
    unpin(&one, EBB_CLEAN);
    unpin(&one, EBB_CLEAN);
    unpin(&two, EBB_DIRTY);
    launch_on(&two, NULL, false);
    program_free(&one);
    program_free(&two);
    stop(&three, 1);
}

Test(restore_stream, clean_copies_are_kept_as_after_any_pin)
{
    world_start(&world, settings, NULL);
    struct model block = away(8);

    cr_expect_eq(ask(&block).saves, 1);
    pin_behind(&block, EBB_RO);
    unpin(&block, EBB_CLEAN);
    cr_assert_eq(object_evict(block.address, EBB_TIER_HOST), 8 * (long)MIB);
    cr_expect_eq(ask(&block).saves, 1, "nobody wrote");
    pin_behind(&block, EBB_RO);
    unpin(&block, EBB_DIRTY);
    cr_assert_eq(object_evict(block.address, EBB_TIER_HOST), 8 * (long)MIB);
    cr_expect_eq(ask(&block).saves, 2, "it said that it wrote");
    pin_behind(&block, EBB_RW);
    launch_on(&block, &a_stream, true);
    unpin(&block, EBB_CLEAN);
    cr_assert_eq(object_evict(block.address, EBB_TIER_HOST), 8 * (long)MIB);
    cr_expect_eq(ask(&block).saves, 3, "pinned to be written");
    launch_on(&block, NULL, false);
    stop(&block, 0);
}

Test(restore_stream, others_leave_for_it_first)
{
    world_start(&world, settings, NULL);
    struct model block = away(12), other = make_named(12);

    pin_behind(&block, EBB_RO);
    cr_expect(restore_stream_any(), "it came behind the stream all the same");
    cr_expect_lt(ask(&other).resident_bytes, 12 * MIB);
    launch_on(&block, &a_stream, false);
    settle();
    unpin(&block, EBB_CLEAN);
    launch_on(&other, NULL, false);
    program_free(&other);
    stop(&block, 0);
}

Test(restore_stream, what_cannot_come_so_comes_as_ever)
{
    world_start(&world, settings, NULL);
    struct model block = make_named(8);
    const enum fake_call calls[] = {FAKE_ORDER, FAKE_MAP, FAKE_GRANT, FAKE_COPY, FAKE_CREATE};

    for (unsigned i = 0; i < sizeof(calls) / sizeof(*calls); i++)
        for (unsigned nth = 1; nth <= 3; nth++) {
            cr_assert_eq(object_evict(block.address, EBB_TIER_HOST), 8 * (long)MIB);
            fake_fail(world.fake, calls[i], nth, 1, 0);
            pin_behind(&block, EBB_RW);
            launch_on(&block, &a_stream, true);
            fake_fail(world.fake, calls[i], 1, 0, 0);
            settle();
            unpin(&block, EBB_DIRTY);
            launch_on(&block, NULL, false);
        }
    cr_assert_eq(object_evict(block.address, EBB_TIER_DISK), 8 * (long)MIB);
    pin_behind(&block, EBB_RO);
    cr_expect(!restore_stream_any(), "from disk");
    unpin(&block, EBB_CLEAN);
    cr_assert_eq(object_evict(block.address, EBB_TIER_HOST), 8 * (long)MIB);
    core_capture_begin();
    pin_behind(&block, EBB_RO);
    cr_expect(!restore_stream_any(), "during a capture");
    core_capture_end();
    stop(&block, 1);
}

/* The stream may have written to it: what the device has is kept. */
Test(restore_stream, an_error_that_others_meet_takes_nothing_back)
{
    world_start(&world, settings, NULL);
    struct model block = away(8);

    pin_behind(&block, EBB_RW);
    launch_on(&block, &a_stream, true);
    fake_fail(world.fake, FAKE_COPIED, 1, 1, -EIO);
    settle();
    launch_on(&block, NULL, false);
    stop(&block, 1);
}

Test(restore_stream, it_may_be_freed_on_its_way)
{
    world_start(&world, settings, NULL);
    struct model block = away(8), other = away(4);

    pin_behind(&block, EBB_RW);
    pin_behind(&other, EBB_RW);
    program_free(&block);
    cr_expect(!restore_stream_any());
    launch_on(&other, NULL, false);
    stop(&other, 1);
}

Test(restore_stream, the_process_may_end_meanwhile)
{
    world_start(&world, settings, NULL);
    struct model block = away(8);

    pin_behind(&block, EBB_RW);
    cr_expect(core_leave());
    cr_expect(!restore_stream_any());
    cr_expect(model_intact(&block));
    unpin(&block, EBB_CLEAN);
    program_free(&block);
    world_finish(&world);
}

/* ---- threads --------------------------------------------------------------------------------------------------- */

static _Atomic bool is_over;

/* Allocates, launches and frees beside it in what room there is. */
static void *crowd(void *arg)
{
    struct program *program = arg;

    while (!atomic_load(&is_over))
        program_step(program);
    program_check_all(program);
    program_free_all(program);
    return NULL;
}

static void *tick(void *arg)
{
    while (!atomic_load(&is_over)) {
        monitor_tick();
        sched_yield();
    }
    return arg;
}

Test(restore_stream, goes_on_beside_threads_that_evict_each_other)
{
    static struct program program;
    pthread_t thread[2];

    world_start(&world, settings, NULL);
    struct model block = make_named(4), other = make_named(4);
    program_init(&program, &world, 6, 5);
    program.may_refuse = true;
    cr_assert_eq(pthread_create(&thread[0], NULL, crowd, &program), 0);
    cr_assert_eq(pthread_create(&thread[1], NULL, tick, NULL), 0);
    for (unsigned i = world_steps(200); i; i--) {
        struct model *used = i % 2 ? &block : &other;
        bool write = i % 3;

        object_evict(used->address, EBB_TIER_HOST);
        if (object_pin(used->address, write ? EBB_RW : EBB_RO, &a_stream) < 0)
            continue;
        launch_on(used, i % 5 ? &a_stream : NULL, write);
        unpin(used, write ? EBB_DIRTY : EBB_CLEAN);
    }
    atomic_store(&is_over, true);
    for (unsigned i = 0; i < 2; i++)
        pthread_join(thread[i], NULL);
    cr_expect_gt(world.fake->calls[FAKE_ORDER], 10);
    launch_on(&block, NULL, false);
    launch_on(&other, NULL, false);
    program_free(&other);
    stop(&block, 0);
}
