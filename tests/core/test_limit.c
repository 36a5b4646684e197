/* SPDX-License-Identifier: Apache-2.0 */
/* test_limit.c - what a device may hold right now: a driver that is full before the budget is, and the pool. */
#include <criterion/criterion.h>
#include <errno.h>

#include "engine/monitor.h"
#include "engine/mover.h"
#include "ledger/limit.h"
#include "ledger/state.h"
#include "moment.h"
#include "world.h"

#define MIB ((uint64_t)1 << 20)

TestSuite(limit, .timeout = 60);

static struct world world;
static struct program program;

static void start(const char *settings, const struct fake_config *config)
{
    world_start(&world, settings, config);
    program_init(&program, &world, PROGRAM_BLOCKS, 1);
}

static bool allocate(unsigned index, unsigned mib)
{
    return program_allocate(&program, &program.model[index], mib * MIB);
}

static uint64_t creations(void)
{
    return world.fake->calls[FAKE_CREATE];
}

static void finish(void)
{
    program_check_all(&program);
    program_free_all(&program);
    world_finish(&world);
}

static const char no_way_out[] = "EBBTIDE_DEVICE_BUDGET=off EBBTIDE_HOST_BUDGET=2M EBBTIDE_DISK=off";

Test(limit, driver_that_refused_what_should_fit_is_not_asked_again_until_something_is_freed)
{
    uint64_t asked;

    start(no_way_out, NULL);
    cr_assert_eq(core_charge(0, CLASS_NATIVE, 2 * MIB), 0);
    cr_assert(allocate(0, 32));
    cr_assert(allocate(1, 32));
    fake_fail(world.fake, FAKE_CREATE, 1, 1000, -ENOMEM);
    cr_expect(!allocate(2, 32));
    asked = creations();
    cr_expect(!allocate(2, 32));
    monitor_tick();
    cr_expect(!allocate(2, 32));
    cr_expect_eq(creations(), asked, "asked again");
    fake_fail(world.fake, FAKE_CREATE, 1, 0, 0);
    core_credit(0, CLASS_NATIVE, 2 * MIB);
    cr_expect(allocate(2, 32));
    cr_expect_gt(creations(), asked);
    finish();
}

/* It may have had another reason than that its memory is scattered, and nothing need ever be freed. */
Test(limit, refusal_is_believed_for_a_while_only)
{
    uint64_t asked;

    start(no_way_out, NULL);
    cr_assert(allocate(0, 32));
    fake_fail(world.fake, FAKE_CREATE, 1, 1000, -ENOMEM);
    cr_expect(!allocate(1, 32));
    fake_fail(world.fake, FAKE_CREATE, 1, 0, 0);
    asked = creations();
    fake_advance(world.fake, LIMIT_DOUBT_LEAST_NS - 1000000);
    cr_expect(!allocate(1, 32));
    cr_expect_eq(creations(), asked, "asked again too early");
    fake_advance(world.fake, 1000000);
    cr_expect(allocate(1, 32));
    cr_expect(allocate(2, 64), "what it has is the budget again");
    finish();
}

Test(limit, driver_that_goes_on_refusing_is_asked_less_and_less)
{
    enum {
        STEPS = 200
    };
    uint64_t asked;

    start(no_way_out, NULL);
    cr_assert(allocate(0, 32));
    fake_fail(world.fake, FAKE_CREATE, 1, 100000, -ENOMEM);
    cr_expect(!allocate(1, 32));
    asked = creations();
    for (unsigned i = 0; i < STEPS; i++) {
        fake_advance(world.fake, LIMIT_DOUBT_LEAST_NS);
        cr_expect(!allocate(1, 32));
    }
    cr_expect_leq(creations() - asked, 40, "%lu times", (unsigned long)(creations() - asked));
    cr_expect_gt(creations(), asked);
    fake_fail(world.fake, FAKE_CREATE, 1, 0, 0);
    fake_advance(world.fake, LIMIT_DOUBT_MOST_NS);
    cr_expect(allocate(1, 32));
    finish();
}

/* Of a block that is larger than what there is, the budget keeps what the others may have. */
Test(limit, request_larger_than_the_device_leaves_the_budget_as_it_was)
{
    static const struct fake_config config = {.capacity_bytes = 96 * MIB};

    start("EBBTIDE_DEVICE_BUDGET=off EBBTIDE_HOST_BUDGET=2M EBBTIDE_DISK=off", &config);
    cr_assert(allocate(0, 32));
    for (unsigned i = 0; i < 4; i++)
        cr_expect(!allocate(1, 200));
    cr_expect(allocate(1, 32));
    cr_expect(allocate(2, 28));
    finish();
}

Test(limit, driver_that_refuses_once_is_asked_once_more)
{
    start(no_way_out, NULL);
    fake_fail(world.fake, FAKE_CREATE, 1, 1, -ENOMEM);
    cr_expect(allocate(0, 32));
    fake_fail(world.fake, FAKE_CREATE, 1, 1, -EIO);
    cr_expect(allocate(1, 32));
    fake_fail(world.fake, FAKE_MAP, 1, 1, 0);
    cr_expect(allocate(2, 32));
    cr_expect_eq(core.devices[0].budget.refused, 0);
    finish();
}

static void *map_again(void *unused)
{
    fake_fail(world.fake, FAKE_MAP, 1, 0, 0);
    return unused;
}

/* What it maps with takes memory of the device. */
Test(limit, driver_that_cannot_map_can_once_others_have_left)
{
    start("EBBTIDE_DEVICE_BUDGET=100M EBBTIDE_HOST_BUDGET=400M EBBTIDE_DISK=always EBBTIDE_RESIDENCY=strict",
          NULL);
    cr_assert(allocate(0, 32));
    cr_assert(allocate(1, 32));
    fake_fail(world.fake, FAKE_MAP, 1, 1000, -ENOMEM);
    moment_at(world.fake, FAKE_RELEASE, 1, map_again, NULL);
    cr_expect(allocate(2, 16));
    moment_end();
    cr_expect_gt(core.counters.evictions, 0);
    finish();
}

Test(limit, memory_that_others_give_back_serves_after_a_refusal)
{
    static const struct fake_config config = {.capacity_bytes = 96 * MIB};
    uint64_t other;

    start(no_way_out, &config);
    cr_assert_eq(world.fake->device.create(&world.fake->device, 0, 64 * MIB, &other), 0);
    cr_assert(allocate(0, 32));
    cr_expect(!allocate(1, 32));
    cr_assert_eq(world.fake->device.release(&world.fake->device, other), 0);
    cr_expect(allocate(1, 32));
    finish();
}

static const char pool_settings[] =
    "EBBTIDE_DEVICE_BUDGET=128M EBBTIDE_HOST_BUDGET=400M EBBTIDE_ALLOCATOR=pool EBBTIDE_POOL=32M:64M";

Test(limit, pool_is_made_at_the_first_use_and_serves_without_the_driver)
{
    uint64_t made;

    start(pool_settings, NULL);
    cr_expect_eq(creations(), 0);
    cr_assert(allocate(0, 8));
    made = creations();
    cr_expect_eq(world.fake->used_bytes[0], 32 * MIB);
    cr_assert(allocate(1, 16));
    cr_assert(allocate(2, 8));
    cr_expect_eq(creations(), made, "the pool was large enough");
    for (unsigned i = 0; i < 3; i++)
        program_free(&program.model[i]);
    cr_assert(allocate(0, 16));
    cr_assert(allocate(1, 12));
    cr_expect_eq(creations(), made, "what was freed is there");
    finish();
}

Test(limit, pool_never_passes_its_maximum_and_the_rest_of_the_budget_stays_for_others)
{
    start(pool_settings, NULL);
    for (unsigned i = 0; i < 6; i++)
        cr_assert(allocate(i, 20));
    cr_expect_leq(core.devices[0].budget.class_bytes[CLASS_BLOCK] + core.devices[0].budget.idle_bytes,
                  64 * MIB);
    cr_expect_leq(core.devices[0].budget.peak_bytes, 64 * MIB);
    cr_expect_gt(core.counters.evictions, 0);
    uint64_t evicted = core.counters.evictions;

    cr_expect_eq(core_charge(0, CLASS_NATIVE, 60 * MIB), 0);
    cr_expect_eq(core.counters.evictions, evicted, "the pool has nothing to do with it");
    core_credit(0, CLASS_NATIVE, 60 * MIB);
    finish();
}

Test(limit, pool_keeps_every_byte)
{
    start(pool_settings, NULL);
    for (unsigned step = world_steps(150); step; step--)
        program_step(&program);
    cr_expect_gt(core.counters.evictions, 0);
    finish();
}

Test(limit, native_allocator_accounts_and_has_no_blocks)
{
    start("EBBTIDE_DEVICE_BUDGET=64M EBBTIDE_ALLOCATOR=native", NULL);
    cr_expect_eq(core_arena.bytes, 0);
    cr_expect_eq(core_charge(0, CLASS_NATIVE, 60 * MIB), 0);
    cr_expect_eq(core_charge(0, CLASS_NATIVE, 6 * MIB), -ENOMEM);
    cr_expect_eq(world.fake->calls[FAKE_DRAIN], 0, "nothing could have moved");
    cr_expect_eq(core.devices[0].budget.class_bytes[CLASS_NATIVE], 60 * MIB);
    cr_expect_eq(core.devices[0].budget.refused, 1);
    core_credit(0, CLASS_NATIVE, 60 * MIB);
    finish();
}

/* The line is the same call as the count. */
Test(limit, what_is_in_flight_when_the_process_ends_goes_to_the_driver_without_a_word)
{
    uint64_t address;

    start("EBBTIDE_DEVICE_BUDGET=64M EBBTIDE_HOST_BUDGET=16M EBBTIDE_DISK=off", NULL);
    cr_assert(allocate(0, 40));
    cr_expect_eq(core_allocate(0, 80 * MIB, 0, NULL, true, &address), -ENOMEM);
    cr_expect_eq(core_charge(0, CLASS_NATIVE, 80 * MIB), -ENOMEM);
    cr_expect_eq(core_host_charge(HOST_PINNED, 40 * MIB), -ENOMEM);
    cr_expect_eq(core.devices[0].budget.refused, 2);
    cr_expect_eq(core.host_budget.refused, 1);
    core_settle();
    cr_expect_eq(core_allocate(0, 80 * MIB, 0, NULL, true, &address), -ENOTSUP);
    cr_expect_eq(core_charge(0, CLASS_NATIVE, 80 * MIB), 0);
    cr_expect_eq(core_host_charge(HOST_PINNED, 40 * MIB), 0);
    cr_expect_eq(core.devices[0].budget.class_bytes[CLASS_NATIVE], 80 * MIB);
    cr_expect_eq(core.devices[0].budget.refused, 2);
    cr_expect_eq(core.host_budget.refused, 1);
    core_credit(0, CLASS_NATIVE, 80 * MIB);
    core_host_credit(HOST_PINNED, 40 * MIB);
    /* Peaks are held to the budget of a process that goes on. */
    core.devices[0].budget.peak_bytes = core.host_budget.peak_bytes = 0;
    finish();
}

/* Other threads go on, past the gate: a move would take the memory from under their kernels. */
Test(limit, nothing_moves_once_the_process_ends)
{
    uint64_t address;

    start("EBBTIDE_DEVICE_BUDGET=64M EBBTIDE_HOST_BUDGET=400M EBBTIDE_PERIOD_MS=60000", NULL);
    cr_assert(allocate(0, 40));
    cr_assert(allocate(1, 40));
    cr_assert(monitor_runs());
    cr_expect_gt(core.counters.evictions, 0);
    uint64_t drains = world.fake->calls[FAKE_DRAIN], evictions = core.counters.evictions;

    core_leave();
    if (core_allocate(0, 40 * MIB, 0, NULL, true, &address) == 0)
        cr_expect_eq(core_free(address), 0);
    core_relieve(0, 40 * MIB);
    program_launch(&program, (struct model *const[]){&program.model[0]}, 1, true);
    cr_expect_not(monitor_runs(), "started again by a thread that still allocates");
    cr_expect_eq(core.counters.evictions, evictions);
    cr_expect_leq(world.fake->calls[FAKE_DRAIN], drains + 1, "but for the free");
    finish();
}

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_held, may_go;
} stuck = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

/* As a mover in a driver call that does not return. */
static void *hold_the_role(void *arg)
{
    mover_take();
    pthread_mutex_lock(&stuck.lock);
    stuck.is_held = true;
    pthread_cond_broadcast(&stuck.changed);
    while (!stuck.may_go)
        pthread_cond_wait(&stuck.changed, &stuck.lock);
    pthread_mutex_unlock(&stuck.lock);
    mover_give();
    return arg;
}

static void *need_room(void *arg)
{
    monitor_wait_room(0, MIB, 60000);
    return arg;
}

/* Until so many have the role or wait for it. */
static void wait_for_tickets(uint64_t count)
{
    uint64_t tickets;

    do {
        sched_yield();
        lock_acquire(&core.lock);
        tickets = core.role_next - core.role_now;
        lock_release(&core.lock);
    } while (tickets < count);
}

Test(limit, process_ends_though_a_move_does_not)
{
    pthread_t holder, waiter;

    start("EBBTIDE_DEVICE_BUDGET=64M EBBTIDE_PERIOD_MS=60000 EBBTIDE_DRAIN_MS=20", NULL);
    cr_assert(allocate(0, 40));
    program_free_all(&program);
    cr_assert(monitor_runs());
    cr_assert_eq(pthread_create(&holder, NULL, hold_the_role, NULL), 0);
    pthread_mutex_lock(&stuck.lock);
    while (!stuck.is_held)
        pthread_cond_wait(&stuck.changed, &stuck.lock);
    pthread_mutex_unlock(&stuck.lock);

    cr_assert_eq(pthread_create(&waiter, NULL, need_room, NULL), 0);
    wait_for_tickets(2); /* the monitor's is the second */

    cr_expect_not(core_leave());
    core_settle();

    pthread_mutex_lock(&stuck.lock);
    stuck.may_go = true;
    pthread_cond_broadcast(&stuck.changed);
    pthread_mutex_unlock(&stuck.lock);
    pthread_join(holder, NULL);
    pthread_join(waiter, NULL);
    cr_expect(core_leave());
    finish();
}

/* ---- the size of chunks ------------------------------------------------------------------------------------ */

/* Handles that a block is made of, on a device of 80 GiB. It leaves, as far as there is room, and comes back. */
static uint64_t pieces(const char *settings, uint64_t mib)
{
    static const struct fake_config large = {
        .capacity_bytes = UINT64_C(80) << 30, .host_capacity_bytes = UINT64_C(64) << 30, .contentless = true};
    uint64_t address, made;
    struct use use;

    world_start(&world, settings, &large);
    cr_assert_eq(core_allocate(0, mib * MIB, 0, NULL, true, &address), 0);
    made = creations();
    mover_take();
    cr_expect_gt(mover_send(address_granule(&core.blocks, address), false), 0);
    mover_give();
    world_check(&world);
    use_init(&use, true);
    use_word(&use, address);
    cr_assert_eq(use_begin(&use), 0);
    use_end(&use);
    cr_expect_eq(core.devices[0].away_bytes, 0);
    cr_assert_eq(core_free(address), 0);
    world_finish(&world);
    return made;
}

Test(limit, chunks_of_a_large_budget_are_large_where_the_host_has_room_for_them)
{
    cr_expect_eq(pieces("EBBTIDE_DEVICE_BUDGET=32G EBBTIDE_HOST_BUDGET=64G", 2048), 64, "32 MiB each");
    cr_expect_eq(pieces("EBBTIDE_DEVICE_BUDGET=40G EBBTIDE_HOST_BUDGET=64G", 1600), 10, "160 MiB each");
    cr_expect_eq(pieces("EBBTIDE_DEVICE_BUDGET=off EBBTIDE_HOST_BUDGET=64G", 2048), 8, "256 MiB each");
    cr_expect_eq(pieces("EBBTIDE_DEVICE_BUDGET=off EBBTIDE_HOST_BUDGET=64G", 512), 1);
    cr_expect_eq(pieces("EBBTIDE_DEVICE_BUDGET=off EBBTIDE_HOST_BUDGET=4G", 2048), 32, "64 MiB each");
    cr_expect_eq(pieces("EBBTIDE_DEVICE_BUDGET=off EBBTIDE_HOST_BUDGET=1G", 2048), 64, "32 MiB each");
}
