/* SPDX-License-Identifier: Apache-2.0 */
/* test_managed.c - managed memory of the program's own: what of it may be on a device, and what leaves for what. */
#include <criterion/criterion.h>
#include <errno.h>

#include "engine/managed.h"
#include "fake_pages.h"
#include "ledger/managed_range.h"
#include "moment.h"
#include "scenario.h"

TestSuite(managed, .timeout = 60);

static const char settings[] = "EBBTIDE_DEVICE_BUDGET=32M EBBTIDE_HOST_BUDGET=200M";

static void start_floating(const char *with, unsigned devices)
{
    const struct fake_config config = {.count = devices};

    world_start(&world, with, &config);
    world.fake->device.floating = (UINT32_C(1) << devices) - 1;
}

/* The n'th place for a range: far enough from the others. */
static uint64_t place(unsigned n)
{
    return FAKE_PAGES + n * 128 * MIB;
}

static void begin_on(unsigned ordinal, unsigned n, uint64_t bytes)
{
    fake_pages_begin(world.fake, place(n), bytes);
    core_managed_made(ordinal, place(n), bytes, false);
}

static void begin(unsigned n, uint64_t mib)
{
    begin_on(0, n, mib * MIB);
}

static void end(unsigned n, uint64_t mib)
{
    core_managed_gone(place(n));
    fake_pages_end(world.fake, place(n), mib * MIB);
}

/* A launch that names some of them, and uses all of each; a word of 0 ends the list. */
static void launch_on(unsigned ordinal, const uint64_t *words)
{
    struct use use;

    use_init(&use, true);
    use.kernel = true;
    use.stream = &world.fake->stream[ordinal];
    for (; *words; words++) {
        use_word(&use, *words);
        use_managed(&use, *words, 0);
    }
    cr_assert_eq(use_begin(&use), 0);
    use_end(&use);
}

static void launch(unsigned n)
{
    launch_on(0, (const uint64_t[]){place(n), 0});
}

static uint64_t used_by(unsigned n, uint64_t mib)
{
    fake_pages_use(world.fake, 0, place(n), mib * MIB);
    cr_expect_leq(world.fake->used_bytes[0], 32 * MIB);
    return fake_pages_on(world.fake, 0, place(n), mib * MIB) / MIB;
}

static void finish(void)
{
    cr_expect_eq(core.devices[0].budget.lent_bytes, 0);
    cr_expect_eq(core.attention & ATTENTION_MANAGED, 0);
    world_finish(&world);
}

Test(managed, no_more_of_it_is_on_the_device_than_the_budget_lends)
{
    start_floating(settings, 1);
    begin(0, 20);
    begin(1, 100);
    cr_expect_eq(used_by(0, 20), 20);
    cr_expect_eq(used_by(1, 100), 12);
    cr_expect_eq(core.devices[0].budget.lent_bytes, 32 * MIB);
    cr_expect_eq(core_managed_on(0), 32 * MIB);
    end(0, 20);
    end(1, 100);
    cr_expect_eq(core_managed_on(0), 0);
    finish();
}

Test(managed, what_was_used_longest_ago_leaves_for_what_a_launch_names)
{
    start_floating(settings, 1);
    for (unsigned n = 0; n < 3; n++)
        begin(n, 16);
    launch(1);
    launch(0);
    cr_expect_eq(used_by(0, 16) + used_by(1, 16), 32);
    launch(2);
    cr_expect_eq(fake_pages_on(world.fake, 0, place(1), 16 * MIB), 0);
    cr_expect_eq(used_by(2, 16), 16);
    cr_expect_eq(used_by(0, 16), 16);
    cr_expect_eq(used_by(1, 16), 0, "it is used where it is");
    for (unsigned n = 0; n < 3; n++)
        end(n, 16);
    finish();
}

Test(managed, ranges_that_one_launch_names_do_not_leave_for_each_other)
{
    start_floating(settings, 1);
    for (unsigned n = 0; n < 3; n++)
        begin(n, 16);
    launch_on(0, (const uint64_t[]){place(0), place(1), place(2), 0});
    uint64_t calls = world.fake->calls[FAKE_CONFINE];

    launch_on(0, (const uint64_t[]){place(0), place(1), place(2), 0});
    cr_expect_eq(world.fake->calls[FAKE_CONFINE], calls);
    cr_expect_eq(used_by(0, 16) + used_by(1, 16) + used_by(2, 16), 32);
    for (unsigned n = 0; n < 3; n++)
        end(n, 16);
    finish();
}

Test(managed, a_range_comes_from_where_it_is_named)
{
    start_floating(settings, 1);
    begin(1, 32);
    begin(0, 64);
    end(1, 32);
    launch_on(0, (const uint64_t[]){place(0) + 40 * MIB, 0});
    cr_expect_eq(used_by(0, 64), 32);
    cr_expect_eq(fake_pages_on(world.fake, 0, place(0) + 40 * MIB, 24 * MIB), 24 * MIB);
    cr_expect_eq(fake_pages_on(world.fake, 0, place(0), 8 * MIB), 8 * MIB);
    end(0, 64);
    finish();
}

Test(managed, it_leaves_for_blocks_that_are_used_later)
{
    struct model block[2];

    start_floating(settings, 1);
    begin(0, 32);
    cr_expect_eq(used_by(0, 32), 32);
    block[0] = make(8);
    block[1] = make(8);
    cr_expect_eq(used_by(0, 32), 16);
    cr_expect_eq(counters_read(&core.counters.blocks_evicted), 0);
    for (unsigned i = 0; i < 2; i++)
        program_free(&block[i]);
    end(0, 32);
    finish();
}

Test(managed, a_block_that_was_used_longer_ago_leaves_for_it)
{
    struct model block;

    start_floating(settings, 1);
    begin(1, 20);
    begin(0, 20);
    block = make(12);
    launch(1);
    launch(0);
    cr_expect_eq(used_by(0, 20), 20);
    cr_expect_eq(counters_read(&core.counters.blocks_evicted), 1);
    cr_expect(model_intact(&block));
    program_free(&block);
    end(0, 20);
    end(1, 20);
    finish();
}

Test(managed, what_could_not_be_sent_stays_lent)
{
    struct model block;

    for (enum fake_call call = FAKE_CONFINE; call <= FAKE_SEND_HOME; call++) {
        start_floating("EBBTIDE_DEVICE_BUDGET=32M EBBTIDE_HOST_BUDGET=200M EBBTIDE_RESIDENCY=mapped", 1);
        begin(0, 32);
        cr_expect_eq(used_by(0, 32), 32);
        fake_fail(world.fake, call, 1, 100, 0);
        block = make(8);
        cr_expect_leq(world.fake->used_bytes[0], 32 * MIB);
        cr_expect_eq(core.devices[0].budget.lent_bytes, 32 * MIB, "the block is mapped host memory");
        fake_fail(world.fake, call, 1, 0, 0);
        program_free(&block);
        block = make(8);
        cr_expect_eq(core.devices[0].budget.lent_bytes, 24 * MIB);
        program_free(&block);
        end(0, 32);
        finish();
    }
}

Test(managed, what_could_not_be_kept_off_counts_past_the_limit)
{
    start_floating(settings, 1);
    fake_fail(world.fake, FAKE_CONFINE, 2, 1, 0);
    begin(0, 64);
    cr_expect_eq(core.devices[0].budget.lent_bytes, 64 * MIB);
    end(0, 64);
    finish();
}

static void *end_first(void *arg)
{
    core_managed_gone(*(uint64_t *)arg);
    return NULL;
}

Test(managed, a_free_waits_for_what_leaves)
{
    uint64_t address = place(0);
    struct model block;

    start_floating(settings, 1);
    begin(0, 32);
    cr_expect_eq(used_by(0, 32), 32);
    moment_meet(world.fake, FAKE_SEND_HOME, 1, end_first, &address);
    block = make(8);
    moment_part();
    fake_pages_end(world.fake, address, 32 * MIB);
    program_free(&block);
    cr_expect_eq(managed_range_count(), 0);
    finish();
}

Test(managed, small_ones_share_what_is_lent_for_their_page)
{
    start_floating(settings, 1);
    fake_pages_begin(world.fake, FAKE_PAGES, GRANULE_BYTES);
    for (unsigned i = 0; i < 8; i++)
        core_managed_made(0, FAKE_PAGES + i * 4096, 4096, false);
    cr_expect_eq(core.devices[0].budget.lent_bytes, GRANULE_BYTES);
    for (unsigned i = 0; i < 8; i++)
        core_managed_gone(FAKE_PAGES + (i * 3 % 8) * 4096);
    finish();
}

Test(managed, a_range_is_the_device_s_that_uses_it_first)
{
    start_floating("EBBTIDE_DEVICE_BUDGET=32M EBBTIDE_HOST_BUDGET=200M", 2);
    begin_on(0, 0, 16 * MIB);
    launch_on(1, (const uint64_t[]){place(0), 0});
    cr_expect_eq(core.devices[0].budget.lent_bytes, 0);
    cr_expect_eq(core.devices[1].budget.lent_bytes, 16 * MIB);
    launch_on(0, (const uint64_t[]){place(0), 0});
    fake_pages_use(world.fake, 0, place(0), 16 * MIB);
    cr_expect_eq(world.fake->used_bytes[0], 0, "from now on it is reached there");
    fake_pages_use(world.fake, 1, place(0), 16 * MIB);
    cr_expect_eq(world.fake->used_bytes[1], 16 * MIB);
    end(0, 16);
    cr_expect_eq(core.devices[1].budget.lent_bytes, 0);
    finish();
}

Test(managed, nothing_is_asked_of_the_driver_while_all_fits)
{
    start_floating(settings, 1);
    begin(0, 16);
    uint64_t calls = world.fake->calls[FAKE_CONFINE];

    for (unsigned i = 0; i < 10; i++)
        launch(0);
    cr_expect_eq(world.fake->calls[FAKE_CONFINE], calls);
    cr_expect_eq(world.fake->calls[FAKE_SEND_HOME], 0);
    end(0, 16);
    finish();
}

Test(managed, it_is_told_where_it_may_be_and_that_it_could_leave)
{
    struct kinds kinds;

    start_floating(settings, 1);
    begin(0, 20);
    begin(1, 20);
    begin(2, 20);
    core_native_made(0, KIND_MANAGED, STAY_DRIVER, 60 * MIB);
    fake_pages_use(world.fake, 0, place(0), 6 * MIB);
    core_kinds(0, &kinds);
    cr_expect_eq(kinds.of[KIND_MANAGED].device_bytes, 6 * MIB);
    cr_expect_eq(kinds.of[KIND_MANAGED].leaves.bytes, 6 * MIB);
    cr_expect_eq(kinds.of[KIND_MANAGED].leaves.count, 2);
    cr_expect_eq(kinds.of[KIND_MANAGED].away.count, 1);
    cr_expect_eq(kinds.of[KIND_MANAGED].off_bytes, 28 * MIB);
    cr_expect_eq(kinds.of[KIND_MANAGED].stays[STAY_DRIVER].count, 0);
    core_native_gone(0, KIND_MANAGED, STAY_DRIVER, 60 * MIB);
    for (unsigned n = 0; n < 3; n++)
        end(n, 20);
    finish();
}
