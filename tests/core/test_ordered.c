/* SPDX-License-Identifier: Apache-2.0 */
/* test_ordered.c - blocks that are freed in the order of a stream, and the device that says how far streams have come. */
#include <criterion/criterion.h>
#include <errno.h>

#include "engine/allocate.h"
#include "engine/check.h"
#include "engine/small.h"
#include "scenario.h"

TestSuite(ordered, .timeout = 60);

enum {
    QUEUE = 64
};

/* What was freed and not given back, the oldest first, and how much of it its stream has come to. */
static struct freed {
    uint64_t address, id;
} queue[QUEUE];
static unsigned queued, passed, asked;

static uint64_t give(struct device *self, unsigned ordinal, uint64_t bytes)
{
    uint64_t given = 0;

    (void)self;
    cr_assert_eq(ordinal, 0);
    asked++;
    while (passed && given < bytes) {
        given += core_give_ordered(queue[0].address, queue[0].id);
        queued--;
        passed--;
        for (unsigned i = 0; i < queued; i++)
            queue[i] = queue[i + 1];
    }
    return given;
}

/* A device that is at rest has come to everything. */
static void at_rest(struct fake_device *fake, enum fake_call call, void *arg)
{
    (void)fake;
    (void)arg;
    if (call == FAKE_DRAIN)
        passed = queued;
}

static void begin(const char *settings)
{
    start(settings);
    world.fake->device.give_ordered = give;
    queued = passed = asked = 0;
}

static uint64_t free_in_order(struct model *block)
{
    struct freed *freed = &queue[queued++];

    freed->address = block->address;
    cr_assert_eq(core_free_ordered(block->address, &freed->id), 0);
    block->address = 0;
    return freed->id;
}

static int take(uint64_t address, uint64_t id, uint64_t bytes)
{
    return core_take_ordered(address, id, &(struct wanted){.bytes = bytes});
}

static void give_all(void)
{
    passed = queued;
    give(&world.fake->device, 0, UINT64_MAX);
}

static void check(void)
{
    const char *broken = core_check();

    cr_expect_null(broken, "%s", broken);
}

static void end(void)
{
    check();
    give_all();
    world_check(&world);
    world_finish(&world);
}

static uint64_t held(void)
{
    return core.devices[0].budget.class_bytes[CLASS_BLOCK];
}

static const char settings[] = "EBBTIDE_DEVICE_BUDGET=40M EBBTIDE_HOST_BUDGET=200M";

Test(ordered, what_is_freed_is_gone_for_the_program_and_its_memory_stays)
{
    struct model block;
    struct block_info info;
    uint64_t address, id, other, drains;

    begin(settings);
    block = make(4);
    address = block.address;
    drains = world.fake->calls[FAKE_DRAIN];
    id = free_in_order(&block);
    cr_expect_eq(core_find(address, &info), -ENOENT);
    cr_expect_eq(core_free(address), -EINVAL);
    cr_expect_eq(core_free_ordered(address, &other), -EINVAL);
    cr_expect_eq(core_free_ordered(address + 2 * MIB, &other), -EINVAL);
    cr_expect_eq(held(), 4 * MIB);
    cr_expect_eq(core.devices[0].ordered_bytes, 4 * MIB);
    check();
    cr_expect_eq(core_give_ordered(address, id + 1), 0);
    cr_expect_eq(core_give_ordered(address, id), 4 * MIB);
    cr_expect_eq(core_give_ordered(address, id), 0);
    cr_expect_eq(core.devices[0].ordered_bytes, 0);
    cr_expect_eq(world.fake->calls[FAKE_DRAIN], drains);
    queued = 0;
    end();
}

Test(ordered, memory_is_taken_again_as_it_is)
{
    struct model block;
    struct block_info info;
    uint64_t address, id, maps;
    struct block_info before;

    begin(settings);
    block = make(6);
    address = block.address;
    cr_assert_eq(core_find(address, &before), 0);
    id = free_in_order(&block);
    maps = world.fake->calls[FAKE_MAP];
    cr_expect_eq(take(address, id, 7 * MIB), -EAGAIN);
    cr_expect_eq(core_take_ordered(address, id,
                                   &(struct wanted){.bytes = 5 * MIB - 1, .context = 3, .call_site = &block}),
                 0);
    cr_expect_eq(world.fake->calls[FAKE_MAP], maps);
    cr_expect_eq(core_find(address + 5 * MIB - 2, &info), 0);
    cr_expect_eq(info.bytes, 5 * MIB - 1);
    cr_expect_gt(info.id, before.id);
    cr_expect_eq(info.context, 3);
    cr_expect_eq((uintptr_t)info.call_site, (uintptr_t)&block);
    cr_expect_eq(held(), 6 * MIB);
    cr_expect_eq(core.devices[0].ordered_bytes, 0);
    cr_expect_eq(take(address, id, 2 * MIB), -EAGAIN);
    check();
    cr_expect_eq(core_free(address), 0);
    queued = 0;
    end();
}

Test(ordered, what_has_left_the_device_is_not_taken_again)
{
    struct model block;
    uint64_t address, id;

    begin(settings);
    block = make(4);
    address = block.address;
    send_off(&block, false);
    id = free_in_order(&block);
    cr_expect_eq(take(address, id, 4 * MIB), -EAGAIN);
    cr_expect_eq(core_give_ordered(address, id), 0);
    cr_expect_eq(core.devices[0].ordered_bytes, 0);
    queued = 0;
    end();
}

Test(ordered, what_is_passed_gives_room_and_nobody_waits_or_leaves)
{
    struct model block[8], fresh;
    uint64_t drains;

    begin(settings);
    for (unsigned i = 0; i < 8; i++)
        block[i] = make(4);
    for (unsigned i = 0; i < 4; i++)
        free_in_order(&block[i]);
    passed = 4;
    drains = world.fake->calls[FAKE_DRAIN];
    fresh = make(14);
    cr_expect_eq(world.fake->calls[FAKE_DRAIN], drains);
    cr_expect_eq(core.counters.evictions, 0);
    cr_expect(model_intact(&fresh));
    for (unsigned i = 4; i < 8; i++)
        program_free(&block[i]);
    program_free(&fresh);
    end();
}

Test(ordered, what_is_not_passed_is_waited_for_before_anybody_leaves)
{
    struct model block[8], fresh;

    begin(settings);
    world.fake->before = at_rest;
    for (unsigned i = 0; i < 8; i++)
        block[i] = make(4);
    for (unsigned i = 0; i < 4; i++)
        free_in_order(&block[i]);
    fresh = make(14);
    cr_expect_gt(asked, 1);
    cr_expect_eq(core.counters.evictions, 0);
    for (unsigned i = 4; i < 8; i++)
        program_free(&block[i]);
    program_free(&fresh);
    end();
}

Test(ordered, a_context_that_goes_leaves_what_was_freed_to_its_stream)
{
    struct model block;
    uint64_t address;

    begin(settings);
    cr_assert_eq(core_allocate(0, 4 * MIB, 5, NULL, true, &address), 0);
    block = (struct model){.address = address, .bytes = 4 * MIB};
    free_in_order(&block);
    core_context_gone(5);
    cr_expect_eq(held(), 4 * MIB);
    check();
    end();
}

Test(ordered, what_nobody_can_tell_of_goes_when_its_device_is_at_rest)
{
    struct model block;
    uint64_t address, id;

    begin(settings);
    block = make(4);
    address = block.address;
    id = free_in_order(&block);
    queued = 0;
    core_defer_ordered(address, id);
    core_defer_ordered(address, id);
    cr_expect_eq(core.devices[0].ordered_bytes, 0);
    cr_expect_eq(core.deferred, 1);
    cr_expect_eq(core_give_ordered(address, id), 0);
    cr_expect(free_deferred(1000));
    cr_expect_eq(core.deferred, 0);
    end();
}

Test(ordered, what_is_nothing_of_the_program_is_not_freed)
{
    uint64_t id;

    begin(settings);
    cr_expect_eq(core_free_ordered(4096, &id), -ENOENT);
    cr_expect_eq(core_free_ordered(core.blocks.base, &id), -EINVAL);
    end();
}

/* ---- small allocations ------------------------------------------------------------------------------------------- */

#define KIB ((uint64_t)1 << 10)

static struct model make_small(uint64_t bytes, uint64_t group)
{
    struct model small = {.bytes = bytes};

    cr_assert_eq(core_allocate_wanted(&(struct wanted){.bytes = bytes, .group = group}, &small.address), 0);
    return small;
}

Test(ordered, small_memory_stays_until_it_is_given_back)
{
    struct model small, other;
    struct block_info info;
    uint64_t address, id, drains;

    begin(settings);
    other = make_small(KIB, 0);
    small = make_small(3 * KIB, 0);
    address = small.address;
    drains = world.fake->calls[FAKE_DRAIN];
    id = free_in_order(&small);
    cr_expect_eq(core_find(address, &info), -ENOENT);
    cr_expect_eq(core_free(address), -EINVAL);
    cr_expect_eq(core_free_ordered(address, &id), -EINVAL);
    cr_expect_eq(core.devices[0].bins.ordered, 1);
    check();
    small = make_small(3 * KIB, 0);
    cr_expect_neq(small.address, address);
    cr_expect_eq(core_give_ordered(address, id + 1), 0);
    cr_expect_eq(core.devices[0].bins.ordered, 1);
    cr_expect_eq(core_give_ordered(address, id), 0, "its block is in use");
    cr_expect_eq(core_give_ordered(address, id), 0);
    cr_expect_eq(core.devices[0].bins.ordered, 0);
    cr_expect_eq(world.fake->calls[FAKE_DRAIN], drains);
    queued = 0;
    program_free(&small);
    small = make_small(3 * KIB, 0);
    cr_expect_eq(small.address, address);
    free_in_order(&small);
    free_in_order(&other);
    check();
    passed = 2;
    cr_expect_eq(give(&world.fake->device, 0, UINT64_MAX), GRANULE_BYTES, "and now with its block");
    end();
}

Test(ordered, small_memory_is_taken_again_as_it_is)
{
    struct model kept, small;
    struct block_info before, info;
    uint64_t address, id;

    begin(settings);
    kept = make_small(100, 7);
    small = make_small(5 * KIB - 1, 7);
    address = small.address;
    cr_assert_eq(core_find(address, &before), 0);
    id = free_in_order(&small);
    cr_expect_eq(core_take_ordered(address, id, &(struct wanted){.bytes = 5 * KIB, .group = 8}), -EAGAIN);
    cr_expect_eq(core_take_ordered(address, id, &(struct wanted){.bytes = 5 * KIB, .group = 7, .context = 1}),
                 -EAGAIN);
    cr_expect_eq(
        core_take_ordered(address, id, &(struct wanted){.bytes = 5 * KIB, .group = 7, .is_fixed = true}),
        -EAGAIN);
    cr_expect_eq(core_take_ordered(address, id, &(struct wanted){.bytes = 5 * KIB + 1, .group = 7}), -EAGAIN);
    cr_expect_eq(core_take_ordered(address, id + 1, &(struct wanted){.bytes = 5 * KIB, .group = 7}), -EAGAIN);
    cr_expect_eq(core_take_ordered(address, id,
                                   &(struct wanted){.bytes = 5 * KIB - 511, .group = 7, .call_site = &small}),
                 0);
    cr_expect_eq(core_find(address + 5 * KIB - 512, &info), 0);
    cr_expect_eq(info.bytes, 5 * KIB - 511);
    cr_expect_gt(info.id, before.id);
    cr_expect_eq((uintptr_t)info.call_site, (uintptr_t)&small);
    cr_expect_eq(core_take_ordered(address, id, &(struct wanted){.bytes = 5 * KIB, .group = 7}), -EAGAIN);
    cr_expect_eq(core_give_ordered(address, id), 0);
    cr_expect_eq(core_find(address, &info), 0);
    cr_expect_eq(core.devices[0].bins.ordered, 0);
    check();
    queued = 0;
    cr_expect_eq(core_free(address), 0);
    program_free(&kept);
    end();
}

Test(ordered, groups_do_not_share_blocks)
{
    struct model first, second;

    begin(settings);
    first = make_small(KIB, 1);
    second = make_small(KIB, 2);
    cr_expect_neq(first.address / GRANULE_BYTES, second.address / GRANULE_BYTES);
    cr_expect_eq(held(), 2 * GRANULE_BYTES);
    program_free(&first);
    program_free(&second);
    end();
}

/* Others may reach what was exported for as long as its block lasts. */
Test(ordered, small_memory_that_others_were_let_in_to_is_not_taken_again)
{
    struct model kept, small;
    uint64_t address, id;

    begin(settings);
    kept = make_small(KIB, 0);
    small = make_small(KIB, 0);
    address = small.address;
    cr_assert_eq(core_pin(address, PIN_EXPORTED), 0);
    id = free_in_order(&small);
    cr_expect_eq(take(address, id, KIB), -EAGAIN);
    cr_expect_eq(core_give_ordered(address, id), 0);
    queued = 0;
    small = make_small(KIB, 0);
    cr_expect_neq(small.address, address);
    program_free(&small);
    program_free(&kept);
    end();
}

/* Cells that are given back make room, although no block goes. */
Test(ordered, small_memory_that_is_passed_makes_room_in_its_block)
{
    enum {
        CELLS = 8
    };
    struct model cell[CELLS], fresh;

    begin("EBBTIDE_DEVICE_BUDGET=2M EBBTIDE_HOST_BUDGET=0");
    for (unsigned i = 0; i < CELLS; i++)
        cell[i] = make_small(256 * KIB, 0);
    cr_expect_eq(held(), GRANULE_BYTES);
    for (unsigned i = 1; i < CELLS; i++)
        free_in_order(&cell[i]);
    passed = CELLS - 1;
    fresh = make_small(1024 * KIB, 0);
    cr_expect_eq(held(), GRANULE_BYTES);
    program_free(&fresh);
    program_free(&cell[0]);
    end();
}

Test(ordered, a_context_that_goes_takes_small_memory_along)
{
    struct model first, second;
    uint64_t old, id;

    begin(settings);
    cr_assert_eq(core_allocate(0, KIB, 5, NULL, true, &first.address), 0);
    old = first.address;
    id = free_in_order(&first);
    core_context_gone(5);
    cr_expect_eq(core.devices[0].bins.ordered, 0);
    cr_expect_eq(held(), 0);
    queued = 0;
    second = make_small(KIB, 0);
    cr_expect_eq(second.address, old);
    cr_expect_eq(core_give_ordered(old, id), 0, "it is another's now");
    core_defer_ordered(old, id);
    cr_expect_eq(core.deferred, 0);
    program_free(&second);
    end();
}

Test(ordered, small_memory_nobody_can_tell_of_goes_when_its_device_is_at_rest)
{
    struct model first, second;
    uint64_t address, id;

    begin(settings);
    first = make_small(KIB, 0);
    second = make_small(KIB, 0);
    address = first.address;
    id = free_in_order(&first);
    queued = 0;
    core_defer_ordered(address, id);
    core_defer_ordered(address, id);
    cr_expect_eq(core.deferred, 1);
    cr_expect_eq(core.devices[0].bins.ordered, 0);
    cr_expect_eq(core_give_ordered(address, id), 0);
    check();
    cr_expect(free_deferred(1000));
    cr_expect_eq(core.deferred, 0);
    free_in_order(&second); /* and so does what the end of the process finds */
    queued = 0;
    ordered_defer();
    cr_expect_eq(core.deferred, 1);
    check();
    cr_expect(free_deferred(1000));
    cr_expect_eq(held(), 0);
    end();
}
