/* SPDX-License-Identifier: Apache-2.0 */
/* test_scan.c - pointers are found wherever they lie, by the device itself and by the CPU. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "engine/scan.h"
#include "ledger/state.h"
#include "world.h"

#define MIB ((uint64_t)1 << 20)

TestSuite(scan, .timeout = 60);

enum {
    HOLDER, /* has a word that points at TARGET */
    TARGET,
    LONELY, /* nothing points here, and no neighbour of TARGET */
    BLOCKS = 6
};

static struct world world;
static uint64_t block[BLOCKS];

/* LONELY is the last of the blocks, so that it is nobody's neighbour. */
static void start(enum fake_scan scan)
{
    static const unsigned order[BLOCKS] = {TARGET, 3, 4, HOLDER, 5, LONELY};

    world_start(&world, "EBBTIDE_DEVICE_BUDGET=64M EBBTIDE_HOST_BUDGET=64M EBBTIDE_DISK=auto", NULL);
    world.fake->scan = scan;
    for (unsigned i = 0; i < BLOCKS; i++)
        cr_assert_eq(core_allocate(0, 6 * MIB, 0, NULL, true, &block[order[i]]), 0);
    for (unsigned i = 0; i < BLOCKS; i++)
        memset((void *)block[i], 0, 6 * MIB);
}

static void finish(void)
{
    cr_assert_null(fake_violation(world.fake));
    for (unsigned i = 0; i < BLOCKS; i++)
        cr_assert_eq(core_free(block[i]), 0);
    world_finish(&world);
}

static unsigned flags(unsigned which)
{
    return core.blocks.block[address_granule(&core.blocks, block[which])].flags &
           (BLOCK_HOLDER | BLOCK_REFERENCED);
}

static void plant(uint64_t offset)
{
    const uint64_t word = block[TARGET] + 6 * MIB - 1;

    memcpy((char *)block[HOLDER] + offset, &word, sizeof word);
}

static void expect_found(void)
{
    cr_assert(scan_run());
    cr_expect_eq(flags(HOLDER), BLOCK_HOLDER);
    cr_expect(flags(TARGET) & BLOCK_REFERENCED);
    cr_expect_eq(flags(LONELY), 0);
}

Test(scan, device_and_cpu_find_a_word_at_any_multiple_of_four)
{
    static const uint64_t offsets[] = {0, 4, 2 * MIB - 8, 4 * MIB + 12, 6 * MIB - 8};

    for (enum fake_scan scan = FAKE_SCANS; scan <= FAKE_NO_SCAN; scan++) {
        start(scan);
        for (unsigned i = 0; i < sizeof offsets / sizeof *offsets; i++) {
            memset((void *)block[HOLDER], 0, 6 * MIB);
            plant(offsets[i]);
            expect_found();
        }
        cr_expect_eq(core.scan[0], scan == FAKE_SCANS ? SCAN_TRUSTED : SCAN_REFUSED);
        cr_expect_eq(world.fake->calls[FAKE_SCAN] > 5, scan == FAKE_SCANS);
        finish();
    }
}

Test(scan, device_that_misses_pointers_is_found_out_before_it_matters)
{
    start(FAKE_MISSES);
    plant(0);
    expect_found();
    cr_expect_eq(core.scan[0], SCAN_REFUSED);
    finish();
}

Test(scan, device_that_fails_in_the_middle_is_replaced_by_the_cpu)
{
    start(FAKE_SCANS);
    plant(0);
    expect_found();
    fake_fail(world.fake, FAKE_SCAN, 3, 1, 0);
    expect_found();
    cr_expect_eq(core.scan[0], SCAN_REFUSED);
    finish();
}

/* Its driver never said how much memory it has: it was not tried, and nobody would wait for it. */
Test(scan, device_that_was_not_tried_is_given_nothing)
{
    start(FAKE_SCANS);
    plant(0);
    core.devices[0].ready = false;
    expect_found();
    cr_expect_eq(world.fake->calls[FAKE_SCAN], 0);
    core.devices[0].ready = true;
    finish();
}

Test(scan, without_memory_for_the_trial_the_question_stays_open)
{
    start(FAKE_SCANS);
    plant(0);
    fake_fail(world.fake, FAKE_SCAN, 1, 1, -ENOMEM);
    expect_found();
    cr_expect_eq(core.scan[0], SCAN_UNTRIED);
    expect_found();
    cr_expect_eq(core.scan[0], SCAN_TRUSTED);
    finish();
}

Test(scan, words_that_have_gone_are_forgotten)
{
    start(FAKE_SCANS);
    plant(4 * MIB);
    expect_found();
    memset((void *)block[HOLDER], 0, 6 * MIB);
    cr_assert(scan_run());
    cr_expect_eq(flags(HOLDER), 0);
    cr_expect_eq(flags(TARGET), 0);
    finish();
}

Test(scan, roots_are_searched_by_the_device_too)
{
    uint64_t root;

    start(FAKE_SCANS);
    cr_assert_eq(core_allocate(0, 2 * MIB, 0, NULL, true, &root), 0);
    world.fake->root[0] = (struct fake_root){.root = {.address = root, .bytes = 4098}};
    world.fake->root_count = 1;
    memset((void *)root, 0, 2 * MIB);
    memcpy((char *)root + 4088, &block[TARGET], sizeof block[TARGET]);
    cr_assert(scan_run());
    cr_expect(flags(TARGET) & BLOCK_REFERENCED);
    cr_expect_eq(flags(LONELY), 0);
    world.fake->root_count = 0;
    cr_assert_eq(core_free(root), 0);
    finish();
}
