/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hazards: uses of memory that hardware would answer with a crash or wrong bytes, sometimes. Each is counted
 * and, up to a cap, printed.
 *   1  a range goes away (unmap, remap, revoked access, a free that does not wait for that device) under an incomplete
 *      operation that names it, or a running kernel that has declared it with simgpu_touch
 *   2  a copy, set or memory operation writes what another operation uses, and neither is ordered after the other
 *   3  a graph is launched with a copy or set whose memory is not where it was at instantiation (another device, or the
 *      host): NVIDIA documents that the instance records it
 * The second compares physical places, so that aliases are one. A kernel uses what it declares with
 * simgpu_touch; of an object that it gets by parameter and declares nothing in, all. Past accesses are
 * remembered until no operation can be unordered with them any more, but no more than HISTORY_MAX.
 */
#ifndef SIMGPU_HAZARD_H
#define SIMGPU_HAZARD_H

#include "stream/op.h"

enum {
    HISTORY_MAX = 1024,
    HAZARD_LINES_MAX = 20
};

/* Judges the node of the operation that is about to run, and what it has done. Does nothing for a whole graph
 * launch. */
void hazard_begin(struct op *op);
void hazard_end(struct op *op);

/* Judges the loss of an object, as in "unmapped". */
void hazard_lose(const struct memory *memory, const char *how);

/* A graph's copy or set runs on memory that has moved. */
void hazard_moved(const char *label);

unsigned hazard_count(void);

#endif
