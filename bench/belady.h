/* SPDX-License-Identifier: Apache-2.0 */
/*
 * belady.h - the fewest bytes that anybody can move for a trace who knows all of it: what is used again last leaves, by
 * granules, and no more than has to.
 */
#ifndef EBB_BENCH_BELADY_H
#define EBB_BENCH_BELADY_H

#include <stdint.h>

#include "trace.h"

/** Granules, both ways. */
struct traffic {
    uint64_t restored, evicted;
    uint64_t pauses; /**< in which they moved */
};

static inline uint64_t traffic_sum(const struct traffic *traffic)
{
    return traffic->restored + traffic->evicted;
}

/** @out_steady  of it, from the middle launch on */
void belady_run(const struct trace *trace, uint64_t room, struct traffic *out, struct traffic *out_steady);

#endif
