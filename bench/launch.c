/* SPDX-License-Identifier: Apache-2.0 */
/*
 * launch.c - what a launch pays: finding the blocks among its arguments (L1), and the user section around it (L2).
 *
 * The core alone, on a device of books; then a program with the library preloaded (launch_preload.c).
 */
#include <pthread.h>
#include <stdlib.h>

#include "crowd.h"
#include "engine/core.h"
#include "launch_preload.h"
#include "ledger/state.h"
#include "map.h"
#include "rounds.h"

enum {
    ARGUMENTS = 8,
    THREADS_MAX = 4,
    FEW = 1 << 10,
    MANY = 1 << 20
};

/* ---- look-up ---------------------------------------------------------------------------------------------- */

/* Which addresses are looked up. */
struct look_up {
    uint32_t blocks; /* a power of two */
    uint32_t
        shift; /* 31: each address waits for the look-up before it, which is what a miss costs; 32: none does */
};

static inline uint64_t find_address(const struct look_up *look_up, uint64_t i, uint64_t found)
{
    return crowd_order[i & (look_up->blocks - 1)] * GRANULE_BYTES + (found >> look_up->shift);
}

/* No entry has its top bit set here, but the processor does not know. */
static double table_find(void *arg, uint64_t operations)
{
    const struct look_up look_up = *(const struct look_up *)arg;
    const struct blocks blocks = core.blocks;
    uint64_t base = crowd_address(0), found = 0, missing = 0;
    double since_ns = rounds_cpu_ns();

    for (uint64_t i = 0; i < operations; i++) {
        uint64_t address = base + find_address(&look_up, i, found);

        found = blocks_own(&blocks, address) ? owner_at(&blocks, address_granule(&blocks, address)) : 0;
        missing += !found;
    }
    if (missing)
        abort();
    return (rounds_cpu_ns() - since_ns) / (double)operations;
}

/* What the loops beside it cost without what they are there for. */
static double none_find(void *arg, uint64_t operations)
{
    const struct look_up look_up = *(const struct look_up *)arg;
    uint64_t base = crowd_address(0), found = 0, missing = 0;
    double since_ns = rounds_cpu_ns();

    for (uint64_t i = 0; i < operations; i++) {
        found = (uint32_t)((base + find_address(&look_up, i, found)) / GRANULE_BYTES);
        missing += !found;
    }
    if (missing)
        abort();
    return (rounds_cpu_ns() - since_ns) / (double)operations;
}

/* What the machine asks for a dependent load from an array of the table's size: the least that a look-up can cost. */
static uint32_t *array;

static double array_find(void *arg, uint64_t operations)
{
    const struct look_up look_up = *(const struct look_up *)arg;
    uint64_t base = crowd_address(0), found = 0, missing = 0;
    double since_ns = rounds_cpu_ns();

    for (uint64_t i = 0; i < operations; i++) {
        found = array[(find_address(&look_up, i, found) + base % GRANULE_BYTES) / GRANULE_BYTES];
        missing += !found;
    }
    if (missing)
        abort();
    return (rounds_cpu_ns() - since_ns) / (double)operations;
}

static void array_fill(uint32_t blocks)
{
    array = malloc(blocks * sizeof(*array));
    if (!array)
        abort();
    for (uint32_t i = 0; i < blocks; i++)
        array[i] = i + 1;
}

static double map_find(void *arg, uint64_t operations)
{
    const struct look_up look_up = *(const struct look_up *)arg;
    uint64_t base = crowd_address(0), found = 0, missing = 0;
    double since_ns = rounds_cpu_ns();

    for (uint64_t i = 0; i < operations; i++) {
        found = map_owner(base + find_address(&look_up, i, found));
        missing += !found;
    }
    if (missing)
        abort();
    return (rounds_cpu_ns() - since_ns) / (double)operations;
}

static void measure_look_up(struct rounds *rounds, uint32_t blocks)
{
    struct look_up few = {ARGUMENTS, 32}, many = {blocks, 31};
    const struct variant hot[] = {
        {"no look-up, 8 addresses", none_find, &few, 4000000, {0}},
        {"uthash, 8 addresses", map_find, &few, 1000000, {0}},
        {"block table, 8 addresses", table_find, &few, 4000000, {"L1", GOAL_ADDED, 3}},
    };
    const struct variant cold[] = {
        {"no look-up, every address", none_find, &many, 1000000, {0}},
        {"uthash, every address", map_find, &many, 200000, {0}},
        {"block table, every address", table_find, &many, 1000000, {"L1", GOAL_ADDED, 40}},
        {"bare array, every address", array_find, &many, 1000000, {0}},
    };
    static const struct versus floor = {2, 3, {"L1 to a bare array", GOAL_RATIO, 1.25}};

    array_fill(blocks);
    rounds_run(rounds, "look-up hot", hot, 3);
    rounds->versus = &floor;
    rounds_run(rounds, "look-up cold", cold, 4);
    rounds->versus = NULL;
    free(array);
}

/* ---- launch ----------------------------------------------------------------------------------------------- */

struct launcher {
    void (*launch)(void **parameters);
    uint32_t blocks;   /* that take turns as arguments, a power of two */
    uint32_t threads;  /* that launch at the same time */
    bool apart;        /* each thread uses blocks of its own */
    uint64_t launches; /* by each; set for a round */
    pthread_barrier_t *start;
};

struct worker {
    const struct launcher *launcher;
    uint32_t first; /* of crowd_order */
    double ns;
};

static void nothing(void **parameters)
{
    (void)parameters;
}

/* Through a pointer that the compiler does not know, as the driver's own functions are. */
static void (*volatile driver)(void **parameters) = nothing;

static void bare_launch(void **parameters)
{
    driver(parameters);
}

static void mutex_launch(void **parameters)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

    pthread_mutex_lock(&mutex);
    driver(parameters);
    pthread_mutex_unlock(&mutex);
}

/* As told by a layout: the compiler does not know it either. */
static volatile uint32_t arguments = ARGUMENTS;

/* What the hook of cuLaunchKernel does once it knows the layout of the parameters. */
static void launch(void **parameters)
{
    struct use use;

    use_init(&use, true);
    use_pointed(&use, parameters, arguments);
    if (use_begin(&use) < 0)
        abort();
    driver(parameters);
    use_end(&use);
}

static void *work(void *arg)
{
    struct worker *worker = arg;
    uint32_t blocks = worker->launcher->blocks;
    const uint32_t *order = crowd_order + worker->first;
    uint64_t word[ARGUMENTS], base = crowd_address(0);
    void *parameters[ARGUMENTS];
    double since_ns;

    for (unsigned i = 0; i < ARGUMENTS; i++)
        parameters[i] = &word[i];
    if (worker->launcher->start)
        pthread_barrier_wait(worker->launcher->start);
    since_ns = rounds_cpu_ns();
    for (uint64_t n = 0; n < worker->launcher->launches; n++) {
        for (unsigned i = 0; i < ARGUMENTS; i++)
            word[i] = base + order[(n * ARGUMENTS + i) & (blocks - 1)] * GRANULE_BYTES;
        worker->launcher->launch(parameters);
    }
    worker->ns = rounds_cpu_ns() - since_ns;
    return NULL;
}

/* Processor time of a launch, the mean over the threads: other programs do not count, waiting for lines does. */
static double launches(void *arg, uint64_t operations)
{
    struct launcher launcher = *(const struct launcher *)arg;
    struct worker worker[THREADS_MAX];
    pthread_t thread[THREADS_MAX];
    pthread_barrier_t start;
    double ns = 0;

    launcher.launches = operations;
    if (launcher.threads > 1) {
        pthread_barrier_init(&start, NULL, launcher.threads);
        launcher.start = &start;
    }
    for (uint32_t i = 0; i < launcher.threads; i++) {
        worker[i] = (struct worker){&launcher, launcher.apart ? i * launcher.blocks : 0, 0};
        if (launcher.threads > 1 && pthread_create(&thread[i], NULL, work, &worker[i]) != 0)
            abort();
    }
    if (launcher.threads == 1)
        work(&worker[0]);
    for (uint32_t i = 0; i < launcher.threads; i++) {
        if (launcher.threads > 1)
            pthread_join(thread[i], NULL);
        ns += worker[i].ns / (double)operations / launcher.threads;
    }
    if (launcher.threads > 1)
        pthread_barrier_destroy(&start);
    return ns;
}

static void measure_launch(struct rounds *rounds, uint32_t blocks)
{
    struct launcher bare = {.launch = bare_launch, .blocks = ARGUMENTS, .threads = 1},
                    mutex = {.launch = mutex_launch, .blocks = ARGUMENTS, .threads = 1},
                    hot = {.launch = launch, .blocks = ARGUMENTS, .threads = 1},
                    few = {.launch = launch, .blocks = FEW, .threads = 1},
                    many = {.launch = launch, .blocks = blocks, .threads = 1},
                    hot_4 = {.launch = launch, .blocks = ARGUMENTS, .threads = 4},
                    apart_4 = {.launch = launch, .blocks = ARGUMENTS, .threads = 4, .apart = true},
                    many_4 = {.launch = launch, .blocks = blocks / 4, .threads = 4, .apart = true};
    const struct variant variants[] = {
        {"empty call", launches, &bare, 2000000, {0}},
        {"empty call in a mutex", launches, &mutex, 1000000, {0}},
        {"hot", launches, &hot, 1000000, {"L2", GOAL_ADDED, 35}},
        {"among 10^3", launches, &few, 400000, {0}},
        {"among 10^6", launches, &many, 400000, {"L2", GOAL_ADDED, 500}},
        {"hot, 4 threads, own blocks", launches, &apart_4, 400000, {"L2", GOAL_ADDED, 35}},
        {"hot, 4 threads, same blocks", launches, &hot_4, 400000, {"L2", GOAL_ADDED, 35}},
        {"among 10^6, 4 threads", launches, &many_4, 100000, {"L2", GOAL_ADDED, 500}},
    };

    rounds_run(rounds, "launch, 8 pointers", variants, sizeof(variants) / sizeof(*variants));
}

int main(int argc, char **argv)
{
    struct rounds rounds;
    uint32_t many;

    rounds_init(&rounds, "launch", argc, argv);
    many = rounds.quick || rounds.count ? 1 << 13 : MANY;
    crowd_start(many, NULL);
    map_fill(many);
    measure_look_up(&rounds, many);
    measure_launch(&rounds, many);
    map_empty();
    crowd_finish();
    launch_preload_measure(&rounds);
    return rounds_finish(&rounds);
}
