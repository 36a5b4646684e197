/* SPDX-License-Identifier: Apache-2.0 */
/* test_kinds.c - what a device holds, by kind: how much of each could leave, why the rest could not, and the line that says so. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/allocate.h"
#include "scenario.h"

TestSuite(kinds, .timeout = 60, .fini = log_finish);

static const char ample[] = "EBBTIDE_DEVICE_BUDGET=200M EBBTIDE_HOST_BUDGET=400M EBBTIDE_DISK=off";
static const char no_place[] = "EBBTIDE_DEVICE_BUDGET=64M EBBTIDE_HOST_BUDGET=2M EBBTIDE_DISK=off";

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
    atomic_store(&core.devices[0].waited_ms, 1); /* in vain */
    world.fake->restless = 1;
    expect_all(KIND_BLOCK, STAY_RESTLESS, 1, 4 * MIB);
    world.fake->restless = 0; /* nobody has waited since */
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

/* ---- the line ------------------------------------------------------------------------------------------------------- */

static char path[] = "/tmp/ebbtide-kinds-XXXXXX";
static char said[4096];

static void listen(void)
{
    int fd = mkstemp(path);

    cr_assert(fd >= 0);
    close(fd);
    cr_assert_eq(log_init(LOG_WARN, path), 0);
}

static void hear(void)
{
    FILE *file = fopen(path, "r");
    size_t length;

    cr_assert(file);
    length = fread(said, 1, sizeof(said) - 1, file);
    said[length] = 0;
    fclose(file);
}

/* What the refusal of so much says. */
static const char *refused(uint64_t bytes)
{
    uint64_t address;

    cr_assert_eq(truncate(path, 0), 0);
    cr_assert_eq(core_allocate(0, bytes, 0, NULL, true, &address), -ENOMEM);
    hear();
    return said;
}

static void expect_said(const char *words)
{
    cr_expect(strstr(said, words), "\"%s\" is not in: %s", words, said);
}

static void expect_unsaid(const char *words)
{
    cr_expect_null(strstr(said, words), "\"%s\" is in: %s", words, said);
}

/* An address that is this program's. */
static const void *caller(void)
{
    return (const char *)(uintptr_t)&caller + 1;
}

static void listen_and_end(void)
{
    unlink(path);
    end();
}

Test(kinds, refusal_says_who_holds_it_and_why_it_stays)
{
    uint64_t block, ordered, pinned;

    start(no_place);
    listen();
    block = allocate(20 * MIB);
    pinned = allocate(10 * MIB);
    cr_assert_eq(core_pin(pinned, PIN_API), 0);
    ordered = allocate_in_order(8 * MIB);
    cr_assert_eq(core_charge(0, CLASS_ARRAY, 2 * MIB), 0);
    core_native_made(0, KIND_ARRAY, STAY_OPAQUE, 2 * MIB);
    cr_assert_eq(core_charge(0, CLASS_VMM, 4 * MIB), 0);
    core_native_made(0, KIND_VMM, STAY_OWN, 4 * MIB);
    refused(40 * MIB);
    expect_said("holds 30 MiB in blocks (20 MiB nowhere to go, 10 MiB pinned by the program), "
                "8 MiB in stream-ordered blocks (nowhere to go), "
                "4 MiB in the program's mappings (never move), 2 MiB in others; ");
    expect_said("EBBTIDE_DISK=auto, a larger EBBTIDE_HOST_BUDGET or EBBTIDE_DEVICE_BUDGET\n");
    core_unpin(pinned, PIN_API);
    core_native_gone(0, KIND_ARRAY, STAY_OPAQUE, 2 * MIB);
    core_credit(0, CLASS_ARRAY, 2 * MIB);
    core_native_gone(0, KIND_VMM, STAY_OWN, 4 * MIB);
    core_credit(0, CLASS_VMM, 4 * MIB);
    core_free(block);
    core_free(pinned);
    core_free(ordered);
    listen_and_end();
}

Test(kinds, refusal_shows_small_allocations_with_their_callers_and_no_bin)
{
    uint64_t small[2];

    start("EBBTIDE_DEVICE_BUDGET=8M EBBTIDE_HOST_BUDGET=2M EBBTIDE_DISK=off");
    listen();
    cr_assert_eq(core_allocate(0, 300 << 10, 0, caller(), true, &small[0]), 0);
    cr_assert_eq(core_allocate(0, 4 << 10, 0, caller(), true, &small[1]), 0);
    refused(20 * MIB);
    expect_said("largest: 300 KiB from ");
    expect_said("+0x");
    expect_said("; 4 KiB from ");
    expect_unsaid("2 MiB (");
    core_free(small[0]);
    refused(20 * MIB);
    expect_unsaid("300 KiB");
    core_free(small[1]);
    listen_and_end();
}

/* What is elsewhere, or partly, holds no more than what of it is here. */
Test(kinds, refusal_names_what_is_on_the_device)
{
    struct model gone, here;

    start("EBBTIDE_DEVICE_BUDGET=64M EBBTIDE_HOST_BUDGET=24M EBBTIDE_DISK=off");
    listen();
    gone = make(12);
    here = make(6);
    cr_assert_eq(core_pin(here.address, PIN_API), 0);
    cr_assert_eq(send_off(&gone, false), 12 * MIB);
    refused(70 * MIB);
    expect_said("largest: 6 MiB (pinned by the program); raise");
    expect_unsaid("12 MiB (");
    core_unpin(here.address, PIN_API);
    core_free(gone.address);
    core_free(here.address);
    listen_and_end();
}

Test(kinds, refusal_says_what_was_freed_and_not_given_back)
{
    uint64_t block, id;

    start(no_place);
    listen();
    block = allocate(30 * MIB);
    id = free_in_order(block);
    refused(60 * MIB);
    expect_said("largest: 30 MiB (freed, and not given back yet)");
    expect_unsaid("nowhere to go");
    cr_expect_eq(core_give_ordered(block, id), 30 * MIB);
    listen_and_end();
}

Test(kinds, refusal_advises_what_helps_the_kinds_that_there_are)
{
    static const struct fake_config small = {.capacity_bytes = 64 * MIB};

    world_start(&world, "EBBTIDE_DEVICE_BUDGET=32M EBBTIDE_HOST_BUDGET=2M EBBTIDE_DISK=off", &small);
    listen();
    cr_assert_eq(core_charge(0, CLASS_VMM, 20 * MIB), 0);
    core_native_made(0, KIND_VMM, STAY_OWN, 20 * MIB);
    refused(16 * MIB);
    expect_said("; raise with a larger EBBTIDE_DEVICE_BUDGET\n");
    refused(80 * MIB); /* more than the device has */
    expect_said("; the device has no more\n");
    core_native_gone(0, KIND_VMM, STAY_OWN, 20 * MIB);
    core_credit(0, CLASS_VMM, 20 * MIB);
    cr_assert_eq(core_charge(0, CLASS_NATIVE, 20 * MIB), 0);
    core_native_made(0, KIND_NATIVE, STAY_MIN_BLOCK, 20 * MIB);
    refused(16 * MIB);
    expect_said("; raise with EBBTIDE_MIN_BLOCK=0 or a larger EBBTIDE_DEVICE_BUDGET\n");
    core_native_gone(0, KIND_NATIVE, STAY_MIN_BLOCK, 20 * MIB);
    core_credit(0, CLASS_NATIVE, 20 * MIB);
    listen_and_end();
}

/* What would come free of it is not enough. */
Test(kinds, refusal_advises_nothing_that_is_too_little)
{
    uint64_t block;

    start(no_place);
    listen();
    block = allocate(6 * MIB);
    cr_assert_eq(core_charge(0, CLASS_NATIVE, 2 * MIB), 0);
    core_native_made(0, KIND_NATIVE, STAY_MIN_BLOCK, MIB);
    cr_assert_eq(core_charge(0, CLASS_ARRAY, 44 * MIB), 0);
    refused(30 * MIB);
    expect_said("; raise with a larger EBBTIDE_DEVICE_BUDGET\n");
    refused(18 * MIB); /* the block is enough */
    expect_said("; raise with EBBTIDE_DISK=auto, a larger EBBTIDE_HOST_BUDGET or EBBTIDE_DEVICE_BUDGET\n");
    refused(20 * MIB); /* both together */
    expect_said("; raise with EBBTIDE_MIN_BLOCK=0, EBBTIDE_DISK=auto, a larger EBBTIDE_HOST_BUDGET or "
                "EBBTIDE_DEVICE_BUDGET\n");
    core_credit(0, CLASS_ARRAY, 44 * MIB);
    core_native_gone(0, KIND_NATIVE, STAY_MIN_BLOCK, MIB);
    core_credit(0, CLASS_NATIVE, 2 * MIB);
    core_free(block);
    listen_and_end();
}

/* Blocks that are not mapped have to be on the device all at once: no place for others helps. */
Test(kinds, refusal_of_a_launch_advises_what_helps_a_launch)
{
    struct model block[2];
    struct use use;

    start("EBBTIDE_DEVICE_BUDGET=32M EBBTIDE_HOST_BUDGET=400M EBBTIDE_DISK=always EBBTIDE_RESIDENCY=strict");
    listen();
    block[0] = make(20);
    block[1] = make(20);
    use_init(&use, true);
    use_word(&use, block[0].address);
    use_word(&use, block[1].address);
    cr_assert_eq(truncate(path, 0), 0);
    cr_assert_eq(use_begin(&use), -ENOMEM);
    hear();
    expect_said("launch of 40 MiB refused");
    expect_said("; raise with EBBTIDE_RESIDENCY=mapped or a larger EBBTIDE_DEVICE_BUDGET\n");
    core_free(block[0].address);
    core_free(block[1].address);
    listen_and_end();
}
