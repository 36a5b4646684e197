/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rounds.h - measuring on a machine that is noisy and shared.
 *
 * A group of variants runs in rounds, each round in another order. What is compared is always two figures of one
 * round: the ratio of a variant to the anchor, which is the group's first. Median and minimum over the rounds.
 *
 * Prints   a row per variant: group, variant, median_ns, min_ns, ratio_median, ratio_min; then a line per goal, with
 *          the figure beside it and "met" or "missed" by the median. A variant that cannot run here is skipped by name.
 * Writes   the same and every sample to the file of --json.
 * Units    nanoseconds per operation; what an operation is, the variant's name says.
 * Threads  none of its own.
 */
#ifndef EBB_BENCH_ROUNDS_H
#define EBB_BENCH_ROUNDS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/** A figure to reach: the median is at most `limit`. */
struct goal {
    const char *name; /**< in the list of figures; NULL: the variant has none */
    enum {
        GOAL_NS,    /**< of nanoseconds */
        GOAL_ADDED, /**< of nanoseconds more than the anchor */
        GOAL_RATIO  /**< of the ratio to the anchor */
    } kind;
    double limit;
};

struct variant {
    const char *name;
    /** Do `operations` of it and tell the nanoseconds that one took; negative: cannot be done here. */
    double (*measure)(void *arg, uint64_t operations);
    void *arg;
    uint64_t operations; /**< in a round */
    struct goal goal;
};

/** One more goal of a group: a ratio between two of its variants. */
struct versus {
    unsigned variant, anchor; /**< indexes */
    struct goal goal;
};

struct rounds {
    const char *name; /**< of the bench */
    unsigned rounds;
    bool quick;        /**< a smoke test: few rounds, few operations */
    const char *count; /**< only this variant, `count_operations` times: to count instructions around it */
    uint64_t count_operations;
    uint64_t random;
    const struct versus *versus; /**< of the groups from now on; NULL: none */
    FILE *json;
    unsigned groups, goals, met;
};

/** Read the command line: [--rounds N] [--json FILE] [--quick] [--count VARIANT OPERATIONS]. Exits on a bad one. */
void rounds_init(struct rounds *rounds, const char *name, int argc, char **argv);

/** Measure a group; variants[0] is the anchor. */
void rounds_run(struct rounds *rounds, const char *group, const struct variant *variants, unsigned count);

/** Say that a group is left out, and why. */
void rounds_skip(struct rounds *rounds, const char *group, const char *why);

/** End the files. Returns the exit status: 0, missed goals included; 1 when the results could not be written. */
int rounds_finish(struct rounds *rounds);

/** Processor time of the calling thread: does not count the time that others had the processor. */
double rounds_cpu_ns(void);
/** Time on the wall, for what waits. */
double rounds_wall_ns(void);

#endif
