/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api.c - what the calls of ebbtide.h cost in the core, among 10^6 registered blocks on a device of books: pin and
 * unpin of a block that is in place, and touch. And a call where there is no library: this program is not preloaded.
 */
#include <pthread.h>
#include <stdlib.h>

#include "api/object.h"
#include "crowd.h"
#include "engine/core.h"
#include "rounds.h"

enum {
    MANY = 1 << 20,
    FEW = 1 << 13, /* where only a smoke is wanted */
    HOT = 64       /* blocks that are worked on */
};

static double mutex(void *arg, uint64_t operations)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    double since_ns = rounds_cpu_ns();

    for (uint64_t i = 0; i < operations; i++) {
        pthread_mutex_lock(&lock);
        pthread_mutex_unlock(&lock);
    }
    (void)arg;
    return (rounds_cpu_ns() - since_ns) / (double)operations;
}

/* @arg  over how many blocks the calls are spread */
static double pins(void *arg, uint64_t operations)
{
    uint32_t spread = *(const uint32_t *)arg;
    double since_ns = rounds_cpu_ns();

    for (uint64_t i = 0; i < operations; i++) {
        uint64_t address = crowd_address(crowd_order[i % spread]);

        if (object_pin(address, EBB_RO, NULL) < 0 || object_unpin(address, EBB_CLEAN) < 0)
            abort();
    }
    return (rounds_cpu_ns() - since_ns) / (double)operations;
}

static double touches(void *arg, uint64_t operations)
{
    uint32_t spread = *(const uint32_t *)arg;
    double since_ns = rounds_cpu_ns();

    for (uint64_t i = 0; i < operations; i++)
        if (object_touch(crowd_address(crowd_order[i % spread])) < 0)
            abort();
    return (rounds_cpu_ns() - since_ns) / (double)operations;
}

static double absent(void *arg, uint64_t operations)
{
    double since_ns = rounds_cpu_ns();

    for (uint64_t i = 0; i < operations; i++)
        if (ebb_touch(arg) != -ENOSYS)
            abort();
    return (rounds_cpu_ns() - since_ns) / (double)operations;
}

int main(int argc, char **argv)
{
    uint32_t one = 1, hot = HOT, all;
    struct rounds rounds;

    rounds_init(&rounds, "api", argc, argv);
    all = rounds.quick || rounds.count ? FEW : MANY;

    const struct variant variants[] = {
        {"a mutex locked and unlocked", mutex, NULL, 1000000, {0}},
        {"pin and unpin, one block", pins, &one, 1000000, {"pin", GOAL_NS, 60}},
        {"pin and unpin, 64 blocks", pins, &hot, 1000000, {0}},
        {"pin and unpin, scattered", pins, &all, 1000000, {0}},
        {"touch, one block", touches, &one, 2000000, {"touch", GOAL_NS, 15}},
        {"touch, 64 blocks", touches, &hot, 2000000, {0}},
        {"touch, scattered", touches, &all, 2000000, {0}},
        {"touch, no library", absent, &hot, 4000000, {0}},
    };

    crowd_start(all, NULL);
    for (uint32_t i = 0; i < all; i++)
        if (object_register(crowd_address(i), 1, 0, NULL) < 0)
            abort();
    rounds_run(&rounds, "calls among 10^6", variants, sizeof(variants) / sizeof(*variants));
    crowd_finish();
    return rounds_finish(&rounds);
}
