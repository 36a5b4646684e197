/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_shares.c - where operations and buffers of a device meet, case by case: what sequences of calls that were held
 * against a model (tests/preload/shares) have found.
 */
#include <criterion/criterion.h>
#include <errno.h>

#include "ledger/limit.h"
#include "scenario.h"

TestSuite(shares, .timeout = 60);

/* C is 20 MiB, in chunks of 2: 14 for operations, 14 for buffers. */
static const char c20[] = "EBBTIDE_DEVICE_BUDGET=22M EBBTIDE_HOST_BUDGET=1G";

static uint64_t here(const struct model *block)
{
    return ask(block).resident_bytes / MIB;
}

static void send_away(const struct model *block)
{
    cr_assert_eq(object_evict(block->address, EBB_TIER_HOST), (long)block->bytes);
}

static void set_budget(uint64_t mib)
{
    cr_assert_eq(limit_set_device(0, mib * MIB), 0);
}

/* Their use of the kernel that fills them has them on the device: what is tested comes after that. */
static struct model make_silently(uint64_t mib)
{
    struct model block = {.bytes = mib * MIB};

    cr_assert_eq(core_allocate(0, block.bytes, 0, NULL, true, &block.address), 0);
    return block;
}

static void release(ebb_reservation reservation)
{
    cr_expect_eq(reservation_release(reservation, UINT64_MAX), 0);
}

static void end(struct model *list, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (list[i].address)
            program_free(&list[i]);
    set_budget(core.options->device_budget.of[0].bytes / MIB);
    world_finish(&world);
}

Test(shares, reservation_has_buffers_leave_though_the_bytes_fit_beside_the_staging_chunk)
{
    ebb_reservation reservation;
    struct model block[2];

    start(C200 " EBBTIDE_HOST_BUDGET=1G");
    block[0] = make_named(70);
    block[1] = output(70);
    reservation = reserve(68);
    cr_expect_eq(evictions(), 1);
    cr_expect_eq(operations(), 138);
    cr_expect_eq(here(&block[0]), 0);
    release(reservation);
    end(block, 2);
}

Test(shares, all_of_the_device_is_for_a_program_without_objects_and_c_from_the_first_one_on)
{
    struct model block[3];

    start(c20);
    block[0] = make_silently(10);
    block[1] = make_silently(12);
    cr_expect_eq(used(), 22);
    name(&block[1]);
    cr_expect_eq(used(), 20);
    block[2] = make_silently(2);
    cr_expect_eq(used(), 20);
    end(block, 3);
}

Test(shares, reservation_takes_the_place_of_what_was_freed)
{
    ebb_reservation reservation;
    struct model block[11];

    start(c20);
    for (unsigned i = 0; i < 11; i++)
        block[i] = make_silently(2);
    for (unsigned i = 0; i < 11; i++)
        program_free(&block[i]);
    reservation = reserve(14);
    cr_expect_eq(used(), 14);
    release(reservation);
    end(NULL, 0);
}

Test(shares, freed_block_that_is_used_again_keeps_to_a_budget_that_was_lowered)
{
    struct model block[3];

    start(c20);
    block[0] = make_named(4);
    block[1] = make_silently(16);
    program_free(&block[0]);
    set_budget(20);
    block[2] = make_silently(4);
    cr_expect_eq(used(), 18);
    end(block, 3);
}

Test(shares, idle_memory_that_is_used_again_keeps_to_a_budget_that_was_lowered)
{
    struct model block[3];

    start(c20);
    block[0] = output(10);
    block[1] = make_named(8);
    set_budget(16);
    block[2] = make_silently(10);
    cr_expect_eq(used(), 14);
    cr_expect_eq(here(&block[1]), 0);
    end(block, 3);
}

Test(shares, prefetch_is_refused_where_operations_leave_no_place)
{
    struct model block[3];

    start(c20);
    block[0] = make_named(8);
    send_away(&block[0]);
    block[1] = output(14);
    cr_expect_eq(object_prefetch(block[0].address), -ENOSPC);
    cr_expect_eq(used(), 14);
    unpin(&block[1], EBB_DIRTY);
    cr_expect_eq(object_prefetch(block[0].address), 0);
    cr_expect_eq(here(&block[0]), 8);
    set_budget(6);
    cr_expect_eq(object_prefetch(block[0].address), 0, "it is there already");
    end(block, 2);
}

Test(shares, objects_leave_whole_for_what_was_made_in_host_memory)
{
    struct model block[3];

    start(c20);
    block[0] = output(8);
    block[1] = output(6);
    block[2] = make_silently(10);
    name(&block[2]);
    cr_expect_eq(here(&block[2]), 6);
    unpin(&block[0], EBB_DIRTY);
    cr_expect_eq(object_prefetch(block[2].address), 0);
    cr_expect_eq(here(&block[2]), 10);
    cr_expect_eq(here(&block[0]), 0);
    end(block, 3);
}

Test(shares, object_of_which_a_part_is_saved_counts_as_saved)
{
    struct model block[2];

    start(c20);
    block[0] = output(14);
    block[1] = make_silently(10);
    name(&block[1]);
    cr_expect_eq(object_evict(block[1].address, EBB_TIER_HOST), 6 * (long)MIB);
    unpin(&block[0], EBB_DIRTY);
    cr_expect_eq(object_prefetch(block[1].address), 0);
    send_away(&block[1]);
    cr_expect_eq(ask(&block[1]).saves, 1, "4 of 10 MiB had no copy");
    end(block, 2);
}

Test(shares, what_was_freed_is_no_peak_when_it_is_taken_apart)
{
    struct budget *budget = &core.devices[0].budget;
    struct model block[3];

    start(c20);
    block[0] = make_named(4);
    block[1] = make_silently(16);
    program_free(&block[0]);
    budget->used_peak_bytes = budget->used_bytes;
    block[2] = make_silently(2);
    cr_expect_eq(used(), 18);
    cr_expect_eq(budget->used_peak_bytes, 18 * MIB);
    end(block, 3);
}

Test(shares, commit_has_nobody_leave_for_what_was_reserved)
{
    ebb_reservation reservation;
    struct model block[2];

    start(c20);
    block[0] = make_named(10);
    send_away(&block[0]);
    block[1] = make_silently(10);
    reservation = reserve(8);
    cr_expect_eq(reservation_commit(reservation, block[0].address), 0);
    cr_expect_eq(operations(), 10);
    cr_expect_eq(used(), 20);
    cr_expect_eq(evictions(), 1, "the one that was sent");
    end(block, 2);
}
