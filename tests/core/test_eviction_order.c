/* SPDX-License-Identifier: Apache-2.0 */
/* test_eviction_order.c - who leaves the device under each EBBTIDE_POLICY, and that bytes survive all of them. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>

#include "api/object.h"
#include "ledger/block.h"
#include "ledger/state.h"
#include "world.h"

#define MIB ((uint64_t)1 << 20)

TestSuite(eviction_order, .timeout = 120);

static struct world world;
static struct program program;

static void start(const char *policy)
{
    char settings[128];

    snprintf(settings, sizeof(settings),
             "EBBTIDE_DEVICE_BUDGET=42M EBBTIDE_HOST_BUDGET=400M EBBTIDE_POLICY=%s", policy);
    world_start(&world, settings, NULL);
    program_init(&program, &world, 20, 1);
}

static void finish(void)
{
    program_check_all(&program);
    program_free_all(&program);
    world_finish(&world);
}

static struct model *allocate(unsigned index, unsigned mib)
{
    cr_assert(program_allocate(&program, &program.model[index], mib * MIB));
    return &program.model[index];
}

static void use(unsigned index)
{
    struct model *used[] = {&program.model[index]};

    cr_assert_eq(program_launch(&program, used, 1, false), 0);
}

static bool is_away(unsigned index)
{
    return owner_at(&core.blocks, address_granule(&core.blocks, program.model[index].address)) & OWNER_AWAY;
}

/* Which of the first `count` are not on the device: a bit for each. */
static unsigned away(unsigned count)
{
    unsigned bits = 0;

    for (unsigned i = 0; i < count; i++)
        bits |= (unsigned)is_away(i) << i;
    return bits;
}

/* Half an hour later: nothing has just come back. */
static void settle(void)
{
    for (unsigned i = 0; i < program.count; i++)
        if (program.model[i].address)
            core.blocks.block[address_granule(&core.blocks, program.model[i].address)].returned = 0;
}

Test(eviction_order, lru_sends_what_was_used_longest_ago)
{
    start("lru");
    for (unsigned i = 0; i < 5; i++)
        allocate(i, 8);
    use(0);
    allocate(5, 8);
    cr_expect_eq(away(6), 1u << 1);
    finish();
}

Test(eviction_order, fifo_sends_what_came_first_however_much_it_is_used)
{
    start("fifo");
    for (unsigned i = 0; i < 5; i++)
        allocate(i, 8);
    use(0);
    allocate(5, 8);
    cr_expect_eq(away(6), 1u << 0);
    finish();
}

Test(eviction_order, fifo_does_not_send_the_same_block_to_and_fro)
{
    start("fifo");
    for (unsigned i = 0; i < 6; i++)
        allocate(i, 8);
    cr_assert(is_away(0));
    use(0);
    cr_assert(!is_away(0));
    allocate(6, 8);
    cr_expect(!is_away(0), "it had just come back");
    settle();
    allocate(7, 8);
    cr_expect(is_away(0));
    finish();
}

Test(eviction_order, size_sends_one_that_is_enough)
{
    start("size");
    allocate(0, 4);
    allocate(1, 12);
    allocate(2, 8);
    allocate(3, 16);
    allocate(4, 8);
    cr_expect_eq(away(5), 1u << 2);
    finish();
}

Test(eviction_order, stage_sends_the_last_stage_first)
{
    start("stage");
    for (unsigned i = 0; i < 5; i++)
        cr_assert_eq(object_set_stage(allocate(i, 8)->address, i == 3 ? 7 : 1), 0);
    allocate(5, 8);
    cr_expect_eq(away(6), 1u << 3);
    finish();
}

Test(eviction_order, higher_priority_stays_under_every_policy)
{
    static const char *const policy[] = {"lru", "fifo", "size", "stage", "lookahead"};

    for (unsigned i = 0; i < sizeof(policy) / sizeof(*policy); i++) {
        start(policy[i]);
        for (unsigned block = 0; block < 5; block++)
            cr_assert_eq(object_set_priority(allocate(block, 8)->address, block == 4 ? -1 : 1), 0);
        allocate(5, 8);
        cr_expect_eq(away(6), 1u << 4, "%s", policy[i]);
        finish();
    }
}

Test(eviction_order, stage_and_priority_out_of_range_change_nothing)
{
    start("stage");
    uint64_t address = allocate(0, 8)->address;
    const struct block *block = &core.blocks.block[address_granule(&core.blocks, address)];

    cr_expect_eq(object_set_stage(address, -1), -EINVAL);
    cr_expect_eq(object_set_stage(address, 32768), -EINVAL);
    cr_expect_eq(object_set_priority(address, -129), -EINVAL);
    cr_expect_eq(object_set_priority(address, 128), -EINVAL);
    cr_expect_eq(object_set_priority(address + 512 * MIB, 1), -ENOENT);
    cr_expect_eq(object_set_stage(1, 1), -ENOENT);
    cr_expect_eq(block->stage, 0);
    cr_expect_eq(block->priority, 0);
    finish();
}

Test(eviction_order, every_policy_keeps_every_byte)
{
    static const char *const policy[] = {"fifo", "size", "stage", "lookahead"};

    for (unsigned i = 0; i < sizeof(policy) / sizeof(*policy); i++) {
        start(policy[i]);
        for (unsigned step = world_steps(60); step; step--) {
            struct model *block = &program.model[program_draw(&program, program.count)];

            program_step(&program);
            if (block->address && step % 4 == 0) {
                cr_assert_eq(object_set_stage(block->address, (int)program_draw(&program, 5)), 0);
                cr_assert_eq(object_set_priority(block->address, (int)program_draw(&program, 3) - 1), 0);
            }
        }
        cr_expect_gt(core.counters.evictions, 0);
        finish();
    }
}
