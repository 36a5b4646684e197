/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crowd.h - the core with very many blocks, on a device that keeps books and has no bytes.
 *
 * Shape    `blocks` blocks of one granule, a power of two, one behind the other; nothing moves, no timer runs.
 * Threads  start and finish in one; the blocks may be used from any.
 * Errors   it aborts with a line: a bench without its crowd has nothing to say.
 */
#ifndef EBB_BENCH_CROWD_H
#define EBB_BENCH_CROWD_H

#include <stdint.h>

#include "base/options.h"

/** What the core runs with; a bench may change it between calls. */
extern struct options crowd_options;

/** @settings  pairs of option and value that differ from the defaults, ended by NULL; NULL: none */
void crowd_start(uint32_t blocks, const char *const *settings);
void crowd_finish(void);

/** Address of block `index`. */
uint64_t crowd_address(uint32_t index);

/** The indexes of all blocks, shuffled. */
extern uint32_t *crowd_order;

#endif
