/* SPDX-License-Identifier: Apache-2.0 */
/* replay_time.c - see replay_time.h. */
#include "replay_time.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "child.h"

enum {
    ROUNDS_MOST = 31,
    FAULT_NS = 30000, /* of 2 MiB, beside what the link takes, which carries nothing else meanwhile */
    MAP_NS = 5000     /* of a call that maps, at 25 GB/s */
};

#define GBPS 25.0 /* of the link that traces are made for */

static const struct way {
    const char *name, *policy; /* NULL: without the library */
    bool is_managed, is_large;
} ways[] = {{"lru", "lru", false, false},
            {"lookahead", "lookahead", false, false},
            {"managed", NULL, true, false},
            {"large enough", NULL, false, true}};

enum {
    LRU,
    LOOK,
    PAGED,
    LARGE,
    WAYS
};

struct run {
    double ns, moved_bytes, pauses;
};

static struct run run(const struct replay_time *time, const struct way *way, const char *path,
                      uint64_t budget_mib)
{
    double stretch = GBPS / time->gbps;
    char text[CHILD_TEXT], budget[24], gbps[24], kernel[24], fault[24], map[24];
    const char *const environment[] = {"SIMGPU_LINK_GBPS",
                                       gbps,
                                       "SIMGPU_KERNEL_SCALE",
                                       kernel,
                                       "SIMGPU_FAULT_NS",
                                       fault,
                                       "SIMGPU_VMM_NS",
                                       map,
                                       "SIMGPU_MEMORY",
                                       way->policy || way->is_large ? "128G" : budget,
                                       "EBBTIDE_DEVICE_BUDGET",
                                       budget,
                                       "EBBTIDE_POLICY",
                                       way->policy ? way->policy : "lru",
                                       "EBBTIDE_LOG",
                                       "error",
                                       NULL};
    const char *const arguments[] = {path, way->is_managed ? "managed" : "plain", NULL};
    const struct child child = {"replay_program", arguments, environment, way->policy != NULL};
    struct run result = {.ns = -1};

    snprintf(budget, sizeof(budget), "%lluM", (unsigned long long)budget_mib);
    snprintf(gbps, sizeof(gbps), "%.3f", time->gbps);
    snprintf(kernel, sizeof(kernel), "%.4f", stretch / time->part);
    snprintf(fault, sizeof(fault), "%.0f", FAULT_NS * stretch);
    snprintf(map, sizeof(map), "%.0f", MAP_NS * stretch / time->part);
    if (!child_run(&child, text))
        return result;
    result.ns = child_figure(text, "launches", "ns");
    if (way->policy)
        result.pauses = child_figure(text, "drains", NULL);
    if (way->policy)
        result.moved_bytes =
            child_figure(text, "device_to_host", "bytes") + child_figure(text, "host_to_device", "bytes");
    return result;
}

static int by_size(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;

    return (a > b) - (a < b);
}

static double median(double *samples, unsigned count)
{
    qsort(samples, count, sizeof(*samples), by_size);
    return samples[count / 2];
}

/* The median over the rounds of what one way takes by what another does; 0: by nothing. */
static double ratio(struct run (*round)[WAYS], unsigned rounds, unsigned way,
                    double (*of)(const struct run *))
{
    double samples[ROUNDS_MOST];

    for (unsigned i = 0; i < rounds; i++)
        samples[i] = of(&round[i][way]) / of(&round[i][LRU]);
    return median(samples, rounds);
}

static double ns_of(const struct run *run)
{
    return run->ns;
}

/* The same of their shortest times: what else the machine does counts for less. */
static double best_ratio(struct run (*round)[WAYS], unsigned rounds, unsigned way)
{
    double best[2] = {round[0][LRU].ns, round[0][way].ns};

    for (unsigned i = 1; i < rounds; i++) {
        best[0] = round[i][LRU].ns < best[0] ? round[i][LRU].ns : best[0];
        best[1] = round[i][way].ns < best[1] ? round[i][way].ns : best[1];
    }
    return best[1] / best[0];
}

static double bytes_of(const struct run *run)
{
    return run->moved_bytes > 0 ? run->moved_bytes : 1;
}

void replay_time_head(const struct replay_time *time)
{
    printf("blocks of a part 1/%u, link %.3g GB/s each way, kernels times %.3g: %u rounds\n", time->part,
           time->gbps, GBPS / time->gbps / time->part, time->rounds);
    printf("%-18s %6s %15s %8s %9s %9s %9s %11s %11s %9s %9s %9s %9s\n", "trace", "budget", "launches", "MiB",
           "lru ms", "lru MiB", "look MiB", "lru pauses", "look pauses", "look", "best", "managed", "large");
}

void replay_time_cell(struct replay_time *time, const struct trace *trace, uint32_t whole, unsigned percent)
{
    struct run round[ROUNDS_MOST][WAYS] = {0};
    unsigned rounds = time->rounds < ROUNDS_MOST ? time->rounds : ROUNDS_MOST;
    uint64_t budget_mib = 2 * (trace->need * percent / 100);
    char path[] = "/tmp/bench-replay-XXXXXX", launches[32];
    int file = mkstemp(path);
    double samples[ROUNDS_MOST], look, paged;
    bool is_whole = file >= 0;

    if (file >= 0)
        close(file);
    trace_write(trace, path);
    for (unsigned i = 0; i < rounds && is_whole; i++)
        for (unsigned k = 0; k < WAYS && is_whole; k++) {
            unsigned way = (i + (i % 2 ? WAYS - 1 - k : k)) % WAYS;

            round[i][way] = run(time, &ways[way], path, budget_mib);
            is_whole = round[i][way].ns > 0;
            samples[i] = round[i][LRU].ns;
        }
    unlink(path);
    snprintf(launches, sizeof(launches), "%u of %u", trace->launches, whole);
    printf("%-18s %4u %% %15s %8llu", trace->name, percent, launches, (unsigned long long)budget_mib);
    if (!is_whole) {
        printf(" failed\n");
        time->failed++;
        return;
    }
    look = ratio(round, rounds, LOOK, ns_of);
    paged = ratio(round, rounds, PAGED, ns_of);
    printf(" %9.1f %9.0f %9.0f %11.0f %11.0f %9.3f %9.3f %9.3f %9.3f\n", median(samples, rounds) / 1e6,
           round[0][LRU].moved_bytes / (1 << 20),
           ratio(round, rounds, LOOK, bytes_of) * round[0][LRU].moved_bytes / (1 << 20), round[0][LRU].pauses,
           round[0][LOOK].pauses, look, best_ratio(round, rounds, LOOK), paged,
           ratio(round, rounds, LARGE, ns_of));
    fflush(stdout);
    time->cells++;
    time->log_look += log(look);
    time->log_paged += log(paged);
}

void replay_time_end(const struct replay_time *time)
{
    if (time->cells)
        printf("%u cells: by LRU's time look-ahead takes %.3f, managed memory %.3f, by the geometric mean\n",
               time->cells, exp(time->log_look / time->cells), exp(time->log_paged / time->cells));
}
