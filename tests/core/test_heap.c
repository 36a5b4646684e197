/* SPDX-License-Identifier: Apache-2.0 */
/* test_heap.c - the heap's account of each thread, with counters that the test moves as an allocator would. */
#include <criterion/criterion.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/machine.h"
#include "base/options.h"
#include "engine/core.h"
#include "heap/heap.h"
#include "ledger/headroom.h"
#include "ledger/shrink.h"
#include "ledger/state.h"

#define KIB     ((uint64_t)1 << 10)
#define MIB     ((uint64_t)1 << 20)
#define THREADS 8
#define OBJECTS 1024
#define LARGEST 65536

TestSuite(heap, .timeout = 60);

static struct options options;
static uint64_t limit_bytes;

static void begin(uint64_t bytes)
{
    options_init(&options);
    options.host_budget = (struct size_spec){.kind = SIZE_BYTES, .bytes = bytes};
    heap_start(&options);
    limit_bytes = bytes;
}

struct heap_thread {
    pthread_t thread;
    struct heap_account account;
    struct heap_counters counters;
    unsigned seed;
    bool dawdles;
    unsigned ways_out;        /* requests that the fast path could not serve */
    uint32_t object[OBJECTS]; /* bytes, 0: none */
};
static struct heap_thread threads[THREADS + 1];

static void join(struct heap_thread *thread, unsigned seed)
{
    thread->seed = seed;
    thread->counters = (struct heap_counters){.slow_at = UINT64_MAX, .free_slow_at = UINT64_MAX};
    heap_join(&thread->account, &thread->counters);
    heap_enter(&thread->account);
    heap_rearm(&thread->account);
    heap_exit(&thread->account);
}

/* The budget of the host is a share of the machine's memory, as by default. */
static void start_with_a_share(struct heap_thread *first)
{
    options_init(&options);
    heap_start(&options);
    join(first, 1);
}

static void add(uint64_t *counter, uint64_t bytes)
{
    __atomic_store_n(counter, *counter + bytes, __ATOMIC_RELAXED);
}

/* Lose the processor now and then, where it could matter. */
static void dawdle(struct heap_thread *thread)
{
    if (thread->dawdles && rand_r(&thread->seed) % 16 == 0)
        sched_yield();
}

/* An allocator's fast path, and its way out of it. */
static bool take(struct heap_thread *thread, uint64_t bytes)
{
    struct heap_counters *counters = &thread->counters;
    bool is_admitted;

    if (bytes <= (uint64_t)HEAP_FAST_MOST_BYTES &&
        counters->allocated + bytes < __atomic_load_n(&counters->slow_at, __ATOMIC_RELAXED)) {
        dawdle(thread);
        add(&counters->allocated, bytes);
        return true;
    }
    thread->ways_out++;
    heap_enter(&thread->account);
    is_admitted = heap_take(&thread->account, bytes);
    dawdle(thread);
    if (is_admitted)
        add(&counters->allocated, bytes);
    heap_rearm(&thread->account);
    heap_exit(&thread->account);
    return is_admitted;
}

static void settle(struct heap_thread *thread)
{
    heap_enter(&thread->account);
    heap_settle(&thread->account);
    heap_exit(&thread->account);
}

static uint64_t charged(void)
{
    uint64_t bytes;

    lock_acquire(&core.lock);
    bytes = core.host_budget.used_bytes;
    lock_release(&core.lock);
    return bytes;
}

/* ---- threads that hold credit and sleep ------------------------------------------------------------------ */

static pthread_barrier_t have_credit, may_end;

static void *take_a_little(void *arg)
{
    struct heap_thread *thread = arg;

    join(thread, 1);
    cr_expect(take(thread, 1000));
    pthread_barrier_wait(&have_credit);
    pthread_barrier_wait(&may_end);
    add(&thread->counters.freed, 1000);
    heap_leave(&thread->account);
    return NULL;
}

static void start_sleepers(void)
{
    pthread_barrier_init(&have_credit, NULL, THREADS + 1);
    pthread_barrier_init(&may_end, NULL, THREADS + 1);
    for (unsigned i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i].thread, NULL, take_a_little, &threads[i]), 0);
    pthread_barrier_wait(&have_credit);
}

static void end_sleepers(void)
{
    pthread_barrier_wait(&may_end);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i].thread, NULL);
}

Test(heap, credit_of_threads_that_sleep_is_used_before_one_is_refused)
{
    struct heap_thread *mine = &threads[THREADS];
    uint64_t taken = 0;

    begin(1024 * MIB);
    start_sleepers();
    join(mine, 1);
    cr_expect_gt(shrinker->unused(), 256 * KIB, "the threads hold no credit worth the name");
    while (take(mine, 1000))
        taken += 1000;
    cr_expect_eq(heap_bytes(), taken + THREADS * 1000);
    cr_expect_leq(heap_bytes(), limit_bytes);
    cr_expect_gt(heap_bytes(), limit_bytes - THREADS * HEAP_FAST_MOST_BYTES - 1000);
    add(&mine->counters.freed, taken);
    settle(mine);
    cr_expect(take(mine, 1000), "what was freed can be had again");
    add(&mine->counters.freed, 1000);
    heap_leave(&mine->account);
    end_sleepers();
    cr_expect_eq(heap_bytes(), 0);
}

Test(heap, gives_all_that_nobody_holds_to_another_class)
{
    begin(1024 * MIB);
    start_sleepers();
    cr_expect_gt(charged(), THREADS * 1000 + 256 * KIB);
    cr_expect(shrinker->give_back());
    cr_expect_leq(charged(), THREADS * (1000 + (uint64_t)HEAP_FAST_MOST_BYTES));
    cr_expect_eq(core_host_charge(HOST_PINNED, 1023 * MIB), 0);
    core_host_credit(HOST_PINNED, 1023 * MIB);
    end_sleepers();
    shrinker->give_back();
    cr_expect_eq(charged(), 0);
}

/* What is away of an object is not charged while others have the room, and not when the object is freed either. */
Test(heap, what_is_away_of_a_freed_object_comes_back_as_room_for_nobody)
{
    struct heap_thread *mine = &threads[0], *other = &threads[1];

    begin(64 * MIB);
    join(mine, 1);
    join(other, 1);
    cr_assert(take(mine, 40 * MIB));
    core_host_credit(HOST_HEAP, 30 * MIB);
    cr_assert_eq(core_host_charge(HOST_PINNED, 50 * MIB), 0);
    heap_enter(&other->account);
    heap_forgo(&other->account, 30 * MIB);
    add(&other->counters.freed, 40 * MIB);
    heap_settle(&other->account);
    heap_exit(&other->account);
    cr_expect_eq(heap_bytes(), 0);
    cr_expect_leq(shrinker->unused(), charged() - 50 * MIB);
    while (take(other, 10 * KIB))
        ;
    cr_expect_leq(heap_bytes() + 50 * MIB, limit_bytes);
    cr_expect_gt(heap_bytes() + 51 * MIB, limit_bytes);
    cr_expect_leq(core.host_budget.peak_bytes, limit_bytes);
    add(&other->counters.freed, heap_bytes());
    settle(other);
    heap_leave(&mine->account);
    heap_leave(&other->account);
    shrinker->give_back();
    cr_expect_eq(charged(), 50 * MIB);
}

/* ---- a thread that is busy with little ------------------------------------------------------------------- */

/* How often it leaves the fast path for 64 MiB, 4 KiB at a time. */
static unsigned leaves(struct heap_thread *thread)
{
    thread->ways_out = 0;
    for (unsigned i = 0; i < 16 * KIB; i++) {
        cr_assert(take(thread, 4 * KIB));
        add(&thread->counters.freed, 4 * KIB);
    }
    return thread->ways_out;
}

Test(heap, a_busy_thread_leaves_the_fast_path_rarely)
{
    struct heap_thread *mine = &threads[THREADS];

    join(mine, 1);
    cr_expect_leq(leaves(mine), 150, "before the budget starts: %u", mine->ways_out);
    cr_expect_not(core_host_active());
    options_init(&options);
    heap_start(&options);
    cr_expect_leq(leaves(mine), 150, "with a budget: %u", mine->ways_out);
}

Test(heap, a_busy_thread_is_topped_up_when_its_credit_has_shrunk)
{
    struct heap_thread *mine = &threads[THREADS];

    begin(1024 * MIB);
    join(mine, 1);
    cr_assert(take(mine, 4 * KIB));
    while (mine->account.limit - mine->counters.allocated >= 8 * KIB)
        cr_assert(take(mine, 4 * KIB));
    cr_expect_leq(leaves(mine), 150, "%u", mine->ways_out);
}

/* ---- threads that race for the last bytes ---------------------------------------------------------------- */

static _Atomic uint64_t held; /* at most what is held: added to after the fact, taken from before it */
static _Atomic uint64_t refusals, passed_by;
static unsigned long operations;

/* Half of an object goes to disk, and then it is freed. */
static void free_half_away(struct heap_thread *thread, uint32_t bytes)
{
    uint32_t away_bytes = bytes / 2;

    atomic_fetch_sub(&held, away_bytes);
    core_host_credit(HOST_HEAP, away_bytes);
    dawdle(thread);
    atomic_fetch_sub(&held, bytes - away_bytes);
    heap_enter(&thread->account);
    heap_forgo(&thread->account, away_bytes);
    dawdle(thread);
    add(&thread->counters.freed, bytes);
    heap_settle(&thread->account);
    heap_exit(&thread->account);
}

static void *race(void *arg)
{
    struct heap_thread *thread = arg;

    join(thread, (unsigned)(thread - threads) + 1);
    thread->dawdles = true;
    for (unsigned long i = 0; i < operations; i++) {
        uint32_t *object = &thread->object[(unsigned)rand_r(&thread->seed) % OBJECTS];
        uint64_t now;

        if (*object && i % 64 == 1) {
            free_half_away(thread, *object);
            *object = 0;
        } else if (*object) {
            atomic_fetch_sub(&held, *object);
            add(&thread->counters.freed, *object);
            *object = 0;
            if (i % 64 == 0)
                settle(thread);
        } else {
            uint32_t bytes = (uint32_t)rand_r(&thread->seed) % LARGEST + 1;

            if (!take(thread, bytes)) {
                atomic_fetch_add(&refusals, 1);
                continue;
            }
            *object = bytes;
            now = atomic_fetch_add(&held, bytes) + bytes;
            if (now > limit_bytes)
                atomic_store(&passed_by, now - limit_bytes);
        }
    }
    return NULL;
}

Test(heap, threads_that_race_at_the_budget_never_pass_it_and_lose_no_byte)
{
    begin(64 * MIB);
    operations = getenv("EBBTIDE_TEST_LONG") ? 10000000 : 100000;
    for (unsigned i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i].thread, NULL, race, &threads[i]), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i].thread, NULL);
    cr_expect_eq(passed_by, 0, "over the budget by %llu bytes", (unsigned long long)passed_by);
    cr_expect_gt(refusals, 0, "the budget was never reached");
    cr_expect_eq(heap_bytes(), held);
    cr_expect_leq(charged(), limit_bytes);
    for (unsigned i = 0; i < THREADS; i++) {
        for (unsigned n = 0; n < OBJECTS; n++)
            add(&threads[i].counters.freed, threads[i].object[n]);
        heap_leave(&threads[i].account);
    }
    cr_expect_eq(heap_bytes(), 0);
    shrinker->give_back();
    cr_expect_eq(charged(), 0);
}

/* ---- the start ------------------------------------------------------------------------------------------- */

/* Later the program may be in a sandbox, or on a small stack. */
Test(heap, a_share_of_the_machine_is_looked_up_when_the_heap_starts)
{
    struct heap_thread *mine = &threads[THREADS];
    struct budget figures;

    start_with_a_share(mine);
    cr_expect(core_host_active());
    cr_assert(take(mine, 308 * KIB));
    headroom_host_budget(&figures);
    cr_expect_eq(figures.class_bytes[HOST_HEAP], 308 * KIB);
    cr_expect_lt(figures.limit_bytes, machine_memory_bytes(""));
}

/* What slots keep is given out and taken back without a word to the budget, also as long as there is none. */
Test(heap, slots_serve_large_objects_without_settling_before_the_budget_starts)
{
    const uint64_t untouched = UINT64_MAX - 1, bytes = 16 * KIB;
    struct heap_thread *mine = &threads[0];
    unsigned settled = 0;

    join(mine, 1);
    cr_assert(take(mine, bytes));
    for (unsigned i = 0; i < 100; i++) {
        mine->counters.slow_at = untouched; /* whoever settles puts the limit there again */
        heap_keep(&mine->account, bytes);
        settled += mine->counters.slow_at != untouched;
        cr_assert(heap_take(&mine->account, bytes));
        heap_unkeep(&mine->account, bytes);
    }
    cr_expect_leq(settled, 1, "%u of 100", settled);
    cr_expect_not(core_host_active());
}

Test(heap, the_first_request_of_all_can_be_over_a_share)
{
    struct heap_thread *mine = &threads[THREADS];

    start_with_a_share(mine);
    cr_expect_not(take(mine, machine_memory_bytes("")));
    cr_expect(take(mine, 4 * KIB));
}

Test(heap, whoever_starts_the_host_opens_the_heap)
{
    struct heap_thread *mine = &threads[THREADS];
    struct budget figures;

    start_with_a_share(mine);
    cr_assert(take(mine, 4 * KIB));
    core_host_start(&options);
    headroom_host_budget(&figures);
    cr_expect_eq(figures.class_bytes[HOST_HEAP], 4 * KIB);
    cr_expect_not(take(mine, machine_memory_bytes("")));
}
