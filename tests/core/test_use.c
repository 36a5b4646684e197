/* SPDX-License-Identifier: Apache-2.0 */
/* test_use.c - what a launch notes of its blocks, and when it stamps them. */
#include <criterion/criterion.h>

#include "scenario.h"

TestSuite(use, .timeout = 60);

static const char settings[] = C200;

static _Atomic uint64_t *stamp_of(const struct model *block)
{
    return &core.blocks.stamp[address_granule(&core.blocks, block->address)];
}

static void launch(const uint64_t *word)
{
    void *pointer = (void *)(uintptr_t)word;
    struct use use;

    use_init(&use, true);
    use_pointed(&use, &pointer, 1);
    cr_assert_eq(use_begin(&use), 0);
    use_end(&use);
}

Test(use, a_stamp_is_written_again_only_when_it_is_old)
{
    struct model block;
    uint64_t young, old;

    start(settings);
    block = make(2);
    core.stamp_step = core_stamp() / 2; /* the counter may have begun a minute ago */
    young = core_stamp() - core.stamp_step / 2;
    atomic_store(stamp_of(&block), young);
    launch(&block.address);
    cr_expect_eq(atomic_load(stamp_of(&block)), young);
    core.stamp_step = core.stamp_hz / 1000;
    old = core_stamp() - core.stamp_step;
    atomic_store(stamp_of(&block), old);
    launch(&block.address);
    cr_expect_gt(atomic_load(stamp_of(&block)), old);
    program_free(&block);
    world_finish(&world);
}

Test(use, a_word_that_points_at_no_block_stamps_nothing)
{
    struct model block;
    uint64_t freed;

    start(settings);
    block = make(2);
    freed = block.address;
    cr_assert_eq(core_free(freed), 0);
    core.stamp_step = 0;
    launch(&freed);
    cr_expect_eq(atomic_load(&core.blocks.stamp[-1]), 0);
    cr_expect_eq(atomic_load(stamp_of(&block)), 0);
    world_finish(&world);
}

Test(use, pointers_are_noted_where_they_are_addresses_and_past_the_room_it_uses_all)
{
    uint64_t words[USE_INLINE + 2];
    void *pointers[USE_INLINE + 2];
    struct model block;
    struct use use;

    start(settings);
    block = make(2);
    for (unsigned i = 0; i < USE_INLINE + 2; i++) {
        words[i] = i == 1 ? 42 : block.address;
        pointers[i] = &words[i];
    }
    use_init(&use, true);
    use_pointed(&use, pointers, USE_INLINE);
    cr_expect_eq(use.count, USE_INLINE - 1);
    cr_expect_not(use.all);
    for (unsigned i = 0; i < use.count; i++)
        cr_expect_eq(use.granule[i], address_granule(&core.blocks, block.address));
    use_pointed(&use, pointers, 2);
    cr_expect_eq(use.count, USE_INLINE);
    cr_expect_not(use.all);
    use_pointed(&use, pointers, 1);
    cr_expect_eq(use.count, USE_INLINE);
    cr_expect(use.all);
    program_free(&block);
    world_finish(&world);
}
