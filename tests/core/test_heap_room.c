/* SPDX-License-Identifier: Apache-2.0 */
/* test_heap_room.c - the heap gets room in the host's budget before it is refused. */
#include "heap/heap_state.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "engine/core.h"
#include "engine/mover.h"
#include "ledger/state.h"
#include "world.h"

#define MIB ((uint64_t)1 << 20)

TestSuite(heap_room, .timeout = 60);

static const char settings[] = "EBBTIDE_DEVICE_BUDGET=16M EBBTIDE_HOST_BUDGET=24M EBBTIDE_DISK=always "
                               "EBBTIDE_PERIOD_MS=60000 EBBTIDE_WAIT_MS=200";
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
        if (core_host_try(HOST_HEAP, 12 * MIB, &room) == 0)
            *got_bytes = 12 * MIB;
        else if (!heap_room_make(12 * MIB, asked))
            break;
    return NULL;
}

Test(heap_room, blocks_go_to_disk_for_the_heap)
{
    uint64_t got_bytes = 0;

    start();
    take(&got_bytes);
    cr_expect_eq(got_bytes, 12 * MIB);
    cr_expect_leq(core.host_budget.peak_bytes, 24 * MIB);
    core_host_credit(HOST_HEAP, got_bytes);
    finish();
}

Test(heap_room, machine_that_has_grown_has_room_for_the_heap)
{
    world_start(&world, "EBBTIDE_DEVICE_BUDGET=16M EBBTIDE_HOST_BUDGET=50% EBBTIDE_PERIOD_MS=0", NULL);
    program_init(&program, &world, PROGRAM_BLOCKS, 1);
    core.host_budget.limit_bytes = 8 * MIB; /* as of a machine that had 16 MiB when the program began */
    uint64_t got_bytes = 0;

    take(&got_bytes);
    cr_expect_eq(got_bytes, 12 * MIB);
    core_host_credit(HOST_HEAP, got_bytes);
    finish();
}

/* The mover is at work for longer than one EBBTIDE_WAIT_MS, on a busy machine: who waits tells so once and is
 * served. */
Test(heap_room, heap_is_patient_and_asks_once)
{
    uint64_t got_bytes = 0, told;
    const struct timespec busy = {.tv_nsec = 500000000};
    pthread_t thread;

    start();
    told = core.room_waits_begun;
    mover_take();
    pthread_create(&thread, NULL, take, &got_bytes);
    cr_assert(world_grows(&core.room_waits_begun, told), "somebody waits for room");
    nanosleep(&busy, NULL);
    cr_expect_eq(core.room_waits_begun, told + 1);
    mover_give();
    pthread_join(thread, NULL);
    cr_expect_eq(got_bytes, 12 * MIB);
    core_host_credit(HOST_HEAP, got_bytes);
    finish();
}

/* Nothing more can leave: no room is claimed to have been made. */
Test(heap_room, heap_is_refused_what_nobody_can_make)
{
    uint64_t got_bytes = 0, room;

    start();
    cr_expect_neq(core_host_try(HOST_HEAP, 30 * MIB, &room), 0);
    for (unsigned asked = 0; heap_room_make(30 * MIB, asked); asked++)
        cr_assert_lt(asked, 10);
    cr_expect_eq(got_bytes, 0);
    finish();
}

/* Whoever is faster takes the room that was made, each time: as long as there is room again, it is worth a try. */
Test(heap_room, heap_that_loses_the_race_for_its_room_goes_on)
{
    uint64_t room;

    start();
    for (unsigned asked = 0; asked < 20; asked++) {
        cr_assert(heap_room_make(12 * MIB, asked), "asked %u times", asked);
        cr_assert_eq(core_host_charge(HOST_PINNED, 12 * MIB), 0);
        cr_assert_neq(core_host_try(HOST_HEAP, 12 * MIB, &room), 0);
        core_host_credit(HOST_PINNED, 12 * MIB);
    }
    cr_assert_eq(core_host_try(HOST_HEAP, 12 * MIB, &room), 0);
    core_host_credit(HOST_HEAP, 12 * MIB);
    finish();
}

/* ---- a search when the host is full ------------------------------------------------------------------------- */

enum {
    POINTED_MOST = 24
};

static uint64_t pointed[POINTED_MOST]; /* blocks of 4 MiB; the first one holds pointers to all */
static unsigned pointed_count;

/* One more block. False: refused. */
static bool point_at_another(void)
{
    struct use use;
    uint64_t block;

    if (core_allocate(0, 4 * MIB, 0, NULL, true, &block))
        return false;
    pointed[pointed_count] = block;
    use_init(&use, true);
    use_word(&use, block);
    use_word(&use, pointed[0]);
    cr_assert_eq(use_begin(&use), 0);
    memset((void *)block, 0, 4 * MIB);
    ((uint64_t *)pointed[0])[pointed_count++] = block;
    use_end(&use);
    return true;
}

static void forget_pointers(void)
{
    struct use use;

    use_init(&use, true);
    use_word(&use, pointed[0]);
    cr_assert_eq(use_begin(&use), 0);
    memset((void *)pointed[0], 0, 4 * MIB);
    use_end(&use);
}

/* The heap has taken an odd half MiB, so that less than a slab is left when both tiers are full of what cannot be
 * unmapped: a search needs one. */
Test(heap_room, blocks_that_are_no_longer_pointed_at_go_to_disk_though_the_host_is_full)
{
    uint64_t room;
    unsigned filled;

    world_start(&world, "EBBTIDE_DEVICE_BUDGET=16M EBBTIDE_HOST_BUDGET=24M EBBTIDE_DISK=auto", NULL);
    cr_assert_eq(core_host_try(HOST_HEAP, MIB / 2, &room), 0);
    while (point_at_another())
        cr_assert_lt(pointed_count, 10, "something that is pointed at went to disk");
    filled = pointed_count;
    forget_pointers();
    while (pointed_count < filled + 6 &&
           core_allocate(0, 4 * MIB, 0, NULL, true, &pointed[pointed_count]) == 0)
        pointed_count++;
    cr_expect_eq(pointed_count, filled + 6);
    while (pointed_count)
        cr_expect_eq(core_free(pointed[--pointed_count]), 0);
    core_host_credit(HOST_HEAP, MIB / 2);
    world_finish(&world);
}
