/* SPDX-License-Identifier: Apache-2.0 */
/* test_monitor.c - the timer: water marks, what is cold, what others use, and when it rests. */
#include "engine/monitor.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "api/object.h"
#include "base/log.h"
#include "fake_pages.h"
#include "ledger/limit.h"
#include "ledger/state.h"
#include "machine_files.h"
#include "world.h"

#define MIB ((uint64_t)1 << 20)

TestSuite(monitor, .timeout = 60);

static bool watches_creation, is_asked;

int __real_pthread_create(pthread_t *out, const pthread_attr_t *attributes, void *(*run)(void *), void *arg);
int __wrap_pthread_create(pthread_t *out, const pthread_attr_t *attributes, void *(*run)(void *), void *arg);

static void *ask(void *arg)
{
    monitor_call();
    return arg;
}

/* Where the allocations of a new thread find the budget full, they ask the monitor. */
int __wrap_pthread_create(pthread_t *out, const pthread_attr_t *attributes, void *(*run)(void *), void *arg)
{
    struct timespec until;
    pthread_t asker;

    if (watches_creation) {
        watches_creation = false;
        lock_assert_none();
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += 5;
        __real_pthread_create(&asker, NULL, ask, NULL);
        is_asked = pthread_timedjoin_np(asker, NULL, &until) == 0;
    }
    return __real_pthread_create(out, attributes, run, arg);
}

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

static uint32_t first_of(unsigned index)
{
    return address_granule(&core.blocks, program.model[index].address);
}

static struct model *allocate(unsigned index, unsigned mib)
{
    cr_assert(program_allocate(&program, &program.model[index], mib * MIB));
    return &program.model[index];
}

static void allocate_named(unsigned index, unsigned mib)
{
    cr_assert_eq(object_register(allocate(index, mib)->address, mib * MIB, 0, "block"), 0);
}

/* Long ago, in the order of the blocks. */
static void cool(unsigned index)
{
    atomic_store(&core.blocks.stamp[first_of(index)], index + 1);
}

static unsigned away(unsigned count)
{
    unsigned bits = 0;

    for (unsigned i = 0; i < count; i++)
        bits |= (unsigned)((owner_at(&core.blocks, first_of(i)) & OWNER_AWAY) != 0) << i;
    return bits;
}

static uint64_t used(void)
{
    return core.devices[0].budget.used_bytes;
}

static const char marks[] = "EBBTIDE_DEVICE_BUDGET=40M EBBTIDE_HIGH=0.8 EBBTIDE_LOW=0.5 "
                            "EBBTIDE_HOST_BUDGET=1G EBBTIDE_OPERATIONS=off";

Test(monitor, device_above_the_high_mark_goes_to_the_low_one_and_stays_there)
{
    start(marks);
    for (unsigned i = 0; i < 3; i++) {
        allocate_named(i, 12);
        cool(i);
    }
    monitor_tick();
    cr_expect_leq(used(), 20 * MIB);
    cr_expect_eq(away(3), 3u, "the two least recent");
    uint64_t evictions = core.counters.evictions;

    allocate_named(3, 8);
    cool(3);
    monitor_tick();
    cr_expect_eq(core.counters.evictions, evictions, "inside the band");
    finish();
}

Test(monitor, device_at_the_high_mark_is_left_alone)
{
    start(marks);
    allocate_named(0, 32);
    cool(0);
    monitor_tick();
    cr_expect_eq(away(1), 0);
    finish();
}

Test(monitor, what_was_used_a_moment_ago_stays)
{
    start(marks);
    for (unsigned i = 0; i < 3; i++)
        allocate_named(i, 12);
    cool(2);
    monitor_tick();
    cr_expect_eq(away(3), 4u, "only the cold one");
    finish();
}

Test(monitor, program_that_fits_is_left_alone_however_cold_it_is)
{
    start(marks);
    for (unsigned i = 0; i < 3; i++) {
        allocate(i, 12);
        cool(i);
    }
    for (unsigned i = 0; i < 100; i++) {
        monitor_tick();
        fake_advance(world.fake, 50000000);
    }
    cr_expect_eq(core.counters.evictions, 0);
    finish();
}

Test(monitor, allocations_that_would_use_the_room_up_find_it_made)
{
    start(marks);
    for (unsigned i = 0; i < 3; i++) {
        cr_expect_eq(away(i), 0, "there is room for another one");
        allocate(i, 12);
        cool(i);
        monitor_tick();
    }
    cr_expect_eq(away(3), 1, "the least recent: 4 MiB were left, and 12 come each time");
    monitor_tick();
    cr_expect_eq(away(3), 1, "and none came");
    finish();
}

static unsigned lines_with(const char *path, const char *text)
{
    char line[1024];
    FILE *file = fopen(path, "r");
    unsigned count = 0;

    cr_assert_not_null(file);
    while (fgets(line, sizeof(line), file))
        count += strstr(line, text) != NULL;
    fclose(file);
    return count;
}

Test(monitor, a_capture_that_is_in_the_way_for_long_is_said_once)
{
    char path[] = "/tmp/ebbtide-test-monitor-XXXXXX";
    uint64_t address;

    close(mkstemp(path));
    start(marks);
    cr_assert_eq(log_init(LOG_WARN, path), 0);
    for (unsigned i = 0; i < 3; i++)
        allocate(i, 12);
    core_capture_begin();
    for (unsigned i = 0; i < 3; i++) {
        if (core_allocate(0, 12 * MIB, 0, NULL, true, &address) == 0)
            core_free(address);
        cr_expect_eq(lines_with(path, "capture has been open"), i > 0);
        fake_advance(world.fake, UINT64_C(11000000000));
    }
    core_capture_end();
    finish();
    log_finish();
    unlink(path);
}

Test(monitor, all_pinned_and_over_the_mark_is_said_once)
{
    char path[] = "/tmp/ebbtide-test-monitor-XXXXXX";

    close(mkstemp(path));
    start(marks);
    cr_assert_eq(log_init(LOG_WARN, path), 0);
    for (unsigned i = 0; i < 3; i++) {
        cr_assert_eq(core_pin(allocate(i, 12)->address, PIN_API), 0);
        cool(i);
    }
    for (unsigned tick = 0; tick < 5; tick++)
        monitor_tick();
    cr_expect_eq(core.counters.evictions, 0);
    cr_expect_eq(lines_with(path, "everything on it is pinned"), 1);
    cr_expect_eq(lines_with(path, "warn"), 1);
    for (unsigned i = 0; i < 3; i++)
        core_unpin(program.model[i].address, PIN_API);
    finish();
    log_finish();
    unlink(path);
}

Test(monitor, nothing_managed_means_no_thread_and_then_a_parked_one)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    uint64_t ticks;

    start("EBBTIDE_PERIOD_MS=1");
    cr_expect(!monitor_runs());
    cr_expect_eq(core.counters.monitor_ticks, 0);
    allocate(0, 2);
    cr_assert(world_grows(&core.counters.monitor_ticks, 2), "it ticks while something is managed");
    program_free(&program.model[0]);
    for (unsigned i = 0; i < 10000 && !monitor_is_parked(); i++)
        nanosleep(&pause, NULL);
    cr_assert(monitor_is_parked());
    ticks = core.counters.monitor_ticks;
    cr_expect_eq(core_charge(0, CLASS_NATIVE, 2 * MIB), 0);
    core_credit(0, CLASS_NATIVE, 2 * MIB);
    cr_expect(monitor_is_parked());
    cr_expect_eq(core.counters.monitor_ticks, ticks);
    allocate(0, 2);
    cr_expect(world_grows(&core.counters.monitor_ticks, ticks), "it goes on");
    finish();
}

Test(monitor, thread_is_made_with_no_lock_held)
{
    start("EBBTIDE_PERIOD_MS=1");
    watches_creation = true;
    allocate(0, 2);
    cr_expect(monitor_runs());
    cr_expect(is_asked);
    cr_expect(world_grows(&core.counters.monitor_ticks, 0));
    finish();
}

Test(monitor, device_that_others_fill_gets_idle_and_cold_memory_back)
{
    static const struct fake_config config = {.capacity_bytes = 240 * MIB};
    uint64_t other;

    world_start(&world, "EBBTIDE_DEVICE_BUDGET=120M EBBTIDE_HOST_BUDGET=1G", &config);
    core.machine_root = "/nowhere";
    program_init(&program, &world, PROGRAM_BLOCKS, 1);
    for (unsigned i = 0; i < 4; i++) {
        allocate(i, 12);
        cool(i);
    }
    program_free(&program.model[3]);
    monitor_tick();
    cr_expect_eq(away(3), 0, "far from every mark");
    cr_expect_gt(core.devices[0].budget.idle_bytes, 0);
    cr_assert_eq(world.fake->device.create(&world.fake->device, 0, 170 * MIB, &other), 0);
    fake_advance(world.fake, 2000000000);
    monitor_tick();
    cr_expect_eq(away(3), 7u);
    cr_expect_eq(core.devices[0].budget.idle_bytes, 0);
    cr_assert_eq(world.fake->device.release(&world.fake->device, other), 0);
    finish();
}

/* The driver sends its pages away as soon as anybody else needs the room. */
Test(monitor, managed_memory_that_fills_a_device_sends_no_block_away)
{
    static const struct fake_config config = {.capacity_bytes = 130 * MIB};
    uint64_t pages;

    world_start(&world, "EBBTIDE_DEVICE_BUDGET=120M EBBTIDE_HOST_BUDGET=1G", &config);
    core.machine_root = "/nowhere";
    world.fake->device.floating = 1;
    program_init(&program, &world, PROGRAM_BLOCKS, 1);
    for (unsigned i = 0; i < 3; i++) {
        allocate(i, 12);
        cool(i);
    }
    cr_expect_eq(core_charge(0, CLASS_MANAGED, 900 * MIB), 0, "it may be larger than the device");
    fake_pages_begin(world.fake, FAKE_PAGES, 900 * MIB);
    core_managed_made(0, FAKE_PAGES, 900 * MIB, false);
    cr_expect_eq(core_managed_on(0), 0);
    cr_assert_eq(world.fake->device.create(&world.fake->device, 0, 40 * MIB, &pages), 0);
    cr_expect_eq(core_managed_on(0), 40 * MIB);
    fake_advance(world.fake, 2000000000);
    monitor_tick();
    cr_expect_eq(away(2), 0);
    cr_expect_eq(core.devices[0].others_bytes, 0);
    core_managed_gone(FAKE_PAGES);
    core_credit(0, CLASS_MANAGED, 900 * MIB);
    cr_expect_eq(core_managed_on(0), 0, "what is there is somebody else's");
    cr_assert_eq(world.fake->device.release(&world.fake->device, pages), 0);
    finish();
}

Test(monitor, what_others_use_of_a_device_shrinks_its_areas_by_what_the_budget_lacks)
{
    static const char settings[] =
        "EBBTIDE_DEVICE_BUDGET=160M EBBTIDE_HOST_BUDGET=1G EBBTIDE_OPERATIONS=0.5:0.7 EBBTIDE_HIGH=1";
    static const struct fake_config config = {.capacity_bytes = 240 * MIB};
    uint64_t first, other;

    world_start(&world, settings, &config);
    core.machine_root = "/nowhere";
    program_init(&program, &world, PROGRAM_BLOCKS, 1);
    allocate(0, 12);
    uint64_t whole = share_state(0).limits.capacity_bytes;

    cr_assert_eq(world.fake->device.create(&world.fake->device, 0, 60 * MIB, &first), 0);
    monitor_tick();
    cr_expect_eq(share_state(0).limits.capacity_bytes, whole, "the budget has room beside it");
    cr_expect_eq(share_state(0).limits.buffers_min_bytes, 0);
    cr_assert_eq(world.fake->device.create(&world.fake->device, 0, 60 * MIB, &other), 0);
    fake_advance(world.fake, 2000000000);
    monitor_tick();
    cr_expect_eq(share_state(0).limits.capacity_bytes, whole - 40 * MIB);
    cr_expect_gt(share_state(0).limits.buffers_min_bytes, 0);
    cr_assert_eq(world.fake->device.release(&world.fake->device, first), 0);
    cr_assert_eq(world.fake->device.release(&world.fake->device, other), 0);
    fake_advance(world.fake, 2000000000);
    monitor_tick();
    cr_expect_eq(share_state(0).limits.capacity_bytes, whole);
    finish();
}

static const char to_disk[] = "EBBTIDE_DEVICE_BUDGET=40M EBBTIDE_HOST_BUDGET=1G EBBTIDE_DISK=always";

static void limit_group(const char *bytes)
{
    machine_files_write("/sys/fs/cgroup/g/memory.max", bytes);
}

/* 30 MiB in host memory, cold, on a machine that the test describes. */
static void start_with_host_blocks(const char *settings, const char *group_bytes)
{
    start(settings);
    core.machine_root = machine_files_init();
    for (unsigned i = 0; i < 3; i++)
        allocate(i, 10);
    cr_assert_gt(core_relieve(0, 30 * MIB), 0);
    for (unsigned i = 0; i < 3; i++)
        cool(i);
    machine_files_write("/proc/self/cgroup", "0::/g\n");
    limit_group(group_bytes);
}

static uint64_t spilled(void)
{
    return core.counters.moves[MOVE_HOST_TO_DISK].bytes;
}

static void finish_with_files(void)
{
    machine_files_finish();
    core.machine_root = "/nowhere";
    finish();
}

Test(monitor, cgroup_over_its_mark_sends_host_memory_to_disk)
{
    start_with_host_blocks(to_disk, "26214400\n");
    machine_files_write("/sys/fs/cgroup/g/memory.current", "15000000\n");
    monitor_tick();
    cr_expect_eq(spilled(), 0, "below the mark");
    machine_files_write("/sys/fs/cgroup/g/memory.current", "25800000\n");
    monitor_tick();
    cr_expect_eq(spilled(), 0, "asked once a second");
    fake_advance(world.fake, 2000000000);
    monitor_tick();
    cr_expect_geq(spilled(), 7 * MIB);
    cr_expect_lt(spilled(), 20 * MIB, "no more than that");
    cr_expect_eq(core.slabs.budget->idle_bytes, 0, "what was written is given back");
    finish_with_files();
}

Test(monitor, cached_files_of_a_cgroup_move_nothing)
{
    start_with_host_blocks(to_disk, "26214400\n");
    machine_files_write("/sys/fs/cgroup/g/memory.current", "26000000\n");
    machine_files_write("/sys/fs/cgroup/g/memory.stat",
                        "anon 1\ninactive_file 10000000\nactive_file 5000000\n");
    monitor_tick();
    cr_expect_eq(spilled(), 0);
    finish_with_files();
}

Test(monitor, tasks_that_wait_for_memory_send_host_memory_to_disk)
{
    start_with_host_blocks(to_disk, "26214400\n");
    machine_files_write("/sys/fs/cgroup/g/memory.pressure",
                        "some avg10=9.00 avg60=0.00 avg300=0.00 total=1\n");
    monitor_tick();
    cr_expect_eq(spilled(), 0, "a little is usual");
    machine_files_write("/sys/fs/cgroup/g/memory.pressure",
                        "some avg10=25.00 avg60=0.00 avg300=0.00 total=1\n");
    fake_advance(world.fake, 2000000000);
    monitor_tick();
    cr_expect_gt(spilled(), 0);
    finish_with_files();
}

static const char follows[] = "EBBTIDE_DEVICE_BUDGET=40M EBBTIDE_HOST_BUDGET=50%";

/* In a group of 100 MiB, on a machine that has more. */
static void start_in_group(const char *settings)
{
    start(settings);
    core.machine_root = machine_files_init();
    machine_files_write("/proc/self/cgroup", "0::/g\n");
    limit_group("104857600\n");
    allocate(0, 10);
}

static uint64_t host_limit_a_second_later(void)
{
    fake_advance(world.fake, 1000000000);
    monitor_tick();
    return core.host_budget.limit_bytes;
}

Test(monitor, host_budget_that_is_a_share_follows_the_machine_up_and_down)
{
    uint64_t whole;

    start_in_group(follows);
    whole = core.host_budget.limit_bytes;
    cr_expect_eq(host_limit_a_second_later(), 50 * MIB);
    limit_group("209715200\n");
    cr_expect_eq(host_limit_a_second_later(), 100 * MIB);
    limit_group("52428800\n");
    cr_expect_eq(host_limit_a_second_later(), 25 * MIB);
    limit_group("max\n");
    cr_expect_eq(host_limit_a_second_later(), whole);
    finish_with_files();
}

Test(monitor, host_budget_in_bytes_is_what_was_asked_for)
{
    start_in_group(to_disk);
    cr_expect_eq(host_limit_a_second_later(), 1024 * MIB);
    finish_with_files();
}

Test(monitor, host_budget_that_the_program_has_set_stays)
{
    start_in_group(follows);
    limit_set_host(70 * MIB);
    cr_expect_eq(host_limit_a_second_later(), 70 * MIB);
    finish_with_files();
}

/* What is away and does not fit any more goes on to the disk as over any mark. */
Test(monitor, host_budget_that_shrinks_sends_host_memory_to_disk)
{
    start_with_host_blocks("EBBTIDE_DEVICE_BUDGET=40M EBBTIDE_HOST_BUDGET=50% EBBTIDE_DISK=always",
                           "41943040\n");
    cr_expect_eq(host_limit_a_second_later(), 20 * MIB);
    cr_expect_gt(spilled(), 0);
    cr_expect_leq(core.host_budget.used_bytes, 20 * MIB);
    limit_group("max\n"); /* the peak is held against it */
    host_limit_a_second_later();
    finish_with_files();
}

/* The timer rests while there is no block. */
Test(monitor, machine_is_asked_before_the_host_budget_refuses)
{
    start(follows);
    core.machine_root = machine_files_init();
    machine_files_write("/proc/self/cgroup", "0::/g\n");
    limit_group("104857600\n");
    cr_expect_eq(core_host_charge(HOST_PINNED, UINT64_C(1) << 50), -ENOMEM);
    cr_expect_eq(core.host_budget.limit_bytes, 50 * MIB);
    limit_group("209715200\n");
    cr_expect_eq(core_host_charge(HOST_PINNED, 60 * MIB), -ENOMEM, "once a second");
    fake_advance(world.fake, 1000000000);
    cr_expect_eq(core_host_charge(HOST_PINNED, 60 * MIB), 0);
    core_host_credit(HOST_PINNED, 60 * MIB);
    finish_with_files();
}

static rlim_t descriptors_from(rlim_t most)
{
    struct rlimit limit;

    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    rlim_t before = limit.rlim_cur;

    limit.rlim_cur = most;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return before;
}

Test(monitor, host_budget_stays_while_there_is_no_descriptor_to_ask_with)
{
    rlim_t before;

    start_in_group(follows);
    cr_expect_eq(host_limit_a_second_later(), 50 * MIB);
    before = descriptors_from(0);
    uint64_t limit_bytes = host_limit_a_second_later();

    descriptors_from(before);
    cr_expect_eq(limit_bytes, 50 * MIB);
    finish_with_files();
}
