/* SPDX-License-Identifier: Apache-2.0 */
/*
 * world.h - the core on a fake device, and random programs that use it against the plainest model there is.
 *
 * A block's model is one number: every 64 KiB of the block hold a word made of it. A program owns some blocks, of
 * which it knows that number, and reads others that nobody writes; each of its launches reads and writes what it uses
 * between use_begin and use_end, as a kernel would, so that a block that moves meanwhile shows as a fault or as
 * wrong bytes.
 *
 * Threads  a program belongs to one; several may run in a world.
 */
#ifndef EBBTIDE_TESTS_WORLD_H
#define EBBTIDE_TESTS_WORLD_H

#include "base/options.h"
#include "engine/core.h"
#include "fake_device.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    PROGRAM_BLOCKS = 40
};

struct model {
    uint64_t address; /* 0: no block */
    uint64_t bytes;
    uint64_t seed; /* of the words that must be in it */
};

struct world {
    struct options options;
    struct fake_device *fake;
};

struct program {
    struct world *world;
    struct model model[PROGRAM_BLOCKS];
    unsigned count;     /* of model */
    unsigned step_most; /* granules of the largest block it allocates; 0: 6 */
    bool with_small;    /* most of what it allocates is too small for a block of its own */
    const struct model *shared;
    unsigned shared_count;
    uint64_t random;
    bool may_refuse;  /* launches may be refused */
    bool with_all;    /* some launches do not say what they use */
    bool with_faults; /* the device fails at times: nothing is promised but that no byte is lost */
    uint64_t launches, launches_refused, allocations, allocations_refused;
};

/* Start the core. @settings  "VARIABLE=VALUE VARIABLE=VALUE", read in that order; the monitor's thread is off unless they
 * say otherwise */
void world_start(struct world *world, const char *settings, const struct fake_config *config);

/* Stop it. Every block was freed: nothing may be left. */
void world_finish(struct world *world);

/* The books of core and device agree, no rule was broken. No thread is inside the core. */
void world_check(const struct world *world);

void program_init(struct program *program, struct world *world, unsigned count, uint64_t seed);

/* Less than `below`. */
uint64_t program_draw(struct program *program, uint64_t below);

/* One random operation: a launch, an allocation, a free. */
void program_step(struct program *program);

/* Allocate and fill; false when refused. `bytes` may be no multiple of anything. */
bool program_allocate(struct program *program, struct model *block, uint64_t bytes);
void program_free(struct model *block);
void program_free_all(struct program *program);

/* A launch over these blocks that checks all and rewrites the first if `write`. Negative: it was refused. */
int program_launch(struct program *program, struct model *const *used, unsigned count, bool write);

/* Launches over every block, one by one, must find every byte. */
void program_check_all(struct program *program);

/* The words of a block, without any use around it. */
void model_write(const struct model *block);
/* Those of a part that begins at a multiple of a granule, for other memory. */
void model_fill(const struct model *block, uint64_t offset, void *memory, uint64_t bytes);
bool model_intact(const struct model *block);
/* A launch that reads it and finds every word. Negative: it was refused. */
int model_launch(const struct model *block);

/* Within ten seconds a counter is larger than that. */
bool world_grows(const _Atomic uint64_t *counter, uint64_t than);

/* `count` steps, fewer under a sanitizer, many more when EBBTIDE_TEST_LONG is set. */
unsigned world_steps(unsigned count);

#endif
