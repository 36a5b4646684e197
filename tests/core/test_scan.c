/* SPDX-License-Identifier: Apache-2.0 */
/* test_scan.c - pointers are found wherever they lie, by the device itself and by the CPU. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

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

/* ---- sources of copies, which need not be what the call says ------------------------------------------------------ */

enum {
    PAGE = 4096,
    PAGES = 9 /* the rows and slices end in the last */
};

/* Pages of which every other may not be read, the first may. */
static char *pages_with_holes(void)
{
    char *pages = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    cr_assert_neq(pages, MAP_FAILED);
    for (unsigned i = 1; i < PAGES; i += 2)
        cr_assert_eq(mprotect(pages + i * PAGE, PAGE, PROT_NONE), 0);
    return pages;
}

static void point(char *at, unsigned which)
{
    memcpy(at, &block[which], sizeof block[which]);
}

static bool names(const struct use_rows *rows, unsigned which)
{
    struct use use;
    bool found = false;

    use_init(&use, true);
    use_source_rows(&use, rows);
    for (uint32_t i = 0; i < use.count; i++)
        found = found || use.granule[i] == address_granule(&core.blocks, block[which]);
    return found;
}

Test(scan, source_that_is_not_all_there_is_looked_at_as_far_as_it_goes)
{
    char *pages;

    start(FAKE_SCANS);
    pages = pages_with_holes();
    for (size_t first = 0; first < 9; first++) {
        memset(pages, 0, PAGE);
        point(pages + first + PAGE - 20, TARGET);
        for (size_t more = 0; more <= 2 * PAGE; more += PAGE - 1) {
            const struct use_rows rows = {pages + first, PAGE - first + more, 1, 0, 1, 0};

            cr_expect(names(&rows, TARGET), "%zu bytes from byte %zu on", rows.width, first);
        }
    }
    cr_expect_not(names(&(const struct use_rows){pages + PAGE, 64, 1, 0, 1, 0}, TARGET));
    munmap(pages, PAGES * PAGE);
    cr_expect_not(names(&(const struct use_rows){pages, PAGE, 1, 0, 1, 0}, TARGET));
    finish();
}

Test(scan, rows_are_looked_at_and_not_what_lies_between_them)
{
    char *pages;

    start(FAKE_SCANS);
    pages = pages_with_holes();
    point(pages + 2 * PAGE + 64, TARGET);
    point(pages + 6 * PAGE, LONELY);
    const struct use_rows rows = {pages, 128, 3, 2 * PAGE, 1, 0}, slices = {pages, 72, 2, 2 * PAGE, 2, 3};

    cr_expect(names(&rows, TARGET));
    cr_expect_not(names(&rows, LONELY));
    cr_expect(names(&slices, TARGET));
    cr_expect(names(&slices, LONELY));
    munmap(pages, PAGES * PAGE);
    finish();
}

Test(scan, rows_that_lie_close_together_are_one_run)
{
    _Alignas(8) char memory[256] = {0};

    start(FAKE_SCANS);
    point(memory + 68, TARGET); /* half in one row, half in the next */
    cr_expect(names(&(const struct use_rows){memory, 8, 16, 0, 2, 0}, TARGET));
    cr_expect(names(&(const struct use_rows){memory, 8, 16, 8, 2, 16}, TARGET));
    finish();
}

Test(scan, source_of_a_shape_that_no_memory_has_names_nothing)
{
    static const struct use_rows shape[] = {
        {NULL, 64, 1, 64, 1, 1},
        {NULL, 0, 1, 64, 1, 1},
        {NULL, 64, 0, 64, 1, 1},
        {NULL, 64, 1, 64, 0, 1},
        {NULL, 64, 2, 8, 1, 2},
        {NULL, 64, 2, 64, 2, 1},
        {NULL, SIZE_MAX, 1, 0, 1, 1},
        {NULL, 64, SIZE_MAX, 64, 1, 1},
        {NULL, 64, 2, SIZE_MAX, 1, 1},
        {NULL, 64, 2, 64, SIZE_MAX, 2},
        {NULL, 64, 2, (size_t)1 << 62, 5, 2},
    };
    _Alignas(8) char memory[4096] = {0};

    start(FAKE_SCANS);
    point(memory, TARGET);
    for (unsigned i = 0; i < sizeof shape / sizeof *shape; i++) {
        struct use_rows rows = shape[i];

        rows.memory = i ? memory : NULL;
        cr_expect_not(names(&rows, TARGET), "shape %u", i);
    }
    finish();
}
