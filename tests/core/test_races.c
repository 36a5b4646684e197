/* SPDX-License-Identifier: Apache-2.0 */
/* test_races.c - two threads at the worst moment, made to happen by waiting for each other. */
#include <criterion/criterion.h>
#include <errno.h>
#include <sched.h>
#include <time.h>

#include "engine/gate.h"
#include "ledger/state.h"
#include "moment.h"
#include "world.h"

#define MIB ((uint64_t)1 << 20)

TestSuite(races, .timeout = 60);

static struct world world;
static struct program program;

static const char strict_settings[] =
    "EBBTIDE_DEVICE_BUDGET=40M EBBTIDE_HOST_BUDGET=200M EBBTIDE_DISK=always EBBTIDE_RESIDENCY=strict";

static void start(const char *settings)
{
    world_start(&world, settings, NULL);
    program_init(&program, &world, PROGRAM_BLOCKS, 1);
}

static void allocate(unsigned block, uint64_t bytes)
{
    cr_assert(program_allocate(&program, &program.model[block], bytes));
}

/* Wait until `*flag` has a value, or give up after so many milliseconds. */
static bool wait_until(const _Atomic unsigned *flag, unsigned value, unsigned limit_ms)
{
    const struct timespec pause = {.tv_nsec = 1000000};

    for (unsigned i = 0; i < limit_ms && atomic_load(flag) != value; i++)
        nanosleep(&pause, NULL);
    return atomic_load(flag) == value;
}

static void *free_block(void *arg)
{
    program_free(arg);
    return NULL;
}

Test(races, launch_pins_of_a_freed_block_do_not_harm_the_next_one_there)
{
    struct use use;
    pthread_t thread;
    uint64_t address;

    start(strict_settings);
    allocate(0, 12 * MIB);
    allocate(1, 30 * MIB);
    /* 0 is away, so the launch restores and pins it. It names 1, too, with a pointer that it never follows. */
    use_init(&use, true);
    use_word(&use, program.model[0].address);
    cr_assert_eq(use_begin(&use), 0);
    use_end(&use);
    allocate(2, 4 * MIB);
    allocate(3, 30 * MIB);
    address = program.model[2].address;
    use_init(&use, true);
    use_word(&use, program.model[0].address);
    use_word(&use, address);
    cr_assert_eq(use_begin(&use), 0);
    cr_assert(use.pinned);
    pthread_create(&thread, NULL, free_block, &program.model[2]);
    pthread_join(thread, NULL);
    cr_assert_eq(core_allocate(0, 4 * MIB, 0, NULL, true, &program.model[2].address), 0);
    cr_assert_eq(program.model[2].address, address, "the test needs the same address again");
    use_end(&use);
    world_check(&world);
    program_free_all(&program);
    world_finish(&world);
}

Test(races, block_freed_during_a_search_stays_until_the_search_is_over)
{
    start("EBBTIDE_DEVICE_BUDGET=40M EBBTIDE_HOST_BUDGET=200M EBBTIDE_DISK=auto EBBTIDE_RESIDENCY=strict");
    allocate(0, 8 * MIB);
    allocate(1, 16 * MIB);
    world.fake->scan = FAKE_NO_SCAN;
    moment_meet(world.fake, FAKE_COPY, 5, free_block, &program.model[1]); /* about to copy from it */
    allocate(2, 24 * MIB);
    moment_part();
    world_check(&world);
    program_free_all(&program);
    world_finish(&world);
}

Test(races, block_named_twice_needs_its_room_once)
{
    struct model *twice[4];

    static const char settings[] = "EBBTIDE_DEVICE_BUDGET=40M EBBTIDE_HOST_BUDGET=16M EBBTIDE_DISK=always "
                                   "EBBTIDE_DISK_BUDGET=24M EBBTIDE_RESIDENCY=strict";
    start(settings);
    allocate(0, 30 * MIB);
    allocate(1, 30 * MIB);
    for (unsigned i = 0; i < 4; i++)
        twice[i] = &program.model[0];
    cr_assert_eq(program_launch(&program, twice, 4, true), 0);
    program_free_all(&program);
    world_finish(&world);
}

static _Atomic unsigned inside;

/* Stay in a user section with pins until an allocation has begun to wait for them. */
static void *hold_pins(void *arg)
{
    struct use use;

    use_init(&use, true);
    use_word(&use, ((struct model *)arg)->address);
    cr_assert_eq(use_begin(&use), 0);
    cr_assert(use.pinned);
    atomic_store(&inside, 1);
    while (!atomic_load(&core.waiting) && !atomic_load(&gate.closed))
        sched_yield();
    use_end(&use);
    return NULL;
}

Test(races, allocation_waits_for_what_launches_hold_for_a_moment)
{
    pthread_t thread;

    start(strict_settings);
    allocate(0, 30 * MIB);
    allocate(1, 30 * MIB);
    pthread_create(&thread, NULL, hold_pins, &program.model[0]);
    cr_assert(wait_until(&inside, 1, 10000));
    allocate(2, 30 * MIB);
    pthread_join(thread, NULL);
    program_free_all(&program);
    world_finish(&world);
}

/* Two launches that do not fit together, again and again. */
static void *launch_often(void *arg)
{
    struct program *mine = arg;

    for (unsigned i = world_steps(20); i; i--) {
        struct model *used[] = {&mine->model[0], &mine->model[1]};

        cr_assert_eq(program_launch(mine, used, 2, true), 0);
    }
    return NULL;
}

Test(races, launches_that_do_not_fit_together_take_turns_under_strict_residency)
{
    static struct program other;
    pthread_t thread;

    start(strict_settings);
    program_init(&other, &world, 2, 2);
    for (unsigned i = 0; i < 2; i++) {
        allocate(i, 12 * MIB);
        cr_assert(program_allocate(&other, &other.model[i], 12 * MIB));
    }
    pthread_create(&thread, NULL, launch_often, &other);
    launch_often(&program);
    pthread_join(thread, NULL);
    world_check(&world);
    program_free_all(&program);
    program_free_all(&other);
    world_finish(&world);
    cr_expect_eq(program.launches_refused + other.launches_refused, 0);
}

static _Atomic unsigned allocating;

/* One block after the other, while somebody allocates. */
static void *launch_in_turn(void *arg)
{
    struct program *mine = arg;

    for (unsigned i = 0; atomic_load(&allocating); i++) {
        struct model *used[] = {&mine->model[i % 2]};

        cr_assert_eq(program_launch(mine, used, 1, true), 0);
    }
    return NULL;
}

Test(races, allocation_is_not_refused_for_room_that_launches_take_in_turn)
{
    static struct program other[3];
    pthread_t thread[3];

    start("EBBTIDE_DEVICE_BUDGET=10M EBBTIDE_HOST_BUDGET=200M EBBTIDE_DISK=always EBBTIDE_RESIDENCY=strict");
    for (unsigned i = 0; i < 3; i++) {
        program_init(&other[i], &world, 2, i + 2);
        cr_assert(program_allocate(&other[i], &other[i].model[0], 6 * MIB));
        cr_assert(program_allocate(&other[i], &other[i].model[1], 6 * MIB));
    }
    atomic_store(&allocating, 1);
    for (unsigned i = 0; i < 3; i++)
        pthread_create(&thread[i], NULL, launch_in_turn, &other[i]);
    for (unsigned i = world_steps(100); i; i--) {
        allocate(0, 2 * MIB);
        allocate(1, 4 * MIB);
        program_free(&program.model[0]);
        program_free(&program.model[1]);
    }
    atomic_store(&allocating, 0);
    for (unsigned i = 0; i < 3; i++)
        pthread_join(thread[i], NULL);
    world_check(&world);
    program_free_all(&program);
    for (unsigned i = 0; i < 3; i++)
        program_free_all(&other[i]);
    world_finish(&world);
}

Test(races, launch_without_a_list_races_with_frees_of_what_it_means)
{
    pthread_t thread;

    for (unsigned round = world_steps(8); round; round--) {
        start("EBBTIDE_DEVICE_BUDGET=16M EBBTIDE_HOST_BUDGET=400M EBBTIDE_DISK=always");
        for (unsigned i = 0; i < 6; i++)
            allocate(i, 8 * MIB);
        for (unsigned i = 0; i < 6; i++) {
            struct use use;

            use_init(&use, true);
            use.all = USE_MORE;
            pthread_create(&thread, NULL, free_block, &program.model[i]);
            cr_assert_eq(use_begin(&use), 0);
            use_end(&use);
            pthread_join(thread, NULL);
        }
        world_finish(&world);
    }
}

/* Somebody who asks for an address, and has small allocations that come and go; in no order with whoever moves. */
static void *find_and_free(void *arg)
{
    const struct model *model = arg;
    struct block_info info;

    while (atomic_load_explicit(&inside, memory_order_relaxed)) {
        uint64_t small;

        cr_assert_eq(core_find(model->address, &info), 0);
        cr_assert_eq(core_allocate(0, 4096, 0, NULL, true, &small), 0);
        cr_assert_eq(core_free(small), 0);
    }
    return NULL;
}

Test(races, addresses_are_looked_up_and_freed_while_a_search_forgets)
{
    pthread_t thread;

    start("EBBTIDE_DEVICE_BUDGET=40M EBBTIDE_HOST_BUDGET=200M EBBTIDE_DISK=auto EBBTIDE_RESIDENCY=strict");
    for (unsigned i = 0; i < 4; i++)
        allocate(i, 12 * MIB);
    atomic_store(&inside, 1);
    pthread_create(&thread, NULL, find_and_free, &program.model[0]);
    for (unsigned i = world_steps(40); i; i--) {
        struct model *used[] = {&program.model[i % 4]};

        cr_assert_eq(program_launch(&program, used, 1, true), 0);
    }
    atomic_store(&inside, 0);
    pthread_join(thread, NULL);
    cr_expect_gt(atomic_load(&core.counters.scans), 0);
    world_check(&world);
    program_free_all(&program);
    world_finish(&world);
}

/* ---- the recycler ----------------------------------------------------------------------------------------- */

static void *recycle(void *arg)
{
    unsigned wrong = 0;

    for (unsigned i = world_steps(60000); i; i--) {
        uint64_t address;

        wrong += core_allocate(0, GRANULE_BYTES, 0, NULL, true, &address) != 0 || core_free(address) != 0;
    }
    *(unsigned *)arg = wrong;
    return NULL;
}

Test(races, block_from_the_recycler_is_whole_before_its_last_owner_has_left)
{
    pthread_t thread[8];
    unsigned wrong[8];

    start("EBBTIDE_DEVICE_BUDGET=400M");
    for (unsigned i = 0; i < 8; i++)
        cr_assert_eq(pthread_create(&thread[i], NULL, recycle, &wrong[i]), 0);
    for (unsigned i = 0; i < 8; i++) {
        pthread_join(thread[i], NULL);
        cr_expect_eq(wrong[i], 0);
    }
    world_check(&world);
    world_finish(&world);
}
