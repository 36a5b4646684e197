/* SPDX-License-Identifier: Apache-2.0 */
/* test_kinds.c - what a device holds, by kind: how much of each could leave, and why the rest could not. */
#include <criterion/criterion.h>
#include <errno.h>

#include "engine/allocate.h"
#include "scenario.h"

TestSuite(kinds, .timeout = 60);

static const char ample[] = "EBBTIDE_DEVICE_BUDGET=200M EBBTIDE_HOST_BUDGET=400M EBBTIDE_DISK=off";

static struct kinds kinds;

enum {
    POOL = 7 /* what is in a group is out of a pool */
};

static const struct kind_figures *ask_of(unsigned ordinal, enum kind kind)
{
    core_kinds(ordinal, &kinds);
    return &kinds.of[kind];
}

static const struct kind_figures *kind(enum kind kind)
{
    return ask_of(0, kind);
}

static void expect_part(const struct kind_part *part, uint64_t count, uint64_t bytes)
{
    cr_expect_eq(part->count, count, "%lu and not %lu", part->count, count);
    cr_expect_eq(part->bytes, bytes, "%lu bytes and not %lu", part->bytes, bytes);
}

/* All of it is where it is for one reason. */
static void expect_all(enum kind of, enum stay why, uint64_t count, uint64_t bytes)
{
    const struct kind_figures *figures = kind(of);

    expect_part(why == STAY_NOT ? &figures->leaves : &figures->stays[why], count, bytes);
    cr_expect_eq(figures->device_bytes, bytes);
}

static uint64_t allocate(uint64_t bytes)
{
    uint64_t address;

    cr_assert_eq(core_allocate(0, bytes, 0, NULL, true, &address), 0);
    return address;
}

static uint64_t allocate_in_order(uint64_t bytes)
{
    uint64_t address;

    cr_assert_eq(core_allocate_wanted(&(const struct wanted){.bytes = bytes, .group = POOL}, &address), 0);
    return address;
}

static void end(void)
{
    world_check(&world);
    world_finish(&world);
}

/* ---- who holds what ------------------------------------------------------------------------------------------------- */

Test(kinds, blocks_small_and_ordered_allocations_are_told_apart)
{
    uint64_t block, small[3], ordered;

    start(ample);
    block = allocate(5 * MIB);
    for (unsigned i = 0; i < 3; i++)
        small[i] = allocate(1000);
    ordered = allocate_in_order(4 * MIB);
    expect_all(KIND_BLOCK, STAY_NOT, 1, 6 * MIB);
    expect_all(KIND_SMALL, STAY_NOT, 3, 2 * MIB);
    expect_all(KIND_ASYNC, STAY_NOT, 1, 4 * MIB);
    cr_expect_eq(kinds.budget.used_bytes, 12 * MIB);
    world_check(&world);
    core_free(block);
    core_free(ordered);
    core_free(small[1]);
    expect_all(KIND_SMALL, STAY_NOT, 2, 2 * MIB);
    core_free(small[0]);
    core_free(small[2]);
    for (enum kind of = KIND_BLOCK; of < KIND_COUNT; of++)
        cr_expect_eq(kind(of)->device_bytes + kinds.of[of].tally.count + kinds.of[of].tally.bytes, 0);
    cr_expect_eq(kinds.of[KIND_SMALL].tally.peak_count, 3);
    cr_expect_eq(kinds.of[KIND_SMALL].tally.total, 3);
    cr_expect_eq(kinds.of[KIND_BLOCK].tally.peak_bytes, 6 * MIB);
    cr_expect_eq(kinds.of[KIND_ASYNC].tally.total, 1);
    end();
}

Test(kinds, what_the_driver_made_is_told_by_its_reason_and_the_rest_by_what_it_is)
{
    start(ample);
    cr_assert_eq(core_charge(0, CLASS_POOL, 8 * MIB), 0);
    core_native_made(0, KIND_POOL, STAY_POOL_SHARED, 5 * MIB);
    core_native_made(0, KIND_POOL, STAY_ALLOCATOR, 1000);
    expect_part(&kind(KIND_POOL)->stays[STAY_POOL_SHARED], 1, 5 * MIB);
    expect_part(&kinds.of[KIND_POOL].stays[STAY_ALLOCATOR], 1, 1000);
    expect_part(&kinds.of[KIND_POOL].stays[STAY_KEPT], 0, 3 * MIB - 1000);
    cr_expect_eq(kinds.of[KIND_POOL].device_bytes, 8 * MIB);
    core_native_gone(0, KIND_POOL, STAY_POOL_SHARED, 5 * MIB);
    core_native_back(0, KIND_POOL, STAY_POOL_SHARED, 5 * MIB); /* its free has failed */
    core_native_gone(0, KIND_POOL, STAY_POOL_SHARED, 5 * MIB);
    core_native_gone(0, KIND_POOL, STAY_ALLOCATOR, 1000);
    expect_all(KIND_POOL, STAY_KEPT, 0, 8 * MIB);
    core_credit(0, CLASS_POOL, 8 * MIB);
    expect_all(KIND_POOL, STAY_KEPT, 0, 0);
    cr_expect_eq(kinds.of[KIND_POOL].tally.total, 2);
    cr_expect_eq(kinds.of[KIND_POOL].tally.peak_count, 2);
    cr_expect_eq(kinds.of[KIND_POOL].tally.peak_bytes, 8 * MIB);
    cr_expect_eq(core.devices[0].kinds.native[KIND_POOL][STAY_POOL_SHARED].total, 1);
    end();
}

/* Nothing of a kind was ever there of which an allocation was refused, or the driver's call failed. */
Test(kinds, what_was_charged_in_vain_has_never_been)
{
    start(ample);
    cr_assert_eq(core_charge(0, CLASS_ARRAY, 8 * MIB), 0);
    core_credit(0, CLASS_ARRAY, 8 * MIB);
    cr_assert_eq(core_charge(0, CLASS_VMM, 1000 * MIB), -ENOMEM);
    for (enum kind of = KIND_BLOCK; of < KIND_COUNT; of++)
        cr_expect_eq(kind(of)->tally.total + kinds.of[of].tally.peak_count + kinds.of[of].tally.peak_bytes,
                     0);
    end();
}

Test(kinds, managed_memory_that_the_driver_moves_is_told_by_what_was_asked_for)
{
    start(ample);
    core_native_made(0, KIND_MANAGED, STAY_DRIVER, 3 * MIB);
    expect_part(&kind(KIND_MANAGED)->stays[STAY_DRIVER], 1, 0);
    cr_expect_eq(kinds.of[KIND_MANAGED].tally.bytes, 3 * MIB);
    cr_expect_eq(kinds.of[KIND_MANAGED].device_bytes, 0);
    core_native_gone(0, KIND_MANAGED, STAY_DRIVER, 3 * MIB);
    end();
}

Test(kinds, each_device_tells_its_own)
{
    static const struct fake_config two = {.count = 2};
    uint64_t first, second;

    world_start(&world, ample, &two);
    first = allocate(4 * MIB);
    cr_assert_eq(
        core_allocate_wanted(&(const struct wanted){.bytes = 6 * MIB, .group = POOL, .ordinal = 1}, &second),
        0);
    cr_expect_eq(ask_of(0, KIND_BLOCK)->tally.count, 1);
    cr_expect_eq(kinds.of[KIND_ASYNC].tally.total + kinds.of[KIND_ASYNC].device_bytes, 0);
    cr_expect_eq(ask_of(1, KIND_ASYNC)->device_bytes, 6 * MIB);
    cr_expect_eq(kinds.of[KIND_BLOCK].tally.total + kinds.of[KIND_BLOCK].device_bytes, 0);
    core_free(first);
    core_free(second);
    end();
}

/* ---- where it is, and why it stays ---------------------------------------------------------------------------------- */

Test(kinds, block_that_has_left_is_told_where_it_is)
{
    struct model gone, here;

    start("EBBTIDE_DEVICE_BUDGET=64M EBBTIDE_HOST_BUDGET=400M EBBTIDE_DISK=always EBBTIDE_RESIDENCY=strict");
    gone = make_named(4);
    here = make(6);
    cr_assert_eq(send_off(&gone, false), 4 * MIB);
    expect_part(&kind(KIND_BLOCK)->away, 1, 4 * MIB);
    cr_expect_eq(kinds.of[KIND_BLOCK].host_bytes, 4 * MIB);
    cr_expect_eq(kinds.of[KIND_BLOCK].device_bytes, 6 * MIB);
    cr_expect_eq(kinds.of[KIND_BLOCK].tally.count, 2);
    cr_expect_eq(kinds.of[KIND_BLOCK].tally.bytes, 10 * MIB);
    cr_assert_eq(send_off(&gone, true), 4 * MIB);
    expect_part(&kind(KIND_BLOCK)->away, 1, 4 * MIB);
    cr_expect_eq(kinds.of[KIND_BLOCK].host_bytes, 0);
    cr_expect_eq(kinds.of[KIND_BLOCK].disk_bytes, 4 * MIB);
    cr_expect(intact(&gone));
    cr_expect_eq(kind(KIND_BLOCK)->away.count, 0);
    cr_expect_eq(kinds.of[KIND_BLOCK].device_bytes, 10 * MIB);
    core_free(gone.address);
    core_free(here.address);
    end();
}

Test(kinds, each_reason_is_told_while_it_holds)
{
    uint64_t block, fixed;
    struct use use;

    start(ample);
    block = allocate(4 * MIB);
    for (enum pin_reason reason = 0; reason < PIN_REASON_COUNT; reason++) {
        cr_assert_eq(core_pin(block, reason), 0);
        expect_all(KIND_BLOCK, reason == PIN_REFERENCED ? STAY_NOT : (enum stay)reason, 1, 4 * MIB);
        core_unpin(block, reason);
    }
    core_capture_begin();
    expect_all(KIND_BLOCK, STAY_CAPTURE, 1, 4 * MIB);
    core_capture_end();
    use_init(&use, true);
    use_word(&use, block);
    cr_assert_eq(use_begin(&use), 0);
    use_end(&use);
    atomic_fetch_add(&core.pins_all, 1);
    expect_all(KIND_BLOCK, STAY_LAUNCH, 1, 4 * MIB);
    atomic_fetch_sub(&core.pins_all, 1);
    atomic_store(&core.devices[0].waited_ms, 1);
    expect_all(KIND_BLOCK, STAY_RESTLESS, 1, 4 * MIB);
    atomic_store(&core.devices[0].waited_ms, 0);
    expect_all(KIND_BLOCK, STAY_NOT, 1, 4 * MIB);
    cr_assert_eq(core_allocate(0, 2 * MIB, 0, NULL, false, &fixed), 0);
    expect_part(&kind(KIND_BLOCK)->stays[STAY_LIBRARY], 1, 2 * MIB);
    core_free(fixed);
    core_account_only("a test says so");
    expect_all(KIND_BLOCK, STAY_BYPASSED, 1, 4 * MIB);
    core_free(block);
    end();
}

Test(kinds, what_an_option_keeps_is_said_to_be_kept_by_it)
{
    uint64_t block, small;

    start("EBBTIDE_DEVICE_BUDGET=64M EBBTIDE_HOST_BUDGET=400M EBBTIDE_CACHEABLE=none");
    block = allocate(4 * MIB);
    small = allocate(512);
    expect_all(KIND_BLOCK, STAY_CACHEABLE, 1, 4 * MIB);
    expect_all(KIND_SMALL, STAY_CACHEABLE, 1, 2 * MIB);
    core_free(block);
    core_free(small);
    end();
}

Test(kinds, what_is_not_registered_is_kept_where_only_that_moves)
{
    uint64_t block, named;

    start("EBBTIDE_DEVICE_BUDGET=64M EBBTIDE_HOST_BUDGET=400M EBBTIDE_CACHEABLE=registered");
    block = allocate(4 * MIB);
    named = allocate(2 * MIB);
    cr_assert_eq(object_register(named, 2 * MIB, 0, "named"), 0);
    expect_part(&kind(KIND_BLOCK)->stays[STAY_CACHEABLE], 1, 4 * MIB);
    expect_part(&kinds.of[KIND_BLOCK].leaves, 1, 2 * MIB);
    core_free(block);
    core_free(named);
    end();
}

Test(kinds, block_that_may_not_be_unmapped_stays_where_nothing_can_be_mapped)
{
    uint64_t block;

    start("EBBTIDE_DEVICE_BUDGET=64M EBBTIDE_HOST_BUDGET=400M EBBTIDE_RESIDENCY=strict");
    block = allocate(4 * MIB);
    expect_all(KIND_BLOCK, STAY_UNPROVEN, 1, 4 * MIB);
    core_free(block);
    end();
}

Test(kinds, only_so_much_could_leave_as_there_is_room_for)
{
    uint64_t block[3];

    start("EBBTIDE_DEVICE_BUDGET=64M EBBTIDE_HOST_BUDGET=10M EBBTIDE_DISK=off");
    for (unsigned i = 0; i < 3; i++)
        block[i] = allocate(4 * MIB); /* and a chunk of the host is for exchanges */
    expect_part(&kind(KIND_BLOCK)->leaves, 1, 4 * MIB);
    expect_part(&kinds.of[KIND_BLOCK].stays[STAY_NOWHERE], 2, 8 * MIB);
    for (unsigned i = 0; i < 3; i++)
        core_free(block[i]);
    end();
}

static uint64_t free_in_order(uint64_t address)
{
    uint64_t id;

    cr_assert_eq(core_free_ordered(address, &id), 0);
    return id;
}

Test(kinds, what_was_freed_in_order_is_nobodys_until_it_is_given_back_or_used_again)
{
    const struct wanted wanted = {.bytes = 3 * MIB, .group = POOL};
    uint64_t block, again, id;

    start(ample);
    block = allocate(4 * MIB); /* out of no pool */
    id = free_in_order(block);
    expect_all(KIND_BLOCK, STAY_FREED, 1, 4 * MIB);
    cr_expect_eq(kinds.of[KIND_BLOCK].tally.count, 0);
    cr_expect_eq(kinds.of[KIND_BLOCK].tally.bytes, 4 * MIB);
    cr_assert_eq(core_take_ordered(block, id, &wanted), 0);
    expect_all(KIND_BLOCK, STAY_FREED, 0, 0);
    expect_all(KIND_ASYNC, STAY_NOT, 1, 4 * MIB);
    id = free_in_order(block);
    expect_all(KIND_ASYNC, STAY_FREED, 1, 4 * MIB);
    cr_expect_eq(core_give_ordered(block, id), 4 * MIB);
    again = allocate(4 * MIB); /* the same memory, and not the same kind */
    cr_expect_eq(again, block);
    expect_all(KIND_ASYNC, STAY_FREED, 0, 0);
    expect_all(KIND_BLOCK, STAY_NOT, 1, 4 * MIB);
    core_free(again);
    end();
}

Test(kinds, small_allocations_that_were_freed_in_order_are_in_no_count)
{
    const struct wanted wanted = {.bytes = 1000, .group = POOL};
    uint64_t kept, freed, id;

    start(ample);
    kept = allocate_in_order(1000);
    freed = allocate_in_order(1000);
    id = free_in_order(freed);
    expect_all(KIND_ASYNC_SMALL, STAY_NOT, 1, 2 * MIB);
    cr_expect_eq(kinds.of[KIND_ASYNC_SMALL].tally.count, 1);
    cr_assert_eq(core_take_ordered(freed, id, &wanted), 0);
    expect_all(KIND_ASYNC_SMALL, STAY_NOT, 2, 2 * MIB);
    cr_expect_eq(kinds.of[KIND_ASYNC_SMALL].tally.total, 3);
    cr_expect_eq(kinds.of[KIND_ASYNC_SMALL].tally.peak_count, 2);
    cr_expect_eq(kinds.of[KIND_SMALL].tally.total, 0);
    core_free(freed);
    core_free(kept);
    end();
}
