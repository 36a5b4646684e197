/* SPDX-License-Identifier: Apache-2.0 */
/* test_residency.c - host memory at a block's address is tried before the first block of a device goes there. */
#include <criterion/criterion.h>
#include <errno.h>

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
