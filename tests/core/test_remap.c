/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_remap.c - what is mapped at addresses that lie side by side changes in one call, or in one for each, and is never left
 * half changed.
 */
#include <criterion/criterion.h>
#include <errno.h>

#include "scenario.h"

TestSuite(remap, .timeout = 120);

enum {
    BLOCKS = 4,
    MIB_EACH = 10,
    PIECES = 5 /* of a block: 2 MiB each, a sixteenth of the budget */
};

#define FOR_THREE "EBBTIDE_DEVICE_BUDGET=32M "

static uint64_t calls(enum fake_call call)
{
    return world.fake->calls[call];
}

/* Calls since the last time. */
struct count {
    uint64_t map, unmap, grant;
};

static struct count since(struct count *before)
{
    struct count now = {calls(FAKE_MAP), calls(FAKE_UNMAP), calls(FAKE_GRANT)};
    struct count more = {now.map - before->map, now.unmap - before->unmap, now.grant - before->grant};

    *before = now;
    return more;
}

static void expect(struct count is, uint64_t map, uint64_t unmap, uint64_t grant)
{
    cr_expect_eq(is.map, map);
    cr_expect_eq(is.unmap, unmap);
    cr_expect_eq(is.grant, grant);
}

Test(remap, block_of_many_pieces_leaves_and_returns_by_one_unmap_and_one_grant)
{
    struct count count = {0};
    struct model block;

    start(FOR_THREE);
    block = make(MIB_EACH);
    since(&count);
    cr_assert_eq(send_off(&block, false), block.bytes);
    expect(since(&count), PIECES, 1, 1);
    cr_expect(intact(&block));
    expect(since(&count), PIECES, 1, 1);
    program_free(&block);
    world_finish(&world);
}

Test(remap, block_of_many_pieces_is_made_by_one_grant)
{
    struct count count = {0};
    struct model block;

    start(FOR_THREE);
    since(&count);
    block = make(MIB_EACH);
    expect(since(&count), PIECES, 0, 1);
    program_free(&block);
    world_finish(&world);
}

static struct model make_on(unsigned ordinal, uint64_t seed)
{
    struct model block = {.bytes = MIB_EACH * MIB, .seed = seed};

    cr_assert_eq(core_allocate(ordinal, block.bytes, 0, NULL, true, &block.address), 0);
    model_write(&block);
    return block;
}

Test(remap, pieces_that_return_for_one_call_are_granted_to_the_device_of_each)
{
    static const struct fake_config two = {.count = 2};
    struct model block[BLOCKS];
    struct use use;

    world_start(&world, FOR_THREE "EBBTIDE_RESIDENCY=strict EBBTIDE_DISK=always", &two);
    for (unsigned i = 0; i < BLOCKS; i++)
        block[i] = make_on(i % 2, (uint64_t)(i + 1) << 40);
    for (unsigned i = 0; i < BLOCKS; i++)
        cr_assert_eq(send_off(&block[i], false), block[i].bytes);
    use_init(&use, false);
    for (unsigned i = 0; i < BLOCKS; i++)
        use_word(&use, block[i].address);
    cr_assert_eq(use_begin(&use), 0);
    for (unsigned i = 0; i < BLOCKS; i++) {
        cr_expect(fake_reachable(world.fake, i % 2, block[i].address, block[i].bytes));
        cr_expect_not(fake_reachable(world.fake, !(i % 2), block[i].address, block[i].bytes));
        cr_expect(model_intact(&block[i]));
    }
    use_end(&use);
    for (unsigned i = 0; i < BLOCKS; i++)
        program_free(&block[i]);
    world_finish(&world);
}

Test(remap, no_failing_call_leaves_a_block_half_made)
{
    static const enum fake_call call[] = {FAKE_MAP, FAKE_GRANT, FAKE_CREATE};

    for (unsigned i = 0; i < sizeof(call) / sizeof(*call); i++)
        for (unsigned nth = 1; nth <= PIECES + 1; nth++)
            for (unsigned times = 1; times <= 3; times++) {
                uint64_t address;
                int error;

                start(FOR_THREE "EBBTIDE_HOST_BUDGET=2M EBBTIDE_DISK=off");
                fake_fail(world.fake, call[i], nth, times, 0);
                error = core_allocate(0, MIB_EACH * MIB, 0, NULL, true, &address);
                world_check(&world);
                fake_fail(world.fake, call[i], 1, 0, 0);
                cr_expect(error == -ENOMEM || !core_free(address));
                world_finish(&world);
            }
}

Test(remap, driver_that_takes_them_one_by_one_is_asked_only_once_for_several)
{
    struct count count = {0};
    struct model block;

    start(FOR_THREE);
    block = make(MIB_EACH);
    world.fake->one_by_one = true;
    since(&count);
    cr_assert_eq(send_off(&block, false), block.bytes);
    expect(since(&count), PIECES, PIECES + 1, PIECES);
    cr_expect(intact(&block));
    expect(since(&count), PIECES, PIECES, PIECES);
    world.fake->one_by_one = false; /* or world_finish's own calls would be refused */
    program_free(&block);
    world_finish(&world);
}

/* Uses every block in turn, of which there is room for three, while the nth call fails. Such a use may be refused; then all
 * is as it was, and once the driver works again every byte is there. False: there was no nth call. */
static bool fail_one(const char *settings, bool named, enum fake_call call, unsigned nth)
{
    struct model block[BLOCKS];
    struct use use;
    bool failed;

    world_start(&world, settings, NULL);
    for (unsigned i = 0; i < BLOCKS; i++)
        block[i] = named ? make_named(MIB_EACH) : make(MIB_EACH);
    fake_fail(world.fake, call, nth, 1, 0);
    for (unsigned i = 0; i < BLOCKS; i++) {
        use_init(&use, true);
        use_word(&use, block[i].address);
        if (use_begin(&use) == 0)
            use_end(&use);
        world_check(&world);
    }
    failed = !world.fake->failure[call].times;
    fake_fail(world.fake, call, 1, 0, 0);
    for (unsigned i = 0; i < BLOCKS; i++)
        cr_assert(intact(&block[i]), "call %d, the %uth", (int)call, nth);
    for (unsigned i = 0; i < BLOCKS; i++)
        program_free(&block[i]);
    world_finish(&world);
    return failed;
}

static void fail_each(const char *settings, bool named)
{
    static const enum fake_call call[] = {FAKE_MAP,    FAKE_UNMAP,  FAKE_GRANT,      FAKE_COPY,
                                          FAKE_COPIED, FAKE_CREATE, FAKE_HOST_CREATE};

    for (unsigned i = 0; i < sizeof(call) / sizeof(*call); i++)
        for (unsigned nth = 1; nth <= 3 * PIECES && fail_one(settings, named, call[i], nth); nth++)
            ;
}

Test(remap, no_failing_call_leaves_a_mapped_block_half_changed)
{
    fail_each(FOR_THREE "EBBTIDE_DISK=off", false);
}

Test(remap, no_failing_call_leaves_an_unmapped_block_half_changed)
{
    fail_each(FOR_THREE "EBBTIDE_DISK=always EBBTIDE_RESIDENCY=strict", false);
}

Test(remap, no_failing_call_leaves_a_registered_block_half_changed)
{
    fail_each(FOR_THREE "EBBTIDE_DISK=off", true);
}
