/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replay_mover.h - a mover of blocks in nothing but numbers, which asks policy/ who leaves.
 *
 * Shape    as the library's: what a launch names is brought as a whole, in one pause for all of it; what leaves for it
 *          leaves by chunks, and no more of them than has to.
 * Units    granules.
 */
#ifndef EBB_BENCH_REPLAY_MOVER_H
#define EBB_BENCH_REPLAY_MOVER_H

#include <stdint.h>

#include "belady.h"
#include "policy/policies.h"
#include "trace.h"

enum {
    REPLAY_CHUNK = 16 /**< the most granules of a chunk: 32 MiB */
};

/** What is left of the budget once the largest chunk of the trace has a place to pass through. */
uint64_t replay_room(const struct trace *trace, unsigned percent);

/** What look-ahead did in the last run by POLICY_LOOKAHEAD. */
struct replay_lookahead {
    uint64_t hits, misses, early, unused;
};

extern struct replay_lookahead replay_lookahead;

/** The whole trace in that room. Called after each launch with what was moved until then, if `after` is given: it says
 *  whether to go on. */
void replay_run(const struct trace *trace, uint64_t room, const struct policy *policy, struct traffic *out,
                struct traffic *out_steady,
                bool (*after)(uint32_t launch, const struct traffic *traffic, void *arg), void *arg);

#endif
