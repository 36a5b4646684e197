/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_threads.c - eight programs in one process, and a timer that finds everything cold.
 *
 * Each thread has blocks of its own and reads some that all share. A missing gate shows as a fault or as lost bytes,
 * a deadlock as a case that does not end in time.
 */
#include <criterion/criterion.h>
#include <time.h>

#include "engine/monitor.h"
#include "ledger/state.h"
#include "world.h"

enum {
    THREADS = 8,
    SHARED = 4
};

TestSuite(threads, .timeout = 240);

static struct world world;
static struct program program[THREADS + 1];
static _Atomic unsigned running;

static void *run(void *arg)
{
    struct program *mine = arg;

    for (unsigned i = world_steps(50); i; i--)
        program_step(mine);
    program_check_all(mine);
    program_free_all(mine);
    atomic_fetch_sub(&running, 1);
    return NULL;
}

static void *tick(void *arg)
{
    const struct timespec pause = {.tv_nsec = 1000000};

    while (atomic_load(&running)) {
        monitor_tick();
        nanosleep(&pause, NULL);
    }
    return arg;
}

static void storm(const char *settings, const struct fake_config *config)
{
    struct program *first = &program[THREADS];
    pthread_t thread[THREADS], ticker;

    world_start(&world, settings, config);
    program_init(first, &world, SHARED, 99);
    for (unsigned i = 0; i < SHARED; i++)
        cr_assert(program_allocate(first, &first->model[i], 2 * GRANULE_BYTES));
    atomic_store(&running, THREADS);
    for (unsigned i = 0; i < THREADS; i++) {
        program_init(&program[i], &world, 6, i + 1);
        program[i].shared = first->model;
        program[i].shared_count = SHARED;
        program[i].step_most = 3;
        program[i].with_all = core.mapped;
        cr_assert_eq(pthread_create(&thread[i], NULL, run, &program[i]), 0);
    }
    cr_assert_eq(pthread_create(&ticker, NULL, tick, NULL), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    pthread_join(ticker, NULL);
    world_check(&world);
    program_check_all(first);
    program_free_all(first);
    world_finish(&world);
}

static uint64_t refused(void)
{
    uint64_t count = 0;

    for (unsigned i = 0; i < THREADS; i++)
        count += program[i].allocations_refused;
    return count;
}

Test(threads, look_ahead_keeps_every_byte)
{
    storm("EBBTIDE_DEVICE_BUDGET=48M EBBTIDE_HOST_BUDGET=400M EBBTIDE_DISK=auto EBBTIDE_POLICY=lookahead",
          NULL);
    cr_expect_gt(core.counters.launches_foretold + core.counters.launches_unforetold, 0);
}

Test(threads, share_a_device_that_swaps_with_mapped_host_memory)
{
    storm("EBBTIDE_DEVICE_BUDGET=32M EBBTIDE_HOST_BUDGET=400M EBBTIDE_DISK=off EBBTIDE_COLD_MS=0", NULL);
    cr_expect_gt(core.counters.evictions, 0);
    cr_expect_eq(refused(), 0);
}

Test(threads, share_a_device_that_places_their_memory)
{
    static const char settings[] =
        "EBBTIDE_ALLOCATOR=managed EBBTIDE_DEVICE_BUDGET=32M EBBTIDE_HOST_BUDGET=400M EBBTIDE_COLD_MS=0";
    static const struct fake_config places = {.places = true};

#ifdef __SANITIZE_THREAD__
    cr_skip("the tool leaves too few addresses for tables of all of them");
#endif
    storm(settings, &places);
    cr_expect_gt(core.counters.evictions, 0);
}

Test(threads, share_a_device_under_strict_residency)
{
    static const char settings[] = "EBBTIDE_DEVICE_BUDGET=40M EBBTIDE_HOST_BUDGET=32M EBBTIDE_DISK=auto "
                                   "EBBTIDE_COLD_MS=0 EBBTIDE_RESIDENCY=strict";
    static const struct fake_config config = {.strict = true};

    storm(settings, &config);
    cr_expect_gt(core.counters.moves[MOVE_HOST_TO_DISK].count, 0);
}

Test(threads, share_a_device_and_a_disk)
{
    storm("EBBTIDE_DEVICE_BUDGET=32M EBBTIDE_HOST_BUDGET=32M EBBTIDE_DISK=always EBBTIDE_COLD_MS=0", NULL);
    cr_expect_eq(core.counters.scans, 0);
    cr_expect_gt(core.counters.moves[MOVE_HOST_TO_DISK].count, 0);
}
