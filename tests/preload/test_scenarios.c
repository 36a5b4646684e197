/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scenarios of the policy design that need settings of their own, through the preloaded library on the simulated
 * driver: meson.build runs each suite with its settings. Sizes in MiB.
 */
#include "objects.h"

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void pause_ms(unsigned ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static uint64_t used_mib(int tier)
{
    return stats().tier[tier].used_bytes / MIB;
}

static uint64_t moved_bytes(void)
{
    struct ebb_stats now = stats();

    return now.to_host_bytes + now.to_device_bytes + now.to_disk_bytes + now.from_disk_bytes;
}

/* ---- S4b: EBBTIDE_DISK_BUDGET=100M ------------------------------------------------------------------------------ */

TestSuite(full, .timeout = 60);

Test(full, s4b_object_that_cannot_be_saved_stays_and_the_next_allocation_is_refused)
{
    FILE *errors = listen_to_errors();
    struct ebb_block_info before[5], after;
    struct object b[5];
    CUdeviceptr more = 1;

    begin(100);
    for (unsigned i = 0; i < 5; i++)
        b[i] = make_named(60, (float)i);
    for (unsigned i = 0; i < 5; i++)
        before[i] = ask(&b[i]);
    cr_expect_eq(before[2].tier, EBB_TIER_DEVICE);
    cr_expect_eq(used_mib(EBB_TIER_DEVICE), 180);
    cr_expect_eq(cuMemAlloc(&more, 60 * MIB), CUDA_ERROR_OUT_OF_MEMORY);
    cr_expect_eq(more, 1);
    for (unsigned i = 0; i < 5; i++) {
        after = ask(&b[i]);
        cr_expect_eq(after.tier, before[i].tier, "%u", i);
        cr_expect_eq(after.resident_bytes, before[i].resident_bytes, "%u", i);
    }
    for (unsigned i = 0; i < 5; i++)
        end(&b[i]);
    cr_expect_eq(lines_with(errors, "raise with a larger EBBTIDE_DISK_BUDGET"), 1);
}

/* ---- S5: budgets of 18M, EBBTIDE_OPERATIONS=off ----------------------------------------------------------------- */

TestSuite(tiers, .timeout = 60);

Test(tiers, s5_six_blocks_in_three_tiers_and_a_touch_moves_nothing)
{
    struct object b[6];
    uint64_t moved;

    world = world_make();
    cr_assert_eq(ebb_set_budget(EBB_TIER_HOST, 0,
                                (int64_t)((used_mib(EBB_TIER_HOST) + 2) / 2 * 2 + 20) * (int64_t)MIB),
                 0);
    for (unsigned i = 0; i < 6; i++)
        b[i] = make_named(8, (float)i);
    for (unsigned i = 0; i < 6; i++)
        cr_expect_eq(ask(&b[i]).tier, 2 - (int)i / 2, "%u: %d", i, ask(&b[i]).tier);
    moved = moved_bytes();
    cr_assert_eq(ebb_touch(ptr(&b[2])), 0);
    cr_expect_eq(moved_bytes(), moved);
    cr_expect_eq(ask(&b[2]).tier, EBB_TIER_HOST);
    for (unsigned i = 0; i < 6; i++)
        end(&b[i]);
}

/* ---- S7: EBBTIDE_OPERATIONS=off, high 0.8, low 0.5, every 50 ms, cold after 200 ms ------------------------------ */

TestSuite(monitor, .timeout = 60);

/* Wait until so many blocks were evicted, or for the time. */
static uint64_t evictions_within(uint64_t count, unsigned ms)
{
    uint64_t deadline_ms = now_ms() + ms;

    while (stats().evictions < count && now_ms() < deadline_ms)
        pause_ms(5);
    return stats().evictions;
}

/* What has left is given back to the driver a moment after it was counted. */
static uint64_t used_within(uint64_t mib, unsigned ms)
{
    uint64_t deadline_ms = now_ms() + ms;

    while (used_mib(EBB_TIER_DEVICE) > mib && now_ms() < deadline_ms)
        pause_ms(5);
    return used_mib(EBB_TIER_DEVICE);
}

Test(monitor, s7_evicts_to_the_low_mark_and_leaves_the_band_alone)
{
    struct object b[5];

    begin(400);
    for (unsigned i = 0; i < 3; i++)
        b[i] = make_named(60, (float)i);
    cr_expect_eq(evictions_within(2, 20000), 2);
    cr_expect_eq(used_within(60, 20000), 60);
    b[3] = make_named(40, 3);
    b[4] = make_named(40, 4);
    cr_expect_eq(evictions_within(3, 600), 2, "inside the band");
    cr_expect_eq(used_mib(EBB_TIER_DEVICE), 140);
    for (unsigned i = 0; i < 5; i++)
        end(&b[i]);
}

Test(monitor, s7_evicts_nothing_that_is_pinned_and_says_so_once)
{
    FILE *errors = listen_to_errors();
    struct object b[3];
    uint64_t deadline_ms;

    begin(400);
    for (unsigned i = 0; i < 3; i++) {
        b[i] = make_named(60, (float)i);
        pin(&b[i], EBB_RO);
    }
    deadline_ms = now_ms() + 20000;
    while (!lines_with(errors, "everything on it is pinned") && now_ms() < deadline_ms)
        pause_ms(5);
    cr_expect_eq(evictions_within(1, 600), 0);
    cr_expect_eq(lines_with(errors, "everything on it is pinned"), 1);
    cr_expect_eq(used_mib(EBB_TIER_DEVICE), 180);
    for (unsigned i = 0; i < 3; i++)
        unpin(&b[i], EBB_CLEAN);
    for (unsigned i = 0; i < 3; i++)
        end(&b[i]);
}

/* ---- S8: no budget, a device of 64M, EBBTIDE_OPERATIONS=off ----------------------------------------------------- */

TestSuite(driver, .timeout = 60);

Test(driver, s8_that_is_full_is_asked_again_after_an_eviction)
{
    struct object b, other;
    CUdeviceptr more = 1;

    begin(400);
    b = make_named(40, 1);
    other = make(40, 2);
    cr_expect_eq(stats().evictions, 1);
    cr_expect(all_are(other.at, other.bytes / 4, 2));
    end(&other);
    pin(&b, EBB_RO);
    cr_expect_eq(cuMemAlloc(&more, 40 * MIB), CUDA_ERROR_OUT_OF_MEMORY);
    cr_expect_eq(more, 1);
    cr_expect_eq(stats().evictions, 1);
    unpin(&b, EBB_CLEAN);
    end(&b);
}

/* ---- S9: a budget of 26M, EBBTIDE_OPERATIONS=off ---------------------------------------------------------------- */

TestSuite(batch, .timeout = 60);

Test(batch, s9_of_three_leaves_while_a_kernel_works_on_one)
{
    struct object b[3], wide;

    begin(100);
    for (unsigned i = 0; i < 3; i++)
        b[i] = make_named(8, (float)i + 1);
    OK(world_add(&world, b[0].at, b[1].at, b[0].bytes / 4, NULL));
    b[0].value = 3;
    wide = make(24, 7);
    cr_expect_eq(stats().evictions, 3);
    cr_expect_eq(stats().saves, 3);
    cr_expect_eq(stats().to_host_bytes, 24 * MIB);
    end(&wide);
    for (unsigned i = 0; i < 3; i++)
        end(&b[i]);
}

/* ---- S11: threads ----------------------------------------------------------------------------------------------- */

TestSuite(threads, .timeout = 600);

enum {
    THREADS = 8,
    HELD = 3 /* blocks of a thread, of up to 8 MiB: all fit */
};

/* What is held for sure, and what may be: the ledger lies between. */
static struct {
    _Atomic uint64_t sure_bytes, possible_bytes, sure_peak_bytes, possible_peak_bytes;
} held;

static void note_peak(_Atomic uint64_t *peak, uint64_t bytes)
{
    uint64_t seen = *peak;

    while (bytes > seen && !atomic_compare_exchange_weak(peak, &seen, bytes))
        ;
}

static void *allocate_and_free(void *seed)
{
    uint64_t random = (uintptr_t)seed, steps = getenv("EBBTIDE_TEST_LONG") ? 10000 : 300;
    struct object own[HELD] = {0};

    OK(cuCtxSetCurrent(world.context));
    for (uint64_t i = 0; i < steps + HELD; i++) {
        struct object *one = &own[i % HELD];

        if (one->at) {
            held.sure_bytes -= one->bytes;
            OK(cuMemFree(one->at));
            held.possible_bytes -= one->bytes;
            one->at = 0;
        }
        if (i >= steps)
            continue;
        random = random * 6364136223846793005u + 1442695040888963407u;
        one->bytes = (1 + (random >> 33) % 4) * 2 * MIB;
        note_peak(&held.possible_peak_bytes, atomic_fetch_add(&held.possible_bytes, one->bytes) + one->bytes);
        OK(cuMemAlloc(&one->at, one->bytes));
        note_peak(&held.sure_peak_bytes, atomic_fetch_add(&held.sure_bytes, one->bytes) + one->bytes);
    }
    return NULL;
}

static unsigned open_files(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned count = 0;

    cr_assert(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

Test(threads, s11_peak_is_the_true_maximum_and_nothing_is_left)
{
    pthread_t thread[THREADS];
    struct ebb_stats after;
    unsigned files;

    begin(100);
    OK(cuMemFree(make(2, 1).at));
    files = open_files();
    cr_assert_eq(ebb_push_peak(), 0);
    for (uintptr_t i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&thread[i], NULL, allocate_and_free, (void *)(i + 1)), 0);
    for (unsigned i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_join(thread[i], NULL), 0);
    after = (struct ebb_stats){.struct_bytes = sizeof after};
    cr_assert_eq(ebb_pop_peak(&after), 0);
    cr_expect_geq(after.tier[EBB_TIER_DEVICE].peak_bytes, held.sure_peak_bytes);
    cr_expect_leq(after.tier[EBB_TIER_DEVICE].peak_bytes, held.possible_peak_bytes);
    cr_expect_eq(after.tier[EBB_TIER_DEVICE].used_bytes, 0);
    cr_expect_eq(after.tier[EBB_TIER_DISK].used_bytes, 0);
    cr_expect_eq(after.evictions, 0);
    cr_expect_eq(open_files(), files);
}

/* ---- reservations that do not fit: EBBTIDE_DISK=off ------------------------------------------------------------- */

TestSuite(over, .timeout = 60);

/* 180 of the device's 200 are held by what has nowhere to go. */
static void fill(struct object b[4])
{
    begin(48); /* and the staging chunk: one block fits */
    for (unsigned i = 0; i < 4; i++)
        b[i] = make_named(60, (float)i);
    cr_assert_eq(used_mib(EBB_TIER_DEVICE), 180);
}

static void empty(struct object b[4])
{
    for (unsigned i = 0; i < 4; i++)
        if (b[i].at)
            end(&b[i]);
}

Test(over, reservation_is_granted_refused_or_only_weighed)
{
    ebb_reservation reservation = 7;
    struct object b[4];
    size_t over = 7;

    fill(b);
    cr_expect_eq(ebb_reserve(40 * MIB, EBB_OVERBOOK_NO, 0, &reservation, &over), -ENOSPC);
    cr_expect_eq(used_mib(EBB_TIER_DEVICE), 180, "nothing is charged");
    cr_expect_eq(reservation, 7);
    cr_expect_eq(over, 7);
    cr_expect_eq(ebb_reserve(40 * MIB, EBB_OVERBOOK_ASK, 0, &reservation, &over), 0);
    cr_expect_eq(over, 20 * MIB);
    cr_expect_eq(used_mib(EBB_TIER_DEVICE), 180);
    cr_expect_eq(reservation, 7);
    cr_expect_eq(ebb_reserve(20 * MIB, EBB_OVERBOOK_ASK, 0, &reservation, &over), 0);
    cr_expect_eq(over, 0);
    cr_expect_eq(ebb_reserve(40 * MIB, EBB_OVERBOOK_YES, 0, &reservation, &over), 0);
    cr_expect_eq(over, 20 * MIB);
    cr_expect_eq(used_mib(EBB_TIER_DEVICE), 220);
    cr_expect_eq(stats().tier[EBB_TIER_DEVICE].operations_bytes, 40 * MIB);
    cr_expect_eq(ebb_reserve_release(reservation, SIZE_MAX), 0);
    cr_expect_eq(used_mib(EBB_TIER_DEVICE), 180);
    empty(b);
}

Test(over, reservation_is_refused_when_nobody_lets_go_in_its_time)
{
    ebb_reservation reservation = 7;
    struct object b[4];
    uint64_t since_ms;
    size_t over = 7;

    fill(b);
    since_ms = now_ms();
    cr_expect_eq(ebb_reserve(40 * MIB, 0, 200, &reservation, &over), -ENOSPC);
    cr_expect_geq(now_ms() - since_ms, 199);
    cr_expect_eq(reservation, 7);
    cr_expect_eq(over, 7);
    cr_expect_eq(used_mib(EBB_TIER_DEVICE), 180);
    empty(b);
}

Test(over, refused_allocation_says_what_is_pinned_and_what_reserved)
{
    FILE *errors = listen_to_errors();
    ebb_reservation reservation;
    struct object b[4];
    CUdeviceptr more;

    fill(b);
    cr_expect_eq(ebb_unregister(ptr(&b[3])), 0);
    cr_expect_eq(ebb_register(ptr(&b[3]), b[3].bytes, 0, "first"), 0);
    pin(&b[3], EBB_RO);
    pin(&b[2], EBB_RO);
    reservation = reserve(10);
    cr_expect_eq(cuMemAlloc(&more, 60 * MIB), CUDA_ERROR_OUT_OF_MEMORY);
    cr_expect_eq(lines_with(errors, "operations: 120 MiB pinned, 10 MiB reserved (in order of pinning: "
                                    "60 MiB first, 60 MiB object); largest"),
                 1);
    cr_expect_eq(ebb_reserve_release(reservation, SIZE_MAX), 0);
    unpin(&b[2], EBB_CLEAN);
    unpin(&b[3], EBB_CLEAN);
    empty(b);
}

static CUresult instantiate(CUgraph graph, CUgraphExec *out)
{
    CUresult result = cuGraphInstantiate(out, graph, 0);

    OK(cuGraphDestroy(graph));
    return result;
}

Test(over, graph_that_is_refused_says_why)
{
    FILE *errors = listen_to_errors();
    CUDA_MEMSET_NODE_PARAMS set = {.elementSize = 4, .width = 1, .height = 1};
    CUDA_MEM_ALLOC_NODE_PARAMS own = {.poolProps = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                                                    .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE}},
                                      .bytesize = 2048 * MIB};
    CUgraphExec executable;
    CUgraphNode node;
    CUgraph graph;
    struct object b[4];

    fill(b);
    OK(cuGraphCreate(&graph, 0));
    for (unsigned i = 0; i < 4; i++) { /* which would all have to stay */
        set.dst = b[i].at;
        OK(cuGraphAddMemsetNode(&node, graph, NULL, 0, &set, world.context));
    }
    cr_expect_eq(instantiate(graph, &executable), CUDA_ERROR_OUT_OF_MEMORY);
    cr_expect_eq(lines_with(errors, "device 0: place in a graph of 60 MiB refused, budget 212 MiB has "), 1);
    OK(cuGraphCreate(&graph, 0));
    OK(cuGraphAddMemAllocNode(&node, graph, NULL, 0, &own));
    if (instantiate(graph, &executable) == CUDA_SUCCESS)
        cr_expect_eq(cuGraphLaunch(executable, NULL), CUDA_ERROR_OUT_OF_MEMORY);
    cr_expect_eq(lines_with(errors, "device 0: graph of 2 GiB refused"), 1);
    empty(b);
}

static void *let_go(void *object)
{
    struct object *block = object;

    OK(cuCtxSetCurrent(world.context));
    pause_ms(100); /* so that the other waits; it is granted all the same when it did not */
    OK(cuMemFree(block->at));
    block->at = 0;
    return NULL;
}

Test(over, reservation_is_granted_when_another_thread_lets_go_in_its_time)
{
    ebb_reservation reservation = 0;
    struct object b[4];
    pthread_t thread;
    uint64_t since_ms;
    size_t over = 7;

    fill(b);
    since_ms = now_ms();
    cr_assert_eq(pthread_create(&thread, NULL, let_go, &b[3]), 0);
    cr_expect_eq(ebb_reserve(40 * MIB, 0, 30000, &reservation, &over), 0);
    cr_expect_lt(now_ms() - since_ms, 20000);
    cr_expect_eq(over, 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_expect_eq(used_mib(EBB_TIER_DEVICE), 160);
    cr_expect_eq(ebb_reserve_release(reservation, SIZE_MAX), 0);
    empty(b);
}
