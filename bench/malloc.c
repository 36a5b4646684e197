/* SPDX-License-Identifier: Apache-2.0 */
/*
 * malloc.c - the library's malloc against libc's and against jemalloc's, preloaded as it is installed (M1, M2), and
 * whole programs (M3).
 *
 * Each measurement is a program of its own (malloc_program.c), which does not know what serves it.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "child.h"
#include "malloc_programs.h"
#include "rounds.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

/* What is left of it near the budget, beside what the pairs themselves need. */
#define BUDGET      "96M"
#define BUDGET_SIZE (96 * MIB)
#define LEFT        (1 * MIB)

enum {
    PAIRS = 1 << 18,
    LARGE_PAIRS = 1 << 14 /* stock jemalloc takes a microsecond for each */
};

static const char *const stock_jemalloc[] = {"/usr/lib/x86_64-linux-gnu/libjemalloc.so.2",
                                             "/usr/lib/aarch64-linux-gnu/libjemalloc.so.2",
                                             "/usr/lib/libjemalloc.so.2"};

enum server {
    LIBC,
    JEMALLOC,
    OURS
};

struct pairs {
    enum server server;
    size_t bytes;
    unsigned threads;
    bool near_budget;
    bool by_operators; /* of C++ */
};

static const char *jemalloc_path(void)
{
    for (size_t i = 0; i < sizeof(stock_jemalloc) / sizeof(stock_jemalloc[0]); i++)
        if (access(stock_jemalloc[i], R_OK) == 0)
            return stock_jemalloc[i];
    return NULL;
}

/* Nanoseconds per pair. */
static double run(void *arg, uint64_t count)
{
    const struct pairs *pairs = arg;
    const char *jemalloc = pairs->server == JEMALLOC ? jemalloc_path() : NULL;
    const char *const environment[] = {"EBBTIDE_HOST_BUDGET", pairs->near_budget ? BUDGET : "off",
                                       jemalloc ? "LD_PRELOAD" : NULL, jemalloc, NULL};
    char bytes[24], threads[24], times[24], ballast[24], text[CHILD_TEXT];
    const char *const arguments[] = {
        pairs->by_operators ? "operators" : "pairs", bytes, threads, times, ballast, NULL};
    const struct child child = {"malloc_program", arguments, environment, pairs->server == OURS};

    if (pairs->server == JEMALLOC && !jemalloc)
        return -1;
    snprintf(bytes, sizeof(bytes), "%zu", pairs->bytes);
    snprintf(threads, sizeof(threads), "%u", pairs->threads);
    snprintf(times, sizeof(times), "%llu", (unsigned long long)count);
    snprintf(ballast, sizeof(ballast), "%zu",
             pairs->near_budget ? BUDGET_SIZE - LEFT - 2 * pairs->threads * pairs->bytes : 0);
    return child_run(&child, text) ? child_figure(text, "ns", NULL) : -1;
}

static void name_group(char name[64], const struct pairs *pairs)
{
    size_t bytes = pairs->bytes;
    const char *unit = bytes >= MIB ? " MiB" : bytes >= KIB ? " KiB" : " B";

    bytes /= bytes >= MIB ? MIB : bytes >= KIB ? KIB : 1;
    snprintf(name, 64, "%zu%s%s, %u thread%s%s", bytes, unit, pairs->by_operators ? " by new" : "",
             pairs->threads, pairs->threads > 1 ? "s" : "", pairs->near_budget ? ", near the budget" : "");
}

static void measure(struct rounds *rounds, struct pairs pairs)
{
    struct pairs libc = pairs, jemalloc = pairs, ours = pairs;
    uint64_t count = pairs.bytes > 14 * KIB ? LARGE_PAIRS : PAIRS;
    struct variant variants[] = {{.name = "libc", .measure = run, .arg = &libc, .operations = count},
                                 {.name = "jemalloc", .measure = run, .arg = &jemalloc, .operations = count},
                                 {.name = "the library", .measure = run, .arg = &ours, .operations = count}};
    struct versus beside = {.variant = OURS, .anchor = JEMALLOC};
    char name[64];

    jemalloc.server = JEMALLOC;
    ours.server = OURS;
    if (pairs.by_operators) {
        variants[OURS].goal = (struct goal){"M1", GOAL_RATIO, pairs.near_budget ? 0.80 : 0.75};
    } else if (pairs.bytes <= 4 * KIB) {
        variants[OURS].goal = (struct goal){"M1", GOAL_RATIO, pairs.near_budget ? 0.80 : 0.72};
        beside.goal = (struct goal){"M1", GOAL_RATIO, pairs.near_budget ? 1.15 : 1.05};
        rounds->versus = &beside;
    } else if (pairs.bytes >= 16 * KIB) {
        variants[OURS].goal = (struct goal){"M2", GOAL_RATIO, pairs.near_budget ? 0.80 : 0.60};
    }
    name_group(name, &pairs);
    rounds_run(rounds, name, variants, 3);
    rounds->versus = NULL;
}

int main(int argc, char **argv)
{
    static const size_t sizes[] = {16,       64,       256,      1 * KIB,   4 * KIB, 8 * KIB,
                                   12 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, 1 * MIB, 4 * MIB};
    struct rounds rounds;

    rounds_init(&rounds, "malloc", argc, argv);
    for (int near_budget = 0; near_budget < 2; near_budget++)
        for (unsigned threads = 1; threads <= 2; threads++)
            for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i += rounds.quick ? 4 : 1)
                measure(&rounds, (struct pairs){LIBC, sizes[i], threads, near_budget, false});
    for (int near_budget = 0; near_budget < 2; near_budget++)
        for (size_t i = 0; i < 5; i += rounds.quick ? 4 : 1)
            measure(&rounds, (struct pairs){LIBC, sizes[i], 1, near_budget, true});
    malloc_programs_measure(&rounds);
    return rounds_finish(&rounds);
}
