/* SPDX-License-Identifier: Apache-2.0 */
/* test_room_wait.c - allocations that wait for room, and the monitor that makes it for them. */
#include "engine/monitor.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <unistd.h>

#include "asleep.h"
#include "engine/mover.h"
#include "ledger/state.h"
#include "world.h"

#define MIB ((uint64_t)1 << 20)

TestSuite(room_wait, .timeout = 60);

static struct world world;
static struct program program;

static void start(const char *settings)
{
    world_start(&world, settings, NULL);
    core.machine_root = "/nowhere";
    program_init(&program, &world, PROGRAM_BLOCKS, 1);
}

static void finish(void)
{
    program_check_all(&program);
    program_free_all(&program);
    world_finish(&world);
}

static void allocate(unsigned index, unsigned mib)
{
    cr_assert(program_allocate(&program, &program.model[index], mib * MIB));
}

static void *allocate_one(void *arg)
{
    struct program *mine = arg;

    cr_assert(program_allocate(mine, &mine->model[0], 6 * MIB));
    return NULL;
}

Test(room_wait, makes_room_for_all_who_wait_with_few_drains)
{
    static struct program others[4];
    pthread_t thread[4];
    uint64_t drains;

    start("EBBTIDE_DEVICE_BUDGET=40M EBBTIDE_HOST_BUDGET=1G EBBTIDE_PERIOD_MS=60000 EBBTIDE_WAIT_MS=20000");
    for (unsigned i = 0; i < 6; i++)
        allocate(i, 6);
    drains = core.counters.drains;
    mover_take();
    for (unsigned i = 0; i < 4; i++) {
        program_init(&others[i], &world, 1, i + 2);
        pthread_create(&thread[i], NULL, allocate_one, &others[i]);
    }
    cr_assert(world_grows(&core.room_waits_begun, 3), "all four wait");
    mover_give();
    for (unsigned i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
    cr_expect_geq(core.room_waits_served, 4);
    cr_expect_leq(core.counters.drains - drains, 3, "%llu drains",
                  (unsigned long long)(core.counters.drains - drains));
    for (unsigned i = 0; i < 4; i++)
        program_free_all(&others[i]);
    finish();
}

Test(room_wait, allocation_helps_itself_when_it_is_not_served_in_time)
{
    start("EBBTIDE_DEVICE_BUDGET=40M EBBTIDE_HOST_BUDGET=1G EBBTIDE_PERIOD_MS=60000 EBBTIDE_WAIT_MS=1");
    for (unsigned i = 0; i < 6; i++)
        allocate(i, 6);
    cr_assert(monitor_stop(&(struct timespec){.tv_sec = INT32_MAX}));
    core.room_waits_begun++; /* whoever served it has gone */
    allocate(6, 8);
    cr_expect_gt(core.counters.evictions, 0);
    core.room_waits_begun--;
    finish();
}

Test(room_wait, nobody_waits_for_a_monitor_that_is_off)
{
    start("EBBTIDE_DEVICE_BUDGET=40M EBBTIDE_HOST_BUDGET=1G");
    for (unsigned i = 0; i < 8; i++)
        allocate(i, 6);
    cr_expect_eq(core.room_waits_begun, 0);
    cr_expect_gt(core.counters.evictions, 0);
    finish();
}

/* ---- a thread that ends while it waits ----------------------------------------------------------------------------- */

static _Atomic int waiter_id;

static void end_thread(int number)
{
    (void)number;
    pthread_exit(NULL);
}

static void *wait_for_room(void *arg)
{
    atomic_store(&waiter_id, gettid());
    monitor_wait_room(0, 6 * MIB, 20000);
    return arg;
}

Test(room_wait, a_thread_that_ends_while_it_waits_leaves_no_lock_behind)
{
    pthread_t thread;
    unsigned seen = 0;

#ifdef __SANITIZE_THREAD__
    cr_skip("the sanitizer does not let a thread end in a handler");
#endif
    start("EBBTIDE_DEVICE_BUDGET=40M EBBTIDE_PERIOD_MS=60000");
    allocate(0, 6);
    signal(SIGUSR1, end_thread);
    mover_take(); /* so that nobody is served */
    cr_assert_eq(pthread_create(&thread, NULL, wait_for_room, NULL), 0);
    cr_assert(world_grows(&core.room_waits_begun, 0));
    while (seen < 1000)
        seen = asleep(atomic_load(&waiter_id)) ? seen + 1 : 0;
    cr_assert_eq(pthread_kill(thread, SIGUSR1), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_eq(lock_try(&core.lock), 0);
    lock_release(&core.lock);
    mover_give();
    cr_assert(world_grows(&core.room_waits_served, 0), "for nobody");
    finish();
}
