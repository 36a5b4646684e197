/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_swap.c - blocks leave while others come: both ways of the link carry at once, in no more memory than the budgets have,
 * and whatever call of the driver fails, no byte is lost.
 */
#include <criterion/criterion.h>

#include "engine/gate.h"
#include "fake_work.h"
#include "ledger/headroom.h"
#include "scenario.h"

TestSuite(swap, .timeout = 200);

enum {
    BLOCKS = 6,
    MIB_EACH = 10,
    PIECES = 5 /* of a block: 2 MiB each, a sixteenth of the budget */
};

#define FOR_THREE  "EBBTIDE_DEVICE_BUDGET=32M EBBTIDE_DISK=off "
#define THREE_MORE "EBBTIDE_HOST_BUDGET=32M "

static struct model block[BLOCKS];

/* What was seen at calls to the driver. */
static struct {
    unsigned waits, both; /* for copies; while both ways had some */
    bool is_over;         /* more was in use than a budget has */
    bool is_open;         /* the gate, while copies were on their way */
} seen;

static void look(struct fake_device *fake, enum fake_call call, void *arg)
{
    unsigned ways = 0;

    (void)arg;
    for (uint64_t i = 0; i < fake->copy_count; i++)
        ways |= core_owns(fake->copy[i].to) ? WAY_IN : WAY_OUT;
    seen.is_open = seen.is_open || (ways && !atomic_load(&gate.closed));
    seen.waits += call == FAKE_COPIED;
    seen.both += call == FAKE_COPIED && ways == WAYS;
    seen.is_over = seen.is_over || fake->used_bytes[0] > core.devices[0].budget.limit_bytes ||
                   fake->host_used_bytes > core.host_budget.limit_bytes;
}

static void begin(const char *settings, bool named)
{
    start(settings);
    for (unsigned i = 0; i < BLOCKS; i++)
        block[i] = named ? make_named(MIB_EACH) : make(MIB_EACH);
    memset(&seen, 0, sizeof(seen));
    world.fake->before = look;
}

static void end(void)
{
    world.fake->before = NULL;
    world_check(&world);
    for (unsigned i = 0; i < BLOCKS; i++) {
        cr_expect(intact(&block[i]), "%u", i);
        program_free(&block[i]);
    }
    world_finish(&world);
}

/* Uses blocks, and writes to the first. */
static int use_blocks(unsigned first, unsigned count)
{
    struct use use;
    int error;

    use_init(&use, true);
    for (unsigned i = first; i < first + count; i++)
        use_word(&use, block[i].address);
    error = use_begin(&use);
    if (!error) {
        cr_expect(model_intact(&block[first]));
        block[first].seed += (uint64_t)1 << 20;
        model_write(&block[first]);
        use_end(&use);
    }
    return error;
}

static uint64_t restored(void)
{
    return core.counters.restores;
}

Test(swap, both_ways_carry_at_once)
{
    begin(FOR_THREE, false);
    cr_assert_eq(use_blocks(0, 1), 0);
    cr_expect_eq(restored(), PIECES);
    cr_expect_geq(seen.both, PIECES - 1, "%u of %u", seen.both, seen.waits);
    cr_expect_not(seen.is_open);
    end();
}

Test(swap, several_blocks_leave_for_several_in_one_pause)
{
    uint64_t drains;

    begin(FOR_THREE, false);
    drains = core.counters.drains;
    cr_assert_eq(use_blocks(0, 3), 0);
    cr_expect_eq(restored(), 3 * PIECES);
    cr_expect_eq(core.counters.drains - drains, 1);
    cr_expect_geq(seen.both, 3 * PIECES - 1, "%u of %u", seen.both, seen.waits);
    end();
}

Test(swap, no_more_is_in_use_than_the_budgets_have_and_the_reserve_is_free_again)
{
    begin(FOR_THREE THREE_MORE, false);
    for (unsigned i = 0; i < 3 * BLOCKS; i++) {
        cr_assert_eq(use_blocks(i % BLOCKS, 1), 0);
        cr_expect_not(seen.is_over);
        cr_expect_geq(headroom_device(0), headroom_device_staging(0));
    }
    end();
}

/* Three blocks are on the host, which has room for one piece more. */
Test(swap, both_ways_carry_at_once_where_both_tiers_are_full)
{
    uint64_t evictions;

    begin(FOR_THREE THREE_MORE, false);
    cr_expect_eq(headroom_host(), headroom_host_staging());
    evictions = core.counters.evictions;
    cr_assert_eq(use_blocks(0, 1), 0);
    cr_expect_eq(restored(), PIECES);
    cr_expect_eq(core.counters.evictions - evictions, PIECES);
    cr_expect_geq(seen.both, PIECES - 1, "%u of %u", seen.both, seen.waits);
    cr_expect_not(seen.is_over);
    end();
}

Test(swap, copies_in_that_fail_take_nothing_back_that_has_left)
{
    uint64_t evictions;
    unsigned waits;

    begin(FOR_THREE, false);
    cr_assert_eq(use_blocks(0, 1), 0);
    waits = seen.waits;
    evictions = core.counters.evictions;
    fake_fail(world.fake, FAKE_COPIED, waits, 1, 0); /* the last is for what comes */
    cr_assert_eq(use_blocks(1, 1), 0);
    cr_expect_eq(core.counters.evictions - evictions, PIECES);
    cr_expect_eq(restored(), PIECES, "what was to come is used where it is");
    cr_assert_eq(use_blocks(1, 1), 0);
    cr_expect_eq(restored(), 2 * PIECES);
    cr_expect_eq(core.counters.evictions - evictions, PIECES, "there was room for it");
    end();
}

Test(swap, copies_out_that_fail_leave_what_has_come)
{
    begin(FOR_THREE, false);
    fake_fail(world.fake, FAKE_COPIED, 1, 1, 0);
    cr_assert_eq(use_blocks(0, 1), 0);
    cr_expect_geq(restored(), PIECES - 1);
    end();
}

/* Uses blocks, two at a time, while the nth call fails. False: there was no such call. */
static bool fail_one(const char *settings, bool named, enum fake_call call, unsigned nth)
{
    bool failed;

    begin(settings, named);
    fake_fail(world.fake, call, nth, 1, 0);
    for (unsigned i = 0; i < BLOCKS; i += 2) {
        use_blocks(i, 2);
        world_check(&world);
        cr_expect_not(seen.is_over, "call %d, the %uth", (int)call, nth);
    }
    failed = !world.fake->failure[call].times;
    fake_fail(world.fake, call, 1, 0, 0);
    end();
    return failed;
}

static void fail_each(const char *settings, bool named)
{
    static const enum fake_call call[] = {FAKE_MAP,    FAKE_UNMAP,  FAKE_GRANT,      FAKE_COPY,
                                          FAKE_COPIED, FAKE_CREATE, FAKE_HOST_CREATE};
    unsigned step = world_steps(12) < 12 ? 4 : 1;

    for (unsigned i = 0; i < sizeof(call) / sizeof(*call); i++)
        for (unsigned nth = 1; nth <= 2 * PIECES && fail_one(settings, named, call[i], nth); nth += step)
            ;
}

Test(swap, no_failing_call_leaves_what_leaves_and_comes_half_changed)
{
    fail_each(FOR_THREE, false);
}

Test(swap, no_failing_call_leaves_it_half_changed_where_both_tiers_are_full)
{
    fail_each(FOR_THREE THREE_MORE, false);
}

Test(swap, no_failing_call_leaves_registered_blocks_half_changed)
{
    fail_each(FOR_THREE, true);
}
