/* SPDX-License-Identifier: Apache-2.0 */
/* test_placement.c - a registered block enters the first tier that is under its mark. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "api/object.h"
#include "ledger/state.h"
#include "world.h"

#define MIB ((uint64_t)1 << 20)

TestSuite(placement, .timeout = 60);

static struct world world;
static struct program program;

static void start(const char *period_ms)
{
    char settings[160];

    snprintf(settings, sizeof(settings),
             "EBBTIDE_DEVICE_BUDGET=60M EBBTIDE_HOST_BUDGET=40M EBBTIDE_HIGH=0.7 EBBTIDE_LOW=0.5 "
             "EBBTIDE_OPERATIONS=off EBBTIDE_PERIOD_MS=%s",
             period_ms);
    world_start(&world, settings, NULL);
    program_init(&program, &world, 8, 1);
}

static void finish(void)
{
    program_check_all(&program);
    program_free_all(&program);
    world_finish(&world);
}

static void enter(unsigned index)
{
    struct model *block = &program.model[index];

    cr_assert(program_allocate(&program, block, 12 * MIB));
    cr_assert_eq(object_register(block->address, block->bytes, EBB_CACHEABLE, NULL), 0);
}

static enum chunk_state state_of(unsigned index)
{
    return core.blocks.chunk[address_granule(&core.blocks, program.model[index].address)].state;
}

Test(placement, block_enters_the_first_tier_that_is_under_its_mark)
{
    start("60000");
    for (unsigned i = 0; i < 6; i++)
        enter(i);
    for (unsigned i = 0; i < 3; i++)
        cr_expect_eq(state_of(i), CHUNK_RESIDENT, "36 of 42 MiB: block %u", i);
    for (unsigned i = 3; i < 5; i++)
        cr_expect_eq(state_of(i), CHUNK_HOST, "24 of 28 MiB: block %u", i);
    cr_expect_eq(state_of(5), CHUNK_DISK);
    finish();
}

Test(placement, block_stays_where_there_are_no_marks)
{
    start("0");
    for (unsigned i = 0; i < 4; i++)
        enter(i);
    for (unsigned i = 0; i < 4; i++)
        cr_expect_eq(state_of(i), CHUNK_RESIDENT);
    finish();
}
