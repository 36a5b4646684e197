/* SPDX-License-Identifier: Apache-2.0 */
/* link.c - see link.h. */
#include "link.h"

#include <string.h>

#include "child.h"

/* What a run is asked for: the time in which some bytes passed. */
struct run {
    const char *mode; /* of link_program */
    const char *part; /* where both are told, in what it prints or in the statistics */
    const char *gbps; /* of the link, each direction */
    const char *blocks, *budget;
};

/* Nanoseconds per MiB. */
static double run(void *arg, uint64_t passes)
{
    const struct run *run = arg;
    const char *const environment[] = {"SIMGPU_LINK_GBPS",
                                       run->gbps,
                                       "EBBTIDE_DEVICE_BUDGET",
                                       run->budget,
                                       "EBBTIDE_PERIOD_MS",
                                       "0",
                                       "EBBTIDE_DISK",
                                       "off",
                                       "EBBTIDE_LOG",
                                       "error",
                                       NULL};
    char count[24], text[CHILD_TEXT];
    const char *const arguments[] = {run->mode, count, "16", run->blocks, NULL};
    const struct child child = {"link_program", arguments, environment, strcmp(run->mode, "stream") == 0};
    double bytes, ns;

    snprintf(count, sizeof(count), "%llu", (unsigned long long)passes);
    if (!child_run(&child, text))
        return -1;
    bytes = child_figure(text, run->part, "bytes");
    ns = child_figure(text, run->part, "ns");
    return bytes > 0 && ns > 0 ? ns / bytes * (1 << 20) : -1;
}

static void measure(struct rounds *rounds, const char *group, const struct variant *variants)
{
    rounds_run(rounds, group, variants, 2);
}

void link_measure(struct rounds *rounds)
{
    /* Far slower than the processor copies, so that it is the link that is measured. */
    const char *gbps = rounds->quick ? "16" : "0.5";
    struct run out = {"out", "plain", gbps, "8", "64M"}, in = {"in", "plain", gbps, "8", "64M"},
               both = {"both", "plain", gbps, "8", "64M"},
               evict = {"stream", "device_to_host", gbps, "8", "64M"},
               restore = {"stream", "host_to_device", gbps, "8", "64M"},
               whole = {"stream", "plain", gbps, "8", "64M"},
               forty_both = {"both", "plain", gbps, rounds->quick ? "10" : "40", "608M"},
               forty = {"stream", "plain", gbps, forty_both.blocks, rounds->quick ? "152M" : "608M"};
    const struct variant evicts[] = {{"pinned copy to the host, 1 MiB", run, &out, 4, {0}},
                                     {"evict, 1 MiB", run, &evict, 4, {"E1", GOAL_RATIO, 1 / 0.95}}};
    const struct variant restores[] = {{"pinned copy to the device, 1 MiB", run, &in, 4, {0}},
                                       {"restore, 1 MiB", run, &restore, 4, {"E1", GOAL_RATIO, 1 / 0.95}}};
    const struct variant wholes[] = {{"pinned copies, 1 MiB each way", run, &both, 4, {0}},
                                     {"program, 1 MiB used", run, &whole, 4, {"E1", GOAL_RATIO, 1 / 0.9}}};

    /* Blocks used in turn: by age the one that is next has always left, and nothing is used where it lies. */
    const struct variant forties[] = {{"pinned copies, 1 MiB each way", run, &forty_both, 1, {0}},
                                      {"forty blocks in turn, 95 % of their need, 1 MiB used",
                                       run,
                                       &forty,
                                       1,
                                       {"E1", GOAL_RATIO, 1 / 0.9}}};

    if (rounds->count)
        return;
    if (child_missing()) {
        rounds_skip(rounds, "link", child_missing());
        return;
    }
    measure(rounds, "link, out", evicts);
    measure(rounds, "link, in", restores);
    measure(rounds, "link, both ways at once", wholes);
    measure(rounds, "link, forty blocks in turn", forties);
}
