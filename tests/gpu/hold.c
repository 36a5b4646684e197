/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that fits: it uses nine tenths of the budget that scripts/gpu-check runs it with, all of it in every step,
 * and thinks for three seconds between steps. Knows nothing of the library: whether something moved the lane reads in
 * the library's statistics.
 */
#include "kernels.h"

#include <stdio.h>
#include <time.h>

enum {
    BLOCKS = 9, /* of a budget of ten */
    STEPS = 4,
};

/* Adds one to every word; the time until it is done. */
static double step(const struct kernels *kernels, const CUdeviceptr *blocks, uint64_t words)
{
    uint64_t started_ns = measure_now_ns();

    for (unsigned i = 0; i < BLOCKS; i++)
        kernels_add(kernels, blocks[i], words, 1);
    MUST(cuCtxSynchronize, ());
    return (double)(measure_now_ns() - started_ns) / 1e6;
}

static void think(void)
{
    struct timespec pause = {3, 0};

    /* Long enough for what the library takes for cold. */
    if (measure_simulated)
        pause = (struct timespec){1, 200000000};
    nanosleep(&pause, NULL);
}

int main(int argc, char **argv)
{
    CUdeviceptr blocks[BLOCKS];
    struct kernels kernels;
    uint64_t words, wrong = 0;
    double first = 0, worst = 0;
    size_t bytes;
    char name[32];

    measure_begin(argc, argv, "is a program of slow steps that fits left alone?");
    measure_open();
    kernels_load(&kernels);
    bytes = measure_size(800 << 20, 8 << 20);
    words = bytes / 8;
    for (unsigned i = 0; i < BLOCKS; i++) {
        MUST(cuMemAlloc, (&blocks[i], bytes));
        kernels_fill(&kernels, blocks[i], words, i);
    }
    for (unsigned i = 0; i < STEPS; i++) {
        double took_ms = step(&kernels, blocks, words);

        snprintf(name, sizeof(name), "step_%u", i);
        measure_row(name, took_ms, "ms");
        first = i ? first : took_ms;
        worst = took_ms > worst ? took_ms : worst;
        if (i < STEPS - 1)
            think();
    }
    for (unsigned i = 0; i < BLOCKS; i++) {
        wrong += kernels_wrong(&kernels, blocks[i], words, i, STEPS);
        MUST(cuMemFree, (blocks[i]));
    }
    measure_row("wrong", (double)wrong, "words");
    if (wrong)
        return measure_verdict(false, false, "%llu words are wrong", (unsigned long long)wrong);
    return measure_open_verdict("the first step took %.1f ms, the slowest %.1f", first, worst);
}
