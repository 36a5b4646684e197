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
static uint64_t queue[QUEUE];
static unsigned queued, passed, asked;

static uint64_t give(struct device *self, unsigned ordinal, uint64_t bytes)
{
    uint64_t given = 0;

    (void)self;
    cr_assert_eq(ordinal, 0);
    asked++;
    while (passed && given < bytes) {
        given += core_give_ordered(queue[0]);
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

static void free_in_order(struct model *block)
{
    cr_assert_eq(core_free_ordered(block->address), 0);
    queue[queued++] = block->address;
    block->address = 0;
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
    uint64_t address, drains;

    begin(settings);
    block = make(4);
    address = block.address;
    drains = world.fake->calls[FAKE_DRAIN];
    free_in_order(&block);
    cr_expect_eq(core_find(address, &info), -ENOENT);
    cr_expect_eq(core_free(address), -EINVAL);
    cr_expect_eq(core_free_ordered(address), -EINVAL);
    cr_expect_eq(core_free_ordered(address + 2 * MIB), -EINVAL);
    cr_expect_eq(held(), 4 * MIB);
    cr_expect_eq(core.devices[0].ordered_bytes, 4 * MIB);
    check();
    cr_expect_eq(core_give_ordered(address), 4 * MIB);
    cr_expect_eq(core_give_ordered(address), 0);
    cr_expect_eq(core.devices[0].ordered_bytes, 0);
    cr_expect_eq(world.fake->calls[FAKE_DRAIN], drains);
    queued = 0;
    end();
}

Test(ordered, memory_is_taken_again_as_it_is)
{
    struct model block;
    struct block_info info;
    uint64_t address, maps;
    struct block_info before;

    begin(settings);
    block = make(6);
    address = block.address;
    cr_assert_eq(core_find(address, &before), 0);
    free_in_order(&block);
    maps = world.fake->calls[FAKE_MAP];
    cr_expect_eq(core_take_ordered(address, 7 * MIB, 0, NULL, true), -EAGAIN);
    cr_expect_eq(core_take_ordered(address, 5 * MIB - 1, 3, &block, true), 0);
    cr_expect_eq(world.fake->calls[FAKE_MAP], maps);
    cr_expect_eq(core_find(address + 5 * MIB - 2, &info), 0);
    cr_expect_eq(info.bytes, 5 * MIB - 1);
    cr_expect_gt(info.id, before.id);
    cr_expect_eq(info.context, 3);
    cr_expect_eq((uintptr_t)info.call_site, (uintptr_t)&block);
    cr_expect_eq(held(), 6 * MIB);
    cr_expect_eq(core.devices[0].ordered_bytes, 0);
    cr_expect_eq(core_take_ordered(address, MIB, 0, NULL, true), -EAGAIN);
    check();
    cr_expect_eq(core_free(address), 0);
    queued = 0;
    end();
}

Test(ordered, what_has_left_the_device_is_not_taken_again)
{
    struct model block;
    uint64_t address;

    begin(settings);
    block = make(4);
    address = block.address;
    send_off(&block, false);
    free_in_order(&block);
    cr_expect_eq(core_take_ordered(address, 4 * MIB, 0, NULL, true), -EAGAIN);
    cr_expect_eq(core_give_ordered(address), 0);
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
    uint64_t address;

    begin(settings);
    block = make(4);
    address = block.address;
    free_in_order(&block);
    queued = 0;
    core_defer_ordered(address);
    core_defer_ordered(address);
    cr_expect_eq(core.devices[0].ordered_bytes, 0);
    cr_expect_eq(core.deferred, 1);
    cr_expect_eq(core_give_ordered(address), 0);
    cr_expect(free_deferred(1000));
    cr_expect_eq(core.deferred, 0);
    end();
}

Test(ordered, what_is_no_block_of_its_own_is_freed_otherwise)
{
    uint64_t address;

    begin(settings);
    cr_assert_eq(core_allocate(0, 1000, 0, NULL, true, &address), 0);
    cr_expect_eq(core_free_ordered(address), -ENOTSUP);
    cr_expect_eq(core_free(address), 0);
    cr_expect_eq(core_free_ordered(4096), -ENOENT);
    end();
}
