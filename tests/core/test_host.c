/* SPDX-License-Identifier: Apache-2.0 */
/* test_host.c - the heap gets room in the host's budget before it is refused. */
#include "host.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <time.h>

#include "core.h"
#include "mover.h"
#include "state.h"
#include "world.h"

#define MIB ((uint64_t)1 << 20)

TestSuite(host, .timeout = 60);

static const char *const settings[] = {"EBBTIDE_DEVICE_BUDGET",
                                       "16M",
                                       "EBBTIDE_HOST_BUDGET",
                                       "24M",
                                       "EBBTIDE_DISK",
                                       "always",
                                       "EBBTIDE_PERIOD_MS",
                                       "60000",
                                       "EBBTIDE_WAIT_MS",
                                       "200",
                                       0};
static struct world world;
static struct program program;

/* The device and the host are full of blocks that may go to disk. */
static void start(void)
{
    world_start(&world, settings, NULL);
    program_init(&program, &world, PROGRAM_BLOCKS, 1);
    for (unsigned i = 0; i < 8; i++)
        cr_assert(program_allocate(&program, &program.model[i], 4 * MIB));
}

static void finish(void)
{
    program_check_all(&program);
    program_free_all(&program);
    world_finish(&world);
}

static void *take(void *arg)
{
    uint64_t *got_bytes = arg, room;

    for (unsigned asked = 0; *got_bytes == 0; asked++)
        if (core_heap_charge(12 * MIB, &room) == 0)
            *got_bytes = 12 * MIB;
        else if (!core_heap_make_room(12 * MIB, asked))
            break;
    return NULL;
}

/* Somebody waits for room, within ten seconds. */
static bool asks(uint64_t told)
{
    const struct timespec pause = {.tv_nsec = 1000000};

    for (unsigned i = 0; i < 10000 && core.needs_told == told; i++)
        nanosleep(&pause, NULL);
    return core.needs_told != told;
}

Test(host, blocks_go_to_disk_for_the_heap)
{
    uint64_t got_bytes = 0;

    start();
    take(&got_bytes);
    cr_expect_eq(got_bytes, 12 * MIB);
    cr_expect_leq(core.host_budget.peak_bytes, 24 * MIB);
    core_host_credit(HOST_HEAP, got_bytes);
    finish();
}

/* The mover is at work for longer than one EBBTIDE_WAIT_MS, on a busy machine: who waits tells so once and is served. */
Test(host, heap_is_patient_and_asks_once)
{
    uint64_t got_bytes = 0, told;
    const struct timespec busy = {.tv_nsec = 500000000};
    pthread_t thread;

    start();
    told = core.needs_told;
    mover_take();
    pthread_create(&thread, NULL, take, &got_bytes);
    cr_assert(asks(told));
    nanosleep(&busy, NULL);
    cr_expect_eq(core.needs_told, told + 1);
    mover_give();
    pthread_join(thread, NULL);
    cr_expect_eq(got_bytes, 12 * MIB);
    core_host_credit(HOST_HEAP, got_bytes);
    finish();
}

/* Nothing more can leave: no room is claimed to have been made. */
Test(host, heap_is_refused_what_nobody_can_make)
{
    uint64_t got_bytes = 0, room;

    start();
    cr_expect_neq(core_heap_charge(30 * MIB, &room), 0);
    for (unsigned asked = 0; core_heap_make_room(30 * MIB, asked); asked++)
        cr_assert_lt(asked, 10);
    cr_expect_eq(got_bytes, 0);
    finish();
}
