/* SPDX-License-Identifier: Apache-2.0 */
/*
 * move.c - what recency costs (P1): choosing victims, touching, the idle timer; how fast blocks move (E1, link.c).
 *
 * P1 with policy and core alone, on a device of books.
 */
#include <stdlib.h>
#include <string.h>

#include "crowd.h"
#include "engine/core.h"
#include "engine/monitor.h"
#include "ledger/state.h"
#include "link.h"
#include "policy/victims.h"
#include "queue.h"
#include "rounds.h"

enum {
    MANY = 1 << 20,
    FEW = 1 << 13, /* where only a smoke is wanted */
    TOUCHED = 1024
};

/* ---- victims ---------------------------------------------------------------------------------------------- */

enum shape {
    RANDOM,
    ASCENDING,
    DESCENDING,
    EQUAL,
    SPARSE
};

static uint64_t *stamps;
static uint32_t stamp_count;

struct choice {
    enum shape shape;
    uint32_t wanted;
};

static uint64_t stamp_of(enum shape shape, uint32_t i)
{
    switch (shape) {
    case ASCENDING:
        return i + 1;
    case DESCENDING:
        return stamp_count - i;
    case EQUAL:
        return 7;
    case SPARSE:
        return crowd_order[i] % 50 ? 0 : crowd_order[i] + 1;
    case RANDOM:
        break;
    }
    return crowd_order[i] + 1;
}

static void fill(enum shape shape)
{
    static int filled = -1;

    for (uint32_t i = 0; filled != (int)shape && i < stamp_count; i++)
        stamps[i] = stamp_of(shape, i);
    filled = (int)shape;
}

static uint64_t one_byte(uint32_t index, void *arg)
{
    (void)index;
    (void)arg;
    return 1;
}

static double choose(void *arg, uint64_t operations)
{
    static struct victim scratch[VICTIMS_SCRATCH];
    static uint32_t chosen[1024];
    const struct choice *choice = arg;
    const struct victims view = {.stamp = stamps,
                                 .count = stamp_count,
                                 .newest = UINT64_MAX,
                                 .movable_bytes = one_byte,
                                 .scratch = scratch,
                                 .scratch_count = VICTIMS_SCRATCH};
    double since_ns;

    fill(choice->shape);
    since_ns = rounds_cpu_ns();
    for (uint64_t i = 0; i < operations; i++)
        if (victims_choose(&view, choice->wanted, chosen, 1024) != choice->wanted)
            abort();
    return (rounds_cpu_ns() - since_ns) / (double)operations;
}

/* The least that a choice can cost: each stamp is looked at once. */
static double read_all(void *arg, uint64_t operations)
{
    uint64_t sum = 0;
    double since_ns;

    fill(*(const enum shape *)arg);
    since_ns = rounds_cpu_ns();
    for (uint64_t i = 0; i < operations; i++) {
        for (uint32_t n = 0; n < stamp_count; n++)
            sum += stamps[n];
        __asm__ volatile("" : : "r"(sum) : "memory");
    }
    return (rounds_cpu_ns() - since_ns) / (double)operations;
}

static int by_age(const void *left, const void *right)
{
    const struct victim *a = left, *b = right;

    return (a->order > b->order) - (a->order < b->order);
}

static double sort(void *arg, uint64_t operations)
{
    struct victim *all = malloc(stamp_count * sizeof(*all));
    double since_ns;

    if (!all)
        abort();
    fill(*(const enum shape *)arg);
    since_ns = rounds_cpu_ns();
    for (uint64_t i = 0; i < operations; i++) {
        for (uint32_t n = 0; n < stamp_count; n++)
            all[n] = (struct victim){stamps[n], 0, n};
        qsort(all, stamp_count, sizeof(*all), by_age);
    }
    since_ns = rounds_cpu_ns() - since_ns;
    free(all);
    return since_ns / (double)operations;
}

static void measure_victims(struct rounds *rounds)
{
    enum shape random = RANDOM;
    struct choice one = {RANDOM, 1}, hundred = {RANDOM, 100}, thousand = {RANDOM, 1000},
                  up = {ASCENDING, 100}, up_more = {ASCENDING, 1000}, down = {DESCENDING, 100},
                  equal = {EQUAL, 100}, sparse = {SPARSE, 100};
    const struct goal goal = {"P1", GOAL_NS, 500000};
    const struct variant variants[] = {
        {"sort them all", sort, &random, 1, {0}},
        {"read them all", read_all, &random, 20, {0}},
        {"1 of random ages", choose, &one, 20, goal},
        {"100 of random ages", choose, &hundred, 20, goal},
        {"1000 of random ages", choose, &thousand, 20, goal},
        {"100, ascending", choose, &up, 20, goal},
        {"1000, ascending", choose, &up_more, 20, goal},
        {"100, descending", choose, &down, 20, goal},
        {"100, all equal", choose, &equal, 20, goal},
        {"100, one in 50 there", choose, &sparse, 20, goal},
    };

    stamp_count = rounds->quick || rounds->count ? FEW : MANY;
    stamps = malloc(stamp_count * sizeof(*stamps));
    if (!stamps)
        abort();
    rounds_run(rounds, "victims among 10^6", variants, sizeof(variants) / sizeof(*variants));
    free(stamps);
}

/* ---- touch ------------------------------------------------------------------------------------------------ */

/* A use of many blocks, as a graph's launch has, divided by how many they are: look-up and stamp of each. */
static double touches(void *arg, uint64_t operations)
{
    static uint32_t list[TOUCHED];
    struct use use;
    double since_ns;

    for (uint32_t i = 0; i < TOUCHED; i++)
        list[i] = address_granule(&core.blocks, crowd_address(arg ? crowd_order[i] : i));
    since_ns = rounds_cpu_ns();
    for (uint64_t i = 0; i < operations; i += TOUCHED) {
        use_init(&use, true);
        use.more = list;
        use.more_count = TOUCHED;
        if (use_begin(&use) < 0)
            abort();
        use_end(&use);
    }
    return (rounds_cpu_ns() - since_ns) / (double)(operations < TOUCHED ? TOUCHED : operations);
}

static double moves_to_front(void *arg, uint64_t operations)
{
    double since_ns = rounds_cpu_ns();

    for (uint64_t i = 0; i < operations; i++)
        queue_touch(crowd_order[i % TOUCHED]);
    (void)arg;
    return (rounds_cpu_ns() - since_ns) / (double)operations;
}

static void measure_touch(struct rounds *rounds, uint32_t blocks)
{
    const struct variant variants[] = {
        {"queue in a mutex, scattered", moves_to_front, NULL, 500000, {0}},
        {"stamp, in a row", touches, NULL, 4000000, {"P1", GOAL_NS, 2}},
        {"stamp, scattered", touches, &blocks, 4000000, {"P1", GOAL_NS, 2}},
    };

    queue_fill(blocks);
    rounds_run(rounds, "touch", variants, 3);
    queue_empty();
}

/* ---- the timer -------------------------------------------------------------------------------------------- */

static double ticks(void *arg, uint64_t operations)
{
    const uint32_t *high_ppm = arg;
    uint32_t was_high_ppm = crowd_options.high_ppm, was_low_ppm = crowd_options.low_ppm;
    double since_ns;

    crowd_options.high_ppm = *high_ppm;
    crowd_options.low_ppm = *high_ppm / 2;
    since_ns = rounds_cpu_ns();
    for (uint64_t i = 0; i < operations; i++)
        monitor_tick();
    since_ns = rounds_cpu_ns() - since_ns;
    crowd_options.high_ppm = was_high_ppm;
    crowd_options.low_ppm = was_low_ppm;
    return since_ns / (double)operations;
}

/* Half of the budget is in use, and no block is cold. 0.1 % of a core at 20 looks in a second is 50 us. */
static void measure_timer(struct rounds *rounds)
{
    uint32_t under_ppm = 850000, over_ppm = 100000;
    const struct variant variants[] = {
        {"under the high mark", ticks, &under_ppm, 10000, {"P1", GOAL_NS, 50000}},
        {"over it, and nothing is cold", ticks, &over_ppm, 20, {0}},
    };

    rounds_run(rounds, "a look of the timer, 10^6", variants, 2);
}

int main(int argc, char **argv)
{
    static const char *const nothing_cold[] = {"EBBTIDE_COLD_MS", "3600000", NULL};
    struct rounds rounds;
    uint32_t blocks;

    rounds_init(&rounds, "move", argc, argv);
    blocks = rounds.quick || rounds.count ? FEW : MANY;
    crowd_start(blocks, nothing_cold);
    measure_victims(&rounds);
    measure_touch(&rounds, blocks);
    measure_timer(&rounds);
    crowd_finish();
    link_measure(&rounds);
    return rounds_finish(&rounds);
}
