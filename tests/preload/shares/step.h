/* SPDX-License-Identifier: Apache-2.0 */
/*
 * step.h - one step of a sequence: drawn by chance, taken by the library and by the model, and told in words.
 *
 * Threads  one.
 */
#ifndef EBB_TEST_SHARES_STEP_H
#define EBB_TEST_SHARES_STEP_H

#include <cuda.h>
#include <ebbtide.h>

#include "../world.h"
#include "model.h"

#define GRANULE (2 * MIB)

enum what {
    ALLOCATE,
    NAME, /* allocate and register */
    FREE,
    REGISTER,
    UNREGISTER,
    PIN,
    UNPIN,
    TOUCH,
    PREFETCH,
    EVICT,
    EVICT_ANY,
    RESERVE,
    WEIGH,
    OUTPUT, /* reserve, allocate, register, commit: what a program does for a result */
    COMMIT,
    RELEASE,
    SET_BUDGET,
    WHATS
};

/* Any step makes sense in any state: what it names is found from its numbers when it is taken. */
struct step {
    enum what what;
    unsigned which, size;
    bool flag, other;
};

struct size {
    unsigned budget_granules, staging_granules, most_granules;
};

/* What the steps of a sequence have come to. */
struct run {
    struct size size;
    struct model model;
    CUdeviceptr at[MODEL_BLOCKS];
    ebb_reservation reservation[MODEL_RESERVATIONS];
    uint64_t evictions, saves; /* before the sequence */
    bool tells;                /* each step is written into text as it is taken */
    char wrong[512], text[8192];
};

extern struct run run;

/** What a seed stands for: the same steps each time. */
void steps_draw(uint64_t seed, struct step *steps, unsigned count);

/** False: the library does not say what the model says; run.wrong has it in words. */
bool step_take(const struct step *step);

/** True where both are equal; else false, with a sentence in run.wrong. */
bool run_same(const char *what, long long got, long long want);
__attribute__((format(printf, 1, 2))) bool run_wrong(const char *format, ...);

void *run_address(int block);

#endif
