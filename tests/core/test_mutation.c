/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_mutation.c - bugs that others had, each shown to be absent. Behind each case: what was broken here to see it
 * fail.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "engine/gate.h"
#include "engine/mover.h"
#include "ledger/state.h"
#include "world.h"

#define MIB ((uint64_t)1 << 20)

TestSuite(mutation, .timeout = 60);

static struct world world;
static struct program program;

static void start(const char *settings)
{
    world_start(&world, settings, NULL);
    program_init(&program, &world, PROGRAM_BLOCKS, 1);
}

static void finish(void)
{
    program_check_all(&program);
    program_free_all(&program);
    world_finish(&world);
}

static bool allocate(unsigned index, unsigned mib)
{
    return program_allocate(&program, &program.model[index], mib * MIB);
}

static const char plenty[] = "EBBTIDE_DEVICE_BUDGET=32M EBBTIDE_HOST_BUDGET=200M";

/* Broken: budget_room gives limit - held without asking which is more. */
Test(mutation, budget_lowered_below_its_use_admits_nothing)
{
    struct budget *budget = &core.devices[0].budget;

    start(plenty);
    cr_assert_eq(core_charge(0, CLASS_NATIVE, 20 * MIB), 0);
    lock_acquire(&core.lock);
    budget->limit_bytes = core.devices[0].configured_bytes = 10 * MIB;
    lock_release(&core.lock);
    cr_expect_eq(core_charge(0, CLASS_NATIVE, 2 * MIB), -ENOMEM);
    cr_expect_eq(core_charge(0, CLASS_NATIVE, UINT64_MAX / 2), -ENOMEM);
    cr_expect_eq(budget->used_bytes, 20 * MIB);
    core_credit(0, CLASS_NATIVE, 20 * MIB);
    core.devices[0].configured_bytes = 32 * MIB;
    world_finish(&world);
}

/* Broken: a chunk for which the disk has no slot counts as written, its slab is let go. */
Test(mutation, full_tiers_refuse_and_keep_every_byte)
{
    unsigned count = 0;

    start("EBBTIDE_DEVICE_BUDGET=16M EBBTIDE_HOST_BUDGET=16M EBBTIDE_DISK=always EBBTIDE_DISK_BUDGET=16M");
    while (count < 20 && allocate(count, 4))
        count++;
    cr_assert_geq(count, 8);
    cr_assert_lt(count, 20, "the tiers hold 48 MiB");
    uint64_t used_bytes = core.devices[0].budget.used_bytes;

    for (unsigned i = 0; i < 3; i++)
        cr_expect(!allocate(count, 4));
    cr_expect_eq(core.devices[0].budget.used_bytes, used_bytes);
    cr_expect_eq(core.blocks.alive, count);
    world_check(&world);
    finish(); /* every block is launched over: what is on disk comes back though nothing has room */
}

static _Atomic unsigned writes;

static ssize_t no_write(int file, const void *memory, size_t bytes, off_t offset)
{
    (void)file;
    (void)memory;
    (void)bytes;
    (void)offset;
    writes++;
    errno = EIO;
    return -1;
}

/* Broken: a failed write does not close the tier, so that the same chunk is written again and again. */
Test(mutation, write_that_fails_is_not_tried_for_ever)
{
    unsigned count = 0, first;

    start("EBBTIDE_DEVICE_BUDGET=16M EBBTIDE_HOST_BUDGET=16M EBBTIDE_DISK=always");
    core.disk.pwrite = no_write;
    while (count < 20 && allocate(count, 4))
        count++;
    cr_assert_lt(count, 20);
    cr_assert_gt(core.counters.save_failures, 0);
    first = writes;
    for (unsigned i = 0; i < 5; i++)
        cr_expect(!allocate(count, 4));
    cr_expect_eq(writes, first, "the tier is off");
    cr_expect_leq(core.counters.save_failures, 8, "a flight");
    core.disk.pwrite = pwrite;
    finish();
}

/* Broken: recycler_take keeps the charge when the driver has nothing. */
Test(mutation, allocation_that_fails_at_any_step_leaves_every_count_as_it_was)
{
    static const enum fake_call step[] = {FAKE_CREATE, FAKE_MAP, FAKE_GRANT};

    start(plenty);
    cr_assert(allocate(0, 4));
    for (unsigned i = 0; i < 3; i++)
        for (unsigned nth = 1; nth <= (step[i] == FAKE_GRANT ? 1 : 4); nth++) { /* one grant is for all */
            uint64_t used_bytes = core.devices[0].budget.used_bytes, host_bytes = core.host_budget.used_bytes;

            fake_fail(world.fake, step[i], nth, 1000, step[i] == FAKE_CREATE ? -ENOMEM : -EIO);
            fake_fail(world.fake, FAKE_HOST_CREATE, 1, 1000, -ENOMEM);
            cr_expect(!allocate(1, 8), "step %u, %u", i, nth);
            fake_fail(world.fake, step[i], 1, 0, 0);
            fake_fail(world.fake, FAKE_HOST_CREATE, 1, 0, 0);
            cr_expect_eq(core.devices[0].budget.used_bytes, used_bytes, "step %u, %u", i, nth);
            cr_expect_eq(core.host_budget.used_bytes, host_bytes, "step %u, %u", i, nth);
            cr_expect_eq(core.blocks.alive, 1);
            core_relieve(0, 32 * MIB);
        }
    finish();
}

static _Atomic unsigned locked, seen;

static void try_lock(struct fake_device *fake, enum fake_call call, void *arg)
{
    (void)fake;
    (void)arg;
    seen |= 1u << call;
    if (lock_try(&core.lock))
        locked |= 1u << call;
    else
        lock_release(&core.lock);
}

/* Broken: an eviction holds core.lock while it waits for the copies. */
Test(mutation, no_lock_is_held_while_the_device_works)
{
    start(plenty);
    world.fake->before = try_lock;
    for (unsigned i = 0; i < 12; i++)
        cr_assert(allocate(i, 4));
    program_check_all(&program);
    cr_expect(seen & 1u << FAKE_COPY && seen & 1u << FAKE_COPIED && seen & 1u << FAKE_MAP);
    cr_expect_eq(locked, 0, "calls %x", locked);
    world.fake->before = NULL;
    finish();
}

/* Broken: plan_evict clears the stamp of a victim, as one would take it off a list. */
Test(mutation, victim_whose_save_failed_stays_a_victim)
{
    uint32_t first;

    start(plenty);
    for (unsigned i = 0; i < 3; i++)
        cr_assert(allocate(i, 8));
    first = address_granule(&core.blocks, program.model[0].address);
    uint64_t stamp = core.blocks.stamp[first];

    fake_fail(world.fake, FAKE_COPIED, 1, 1, -EIO);
    cr_expect_eq(core_relieve(0, 8 * MIB), 0, "nothing has moved");
    cr_expect_eq(core.blocks.stamp[first], stamp, "its place in line");
    cr_expect_eq(owner_at(&core.blocks, first) & OWNER_FLAGS, 0, "it is where it was");
    world_check(&world);
    cr_expect_gt(core_relieve(0, 8 * MIB), 0);
    cr_expect_eq(owner_at(&core.blocks, first) & OWNER_AWAY, OWNER_AWAY, "its turn came first again");
    finish();
}

static _Atomic bool is_past, may_leave;

/* A launch on the second device. */
static void *pass(void *unused)
{
    struct use use;

    use_init(&use, true);
    use.kernel = true;
    use.stream = &world.fake->stream[1];
    cr_assert_eq(use_begin(&use), 0);
    atomic_store(&is_past, true);
    while (!atomic_load(&may_leave))
        sched_yield();
    use_end(&use);
    return unused;
}

static uint64_t at_once(void *unused)
{
    return unused ? 0 : 1;
}

/* Broken: someone_inside takes whoever has ever passed a closed gate for one who passes it now. */
Test(mutation, launch_past_one_closing_of_the_gate_is_waited_for_by_the_next)
{
    const struct fake_config two = {.count = 2};
    pthread_t thread;

    world_start(&world, plenty, &two);
    cr_assert_eq(gate_close(1, at_once, NULL, UINT64_MAX), 0);
    cr_assert_eq(pthread_create(&thread, NULL, pass, NULL), 0);
    while (!atomic_load(&is_past))
        sched_yield();
    gate_open();
    cr_expect_eq(gate_close(2, at_once, NULL, 1), -ETIMEDOUT);
    atomic_store(&may_leave, true);
    pthread_join(thread, NULL);
    cr_expect_eq(gate_close(2, at_once, NULL, 1), 0);
    gate_open();
    world_finish(&world);
}

/* ---- EBBTIDE_ON_FULL=allow ---------------------------------------------------------------------------------- */

Test(mutation, full_budget_may_be_passed_where_the_user_allows_it)
{
    uint64_t address;

    start("EBBTIDE_DEVICE_BUDGET=16M EBBTIDE_HOST_BUDGET=4M EBBTIDE_DISK=off EBBTIDE_ON_FULL=allow");
    cr_assert(allocate(0, 12));
    cr_expect_eq(core_allocate(0, 12 * MIB, 0, NULL, true, &address), -ENOTSUP,
                 "the driver is asked natively");
    cr_expect_eq(core_charge(0, CLASS_NATIVE, 12 * MIB), 0);
    cr_expect_eq(core.devices[0].budget.used_bytes, 24 * MIB);
    cr_expect_eq(core.devices[0].budget.refused, 0);
    cr_expect_eq(core_charge(0, CLASS_NATIVE, 2 * MIB), 0);
    core_credit(0, CLASS_NATIVE, 14 * MIB);
    program_free_all(&program);
    cr_expect_eq(core.devices[0].budget.used_bytes, 0);
    core.devices[0].budget.peak_bytes = 0; /* it was passed on purpose */
    world_finish(&world);
}
