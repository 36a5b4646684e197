/* SPDX-License-Identifier: Apache-2.0 */
/* test_residency.c - host memory at a block's address is tried before the first block of a device goes there. */
#include <criterion/criterion.h>
#include <errno.h>

#include "api/object.h"
#include "engine/callbacks.h"
#include "engine/core.h"
#include "engine/gate.h"
#include "ledger/state.h"
#include "world.h"

#define MIB ((uint64_t)1 << 20)

TestSuite(residency, .timeout = 60);

static struct world world;
static struct program program;

static unsigned tries;
static bool is_rest = true; /* each was made with the gate closed */
static int answers[4];

static int try_host(struct device *self, unsigned ordinal, const struct host_memory *memory)
{
    (void)self;
    cr_expect_eq(ordinal, 0);
    cr_expect(memory->handle && memory->cpu && memory->bytes >= GRANULE_BYTES);
    is_rest = is_rest && atomic_load(&gate.closed);
    return answers[tries < 3 ? tries++ : 3];
}

static void start(void)
{
    world_start(&world, "EBBTIDE_DEVICE_BUDGET=40M EBBTIDE_HOST_BUDGET=1G", NULL);
    world.fake->device.try_host = try_host;
    program_init(&program, &world, PROGRAM_BLOCKS, 1);
}

static bool allocate(unsigned index)
{
    return program_allocate(&program, &program.model[index], 12 * MIB);
}

static void finish(void)
{
    program_check_all(&program);
    program_free_all(&program);
    world_finish(&world);
}

Test(residency, a_device_is_tried_once_at_rest_before_its_first_block_leaves)
{
    start();
    for (unsigned i = 0; i < 3; i++)
        cr_assert(allocate(i));
    cr_expect_eq(tries, 0, "nothing has had to leave");
    for (unsigned i = 3; i < 8; i++)
        cr_assert(allocate(i));
    cr_expect_eq(tries, 1);
    cr_expect(is_rest);
    finish();
}

Test(residency, nothing_is_left_to_kernels_that_would_not_find_it)
{
    answers[0] = -EBADMSG;
    start();
    for (unsigned i = 0; i < 3; i++)
        cr_assert(allocate(i));
    cr_expect(!allocate(3), "what may not be unmapped stays");
    cr_expect_not(core.mapped);
    cr_expect_eq(counters_read(&core.counters.evictions), 0);
    cr_expect(!allocate(3));
    cr_expect_eq(tries, 1);
    finish();
}

Test(residency, what_could_not_be_tried_is_tried_the_next_time)
{
    answers[0] = -EIO;
    start();
    for (unsigned i = 0; i < 8; i++)
        cr_assert(allocate(i));
    cr_expect_eq(tries, 2);
    cr_expect(core.mapped);
    finish();
}

static unsigned asked;

static int nothing_to_give(int tier, int device, size_t bytes, void *arg)
{
    (void)tier;
    (void)device;
    (void)bytes;
    (void)arg;
    asked++;
    return 0;
}

/* Calls pass us from some moment on. What kernels reach where it is stays there: who wants it on the device is told so, and nobody is
 * asked for room that would not help; a graph has all that it wants. */
Test(residency, a_block_in_host_memory_is_pinned_no_more_once_nothing_moves)
{
    uint64_t away = 0, here = 0;

    start();
    for (unsigned i = 0; i < 4; i++)
        cr_assert(allocate(i));
    for (unsigned i = 0; i < 4; i++) {
        uint64_t address = program.model[i].address;

        *(owner_entry(&core.blocks, address_granule(&core.blocks, address)) & OWNER_AWAY ? &away : &here) =
            address;
    }
    cr_assert(away && here);
    cr_assert_eq(object_register(away, 12 * MIB, 0, NULL), 0);
    cr_assert_eq(object_register(here, 12 * MIB, 0, NULL), 0);
    pressure_callback_set(nothing_to_give, NULL);
    core_account_only("of this test");
    cr_expect_eq(object_pin(away, EBB_RO, NULL), -EBUSY);
    cr_expect_eq(asked, 0);
    cr_expect_eq(core_pin(away, PIN_GRAPH), 0);
    core_unpin(away, PIN_GRAPH);
    cr_expect_eq(object_pin(here, EBB_RO, NULL), 0, "what is there may stay");
    cr_expect_eq(object_unpin(here, EBB_CLEAN), 0);
    pressure_callback_set(NULL, NULL);
    finish();
}
