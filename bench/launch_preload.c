/* SPDX-License-Identifier: Apache-2.0 */
/* launch_preload.c - see launch_preload.h. */
#include "launch_preload.h"

#include "child.h"

struct run {
    const char *blocks, *threads;
    bool preloaded;
};

static double run(void *arg, uint64_t operations)
{
    /* Twice what the most blocks take; none of it is touched. */
    static const char *const environment[] = {"SIMGPU_MEMORY", "80G", "EBBTIDE_LOG", "error", NULL};
    const struct run *run = arg;
    char launches[24], text[CHILD_TEXT];
    const char *const arguments[] = {run->blocks, launches, run->threads, NULL};
    const struct child child = {"launch_program", arguments, environment, run->preloaded};

    snprintf(launches, sizeof(launches), "%llu", (unsigned long long)operations);
    return child_run(&child, text) ? child_figure(text, "launch_ns", NULL) : -1;
}

static void measure(struct rounds *rounds, const char *group, const char *blocks, const char *threads)
{
    struct run plain = {blocks, threads, false}, preloaded = {blocks, threads, true};
    const struct variant variants[] = {
        {"without the library", run, &plain, 3200, {0}},
        {"with it", run, &preloaded, 3200, {"L2", GOAL_ADDED, 500}},
    };

    rounds_run(rounds, group, variants, 2);
}

void launch_preload_measure(struct rounds *rounds)
{
    const char *few = rounds->quick ? "100" : "1000", *many = rounds->quick ? "200" : "20000";

    if (rounds->count)
        return;
    if (child_missing()) {
        rounds_skip(rounds, "launch in a program", child_missing());
        return;
    }
    measure(rounds, "launch, program, 10^3 blocks", few, "1");
    measure(rounds, "launch, program, 2*10^4 blocks", many, "1");
    measure(rounds, "launch, program, 10^3 blocks, 4 threads", few, "4");
    measure(rounds, "launch, program, 2*10^4 blocks, 4 threads", many, "4");
}
