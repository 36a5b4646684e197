/* SPDX-License-Identifier: Apache-2.0 */
/* test_reload_callback.c - objects that the program can fill again: dropped, never saved, and filled before they are
 * used. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/object.h"
#include "engine/callbacks.h"
#include "ledger/state.h"
#include "world.h"

#define MIB ((uint64_t)1 << 20)

TestSuite(reload_callback, .timeout = 60);

static struct world world;
static unsigned asked, failures;

/* The model's words, as model_write puts them. */
static int fill(void *ptr, size_t offset, void *memory, size_t bytes, void *arg)
{
    const struct model *block = arg;

    cr_assert_eq((uintptr_t)ptr, block->address);
    cr_assert_leq(offset + bytes, block->bytes);
    asked++;
    if (failures && failures--)
        return -7;
    memset(memory, 0xee, bytes);
    model_fill(block, offset, memory, bytes);
    return 0;
}

static struct model make(uint64_t bytes)
{
    static uint64_t seed = 1;
    struct model block = {.bytes = bytes, .seed = ++seed << 40};

    cr_assert_eq(core_allocate(0, block.bytes, 0, NULL, true, &block.address), 0);
    model_write(&block);
    cr_assert_eq(object_register(block.address, bytes, EBB_RELOADABLE, "reloadable"), 0);
    return block;
}

static struct ebb_block_info ask(const struct model *block)
{
    struct ebb_block_info info = {.struct_bytes = sizeof(info)};

    cr_assert_eq(object_query(block->address, &info), 0);
    return info;
}

static void start(const char *host_budget)
{
    char settings[128];

    snprintf(settings, sizeof(settings), "EBBTIDE_DEVICE_BUDGET=68M EBBTIDE_HOST_BUDGET=%s EBBTIDE_VERIFY=1",
             host_budget);
    asked = failures = 0;
    world_start(&world, settings, NULL);
}

static void end(struct model *block)
{
    program_free(block);
    world_check(&world);
    world_finish(&world);
}

Test(reload_callback, dropped_object_is_filled_again_before_a_pin_or_a_launch_returns)
{
    struct model block;

    start("64M");
    block = make(20 * MIB - 12345);
    cr_assert_eq(object_set_reload(block.address, fill, &block), 0);
    cr_expect_gt(object_evict(block.address, EBB_TIER_HOST), 0);
    world_check(&world);
    cr_expect_eq(ask(&block).tier, EBB_TIER_DISK);
    cr_expect_eq(core.host_budget.class_bytes[HOST_TIER], 0);
    cr_expect_eq(model_launch(&block), 0);
    cr_expect_gt(asked, 1, "an object of several chunks comes in parts");
    cr_expect_gt(object_evict(block.address, EBB_TIER_DISK), 0);
    cr_expect_eq(object_pin(block.address, EBB_RW, NULL), 0);
    cr_expect(model_intact(&block), "it is there, without a launch");
    cr_expect_eq(object_unpin(block.address, EBB_DIRTY), 0);
    cr_expect_gt(object_evict(block.address, EBB_TIER_HOST), 0, "dirty or not");
    cr_expect_eq(ask(&block).saves, 0);
    cr_expect_eq(core.counters.moves[MOVE_DEVICE_TO_HOST].bytes, 0);
    cr_expect_eq(core.counters.moves[MOVE_HOST_TO_DISK].bytes, 0);
    end(&block);
}

Test(reload_callback, object_without_its_callback_is_saved_like_others)
{
    struct model block;

    start("64M");
    block = make(8 * MIB);
    cr_expect_gt(object_evict(block.address, EBB_TIER_HOST), 0);
    cr_expect_eq(ask(&block).saves, 1);
    cr_assert_eq(object_set_reload(block.address, fill, &block), 0);
    cr_expect_eq(model_launch(&block), 0);
    cr_expect_eq(asked, 0, "what was saved comes back from where it is");
    cr_expect_gt(object_evict(block.address, EBB_TIER_HOST), 0);
    cr_expect_eq(object_set_reload(block.address, NULL, NULL), -EBUSY);
    cr_expect_eq(model_launch(&block), 0);
    cr_expect_eq(asked, 2);
    cr_expect_eq(object_set_reload(block.address, NULL, NULL), 0);
    cr_expect_gt(object_evict(block.address, EBB_TIER_HOST), 0);
    cr_expect_eq(ask(&block).saves, 2);
    cr_expect_eq(model_launch(&block), 0);
    cr_expect_eq(asked, 2);
    end(&block);
}

Test(reload_callback, failed_callback_refuses_who_needs_the_object_and_is_asked_again)
{
    struct model block;

    start("64M");
    block = make(8 * MIB);
    cr_assert_eq(object_set_reload(block.address, fill, &block), 0);
    cr_expect_gt(object_evict(block.address, EBB_TIER_HOST), 0);
    failures = 1000;
    cr_expect_eq(object_pin(block.address, EBB_RO, NULL), -EIO);
    cr_expect_eq(ask(&block).pins, 0);
    cr_expect_eq(object_prefetch(block.address), -EIO);
    cr_expect_eq(model_launch(&block), -ENOMEM);
    cr_expect_eq(object_unregister(block.address), -ENOMEM);
    world_check(&world);
    failures = 0;
    cr_expect_eq(model_launch(&block), 0);
    end(&block);
}

Test(reload_callback, full_host_and_no_disk_keep_no_reloadable_object)
{
    struct model block, other;

    start("8M");
    core.disk_off = true;
    block = make(40 * MIB);
    cr_assert_eq(object_set_reload(block.address, fill, &block), 0);
    other = make(40 * MIB);
    cr_expect_eq(ask(&block).tier, EBB_TIER_DISK);
    program_free(&other);
    cr_expect_eq(model_launch(&block), 0);
    end(&block);
}

/* Calls what it must not. */
static int misbehave(void *ptr, size_t offset, void *memory, size_t bytes, void *arg)
{
    struct model *const *both = arg;

    cr_expect_eq(model_launch(both[1]), -ENOMEM);
    return fill(ptr, offset, memory, bytes, both[0]);
}

Test(reload_callback, launch_inside_the_callback_is_refused_and_hangs_nowhere)
{
    struct model block, other, *const both[2] = {&block, &other};

    start("64M");
    block = make(2 * MIB);
    other = make(2 * MIB);
    cr_assert_eq(object_set_reload(block.address, misbehave, (void *)both), 0);
    cr_expect_gt(object_evict(other.address, EBB_TIER_DISK), 0);
    cr_expect_gt(object_evict(block.address, EBB_TIER_HOST), 0);
    cr_expect_eq(model_launch(&block), 0);
    cr_expect_eq(model_launch(&other), 0);
    program_free(&other);
    end(&block);
}
