/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc.c - what a block costs that is allocated and freed again (A1), what shares one (A3), and what a program pays for
 * being started with the library (B1).
 *
 * The core alone, on a device of books, where the freed block comes back from the recycler; then programs with the
 * library preloaded.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "child.h"
#include "crowd.h"
#include "engine/core.h"
#include "rounds.h"

enum {
    THREADS_MAX = 4,
    ALIVE = 1 << 10,
    SMALL_ALIVE = 10000,
    SMALL_MOST = 64 << 10,
};

/* ---- the core --------------------------------------------------------------------------------------------- */

struct pairs {
    uint64_t bytes;
    uint32_t threads;
    uint64_t context;    /* with what it has already */
    uint64_t operations; /* of each thread; set for a round */
};

struct worker {
    const struct pairs *pairs;
    double ns;
};

static void demand(int error, uint64_t bytes)
{
    if (error) {
        fprintf(stderr, "alloc: an allocation of %llu bytes: error %d\n", (unsigned long long)bytes, error);
        abort();
    }
}

static void pair(const struct pairs *pairs)
{
    uint64_t address;

    int error = core_allocate(0, pairs->bytes, pairs->context, NULL, true, &address);

    if (!error)
        error = core_free(address);
    demand(error, pairs->bytes);
}

static void *work(void *arg)
{
    struct worker *worker = arg;
    double since_ns = rounds_cpu_ns();

    for (uint64_t i = 0; i < worker->pairs->operations; i++)
        pair(worker->pairs);
    worker->ns = rounds_cpu_ns() - since_ns;
    return NULL;
}

/* Processor time of a pair, the mean over the threads. */
static double core_pairs(void *arg, uint64_t operations)
{
    struct pairs pairs = *(const struct pairs *)arg;
    struct worker worker[THREADS_MAX];
    pthread_t thread[THREADS_MAX];
    double ns = 0;

    pairs.operations = operations;
    for (uint32_t i = 0; i < pairs.threads; i++) {
        worker[i] = (struct worker){&pairs, 0};
        if (pairs.threads > 1 && pthread_create(&thread[i], NULL, work, &worker[i]) != 0)
            abort();
    }
    if (pairs.threads == 1)
        work(&worker[0]);
    for (uint32_t i = 0; i < pairs.threads; i++) {
        if (pairs.threads > 1)
            pthread_join(thread[i], NULL);
        ns += worker[i].ns / (double)operations / pairs.threads;
    }
    return ns;
}

static double malloc_pairs(void *arg, uint64_t operations)
{
    double since_ns = rounds_cpu_ns();

    for (uint64_t i = 0; i < operations; i++) {
        void *volatile memory = malloc(*(const size_t *)arg);

        free(memory);
    }
    return (rounds_cpu_ns() - since_ns) / (double)operations;
}

static void measure_core(struct rounds *rounds)
{
    size_t small = 64;
    struct pairs one = {GRANULE_BYTES, 1, 0, 0}, large = {32 * GRANULE_BYTES, 1, 0, 0},
                 four = {GRANULE_BYTES, 4, 0, 0};
    const struct variant variants[] = {
        {"malloc and free of 64 bytes", malloc_pairs, &small, 1000000, {0}},
        {"block of 2 MiB", core_pairs, &one, 100000, {"A1", GOAL_NS, 2000}},
        {"block of 64 MiB", core_pairs, &large, 100000, {"A1", GOAL_NS, 2000}},
        {"block of 2 MiB, 4 threads", core_pairs, &four, 50000, {"A1", GOAL_NS, 2000}},
    };

    crowd_start(ALIVE, NULL);
    rounds_run(rounds, "allocate and free", variants, sizeof(variants) / sizeof(*variants));
    crowd_finish();
}

/* Allocations of all sizes, which stay. */
static void small_crowd(uint64_t context)
{
    uint64_t random = 1, address;

    for (unsigned i = 0; i < SMALL_ALIVE; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        demand(core_allocate(0, 1 + (random >> 33) % SMALL_MOST, context, NULL, true, &address), SMALL_MOST);
    }
}

static void measure_small(struct rounds *rounds)
{
    const struct goal goal = {"A3", GOAL_RATIO, 2.5};
    struct pairs block = {GRANULE_BYTES, 1, 0, 0}, least = {256, 1, 1, 0}, some = {4 << 10, 1, 1, 0},
                 most = {64 << 10, 1, 1, 0}, large = {1 << 20, 1, 1, 0}, alone = {64 << 10, 1, 2, 0},
                 four = {64 << 10, 4, 1, 0};
    const struct variant variants[] = {
        {"block of 2 MiB", core_pairs, &block, 100000, {0}},
        {"256 bytes", core_pairs, &least, 100000, goal},
        {"4 KiB", core_pairs, &some, 100000, goal},
        {"64 KiB", core_pairs, &most, 100000, goal},
        {"1 MiB", core_pairs, &large, 100000, goal},
        {"64 KiB, the only one of its context", core_pairs, &alone, 100000, goal},
        {"64 KiB, 4 threads", core_pairs, &four, 50000, {0}},
    };

    crowd_start(ALIVE, NULL);
    small_crowd(1);
    rounds_run(rounds, "allocate and free among 10^4 small ones", variants,
               sizeof(variants) / sizeof(*variants));
    crowd_finish();
}

/* ---- programs --------------------------------------------------------------------------------------------- */

struct run {
    const char *program;
    bool preloaded;
    bool wall;    /* the time on the wall, else of the processor */
    bool ordered; /* in the order of a stream */
};

static double program_pairs(void *arg, uint64_t operations)
{
    static const char *const environment[] = {"EBBTIDE_LOG", "error", NULL};
    const struct run *run = arg;
    char pairs[24], text[CHILD_TEXT];
    const char *const arguments[] = {"1000", pairs, run->ordered ? "ordered" : NULL, NULL};
    const struct child child = {run->program, arguments, environment, run->preloaded};

    snprintf(pairs, sizeof(pairs), "%llu", (unsigned long long)operations);
    return child_run(&child, text) ? child_figure(text, "pair_ns", NULL) : -1;
}

static double start(void *arg, uint64_t operations)
{
    static const char *const none[] = {NULL};
    const struct run *run = arg;
    const struct child child = {run->program, none, none, run->preloaded};
    double sum_ns = 0;

    for (uint64_t i = 0; i < operations; i++) {
        double cpu_ns, wall_ns;

        if (!child_time(&child, &cpu_ns, &wall_ns))
            return -1;
        sum_ns += run->wall ? wall_ns : cpu_ns;
    }
    return sum_ns / (double)operations;
}

/* Beside the block of the core alone: what the hooks and the simulated driver take is in it. */
static void measure_ordered(struct rounds *rounds)
{
    struct pairs one = {GRANULE_BYTES, 1, 0, 0};
    struct run ordered = {.program = "alloc_program", .preloaded = true, .ordered = true};
    const struct variant variants[] = {
        {"block of 2 MiB", core_pairs, &one, 100000, {0}},
        {"in the order of a stream", program_pairs, &ordered, 100000, {"A2", GOAL_RATIO, 8}},
    };

    crowd_start(ALIVE, NULL);
    rounds_run(rounds, "allocate and free in order", variants, 2);
    crowd_finish();
}

static void measure_programs(struct rounds *rounds)
{
    struct run plain = {.program = "alloc_program"},
               preloaded = {.program = "alloc_program", .preloaded = true},
               cpu_plain = {.program = "/bin/true"},
               cpu_preloaded = {.program = "/bin/true", .preloaded = true},
               wall_plain = {.program = "/bin/true", .wall = true},
               wall_preloaded = {.program = "/bin/true", .preloaded = true, .wall = true};
    const struct variant pairs[] = {
        {"simulated driver alone", program_pairs, &plain, 2000, {0}},
        {"with the library", program_pairs, &preloaded, 2000, {0}},
    };
    const struct variant cpu[] = {
        {"/bin/true", start, &cpu_plain, 20, {0}},
        {"/bin/true with the library", start, &cpu_preloaded, 20, {"B1", GOAL_ADDED, 600000}},
    };
    const struct variant wall[] = {
        {"/bin/true", start, &wall_plain, 20, {0}},
        {"/bin/true with the library", start, &wall_preloaded, 20, {"B1", GOAL_ADDED, 600000}},
    };

    rounds_run(rounds, "cuMemAlloc and cuMemFree of 2 MiB, program, 10^3 blocks", pairs, 2);
    rounds_run(rounds, "start, processor time", cpu, 2);
    rounds_run(rounds, "start, time on the wall", wall, 2);
}

int main(int argc, char **argv)
{
    struct rounds rounds;

    rounds_init(&rounds, "alloc", argc, argv);
    measure_core(&rounds);
    measure_small(&rounds);
    if (!rounds.count && child_missing())
        rounds_skip(&rounds, "programs", child_missing());
    else if (!rounds.count) {
        measure_ordered(&rounds);
        measure_programs(&rounds);
    }
    return rounds_finish(&rounds);
}
