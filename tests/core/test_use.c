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
        words[i] = i == 1 ? 42 : block.address + i * GRANULE_BYTES;
        pointers[i] = &words[i];
    }
    use_init(&use, true);
    use_pointed(&use, pointers, USE_INLINE);
    cr_expect_eq(use.count, USE_INLINE - 1);
    cr_expect_not(use.all);
    for (unsigned i = 0; i < use.count; i++)
        cr_expect_eq(use.granule[i], address_granule(&core.blocks, block.address) + (i ? i + 1 : 0));
    use_pointed(&use, pointers, 2);
    cr_expect_eq(use.count, USE_INLINE);
    cr_expect_not(use.all);
    use_pointed(&use, pointers + USE_INLINE, 1); /* what is there twice makes room */
    cr_expect_eq(use.count, USE_INLINE);
    cr_expect_not(use.all);
    use_pointed(&use, pointers, 2);
    cr_expect_not(use.all);
    use_pointed(&use, pointers + USE_INLINE + 1, 1);
    cr_expect_eq(use.count, USE_INLINE);
    cr_expect(use.all);
    program_free(&block);
    world_finish(&world);
}

/* ---- of unknown use ------------------------------------------------------------------------------------------ */

static int launch_all(uint8_t all, const struct model *named)
{
    struct use use;
    int error;

    use_init(&use, true);
    use.all = all;
    if (named)
        use_word(&use, named->address);
    error = use_begin(&use);
    if (!error)
        use_end(&use);
    return error;
}

static uint64_t away_bytes(void)
{
    return core.devices[0].away_bytes;
}

Test(use, launch_that_nobody_can_read_finds_mapped_host_memory_where_it_is)
{
    struct model block[4], named;
    uint64_t away, moved;

    start(C200);
    for (unsigned i = 0; i < 4; i++)
        block[i] = make(60);
    away = away_bytes();
    cr_assert_gt(away, 0);
    moved = core.counters.moves[MOVE_HOST_TO_DEVICE].bytes;
    for (unsigned i = 0; i < 3; i++)
        cr_expect_eq(launch_all(USE_UNSEEN, NULL), 0);
    cr_expect_eq(away_bytes(), away);
    cr_expect_eq(core.counters.moves[MOVE_HOST_TO_DEVICE].bytes, moved);
    for (unsigned i = 0; i < 4; i++) {
        cr_expect_eq(launch_all(USE_UNSEEN, &block[i]), 0);
        cr_expect(!(owner_entry(&core.blocks, first_of(&block[i])) & OWNER_AWAY), "what is named comes back");
    }
    program_free(&block[0]);
    send_off(&block[1], false);
    cr_expect_eq(launch_all(USE_MORE, NULL), 0);
    cr_expect_eq(away_bytes(), 0, "more was named than is listed");
    named = make_named(8);
    cr_assert_eq(send_off(&named, false), named.bytes);
    cr_assert(owner_entry(&core.blocks, first_of(&named)) & OWNER_GONE);
    cr_expect_eq(launch_all(USE_UNSEEN, NULL), 0);
    cr_expect(!(owner_entry(&core.blocks, first_of(&named)) & OWNER_GONE),
              "no kernel can reach it where it was");
    for (unsigned i = 1; i < 4; i++)
        program_free(&block[i]);
    program_free(&named);
    world_finish(&world);
}

Test(use, launch_that_nobody_can_read_has_everything_back_where_nothing_is_mapped)
{
    struct model block[2];

    start(C200 " EBBTIDE_RESIDENCY=strict EBBTIDE_DISK=always");
    for (unsigned i = 0; i < 2; i++)
        block[i] = make(60);
    cr_assert_eq(send_off(&block[0], false), block[0].bytes);
    cr_expect_eq(launch_all(USE_UNSEEN, NULL), 0);
    cr_expect_eq(away_bytes(), 0);
    for (unsigned i = 0; i < 2; i++)
        program_free(&block[i]);
    world_finish(&world);
}

/* A call that nobody sees does not stop at the gate. */
Test(use, what_the_device_reaches_stays_where_it_is_once_calls_go_past_us)
{
    struct model mapped, named;
    uint64_t moved;

    start(C200);
    mapped = make(20);
    named = make_named(8);
    cr_assert_eq(send_off(&mapped, false), mapped.bytes);
    cr_assert_eq(send_off(&named, false), named.bytes);
    core_account_only("calls go past us");
    moved = core.counters.moves[MOVE_HOST_TO_DEVICE].bytes;
    cr_expect_eq(launch_all(0, &mapped), 0);
    cr_expect_eq(away_bytes(), mapped.bytes + named.bytes);
    cr_expect_eq(core.counters.moves[MOVE_HOST_TO_DEVICE].bytes, moved);
    cr_expect_eq(launch_all(0, &named), 0);
    cr_expect_eq(away_bytes(), mapped.bytes, "what nothing reaches comes back");
    program_free(&mapped);
    program_free(&named);
    world_finish(&world);
}
