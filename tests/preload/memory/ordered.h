/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ordered.h - what the tests of memory in the order of streams share: a device with a budget of 16 MiB, streams that stand
 *             still, and what a case ends with.
 *
 * Threads  the test's own; one stream at a time stands still.
 */
#ifndef EBB_TEST_ORDERED_H
#define EBB_TEST_ORDERED_H

#include "../world.h"

#include <stdatomic.h>

#define BLOCK_BYTES (4 * MIB)
#define WORDS       (BLOCK_BYTES / 4)
#define SMALL_BYTES ((size_t)5000) /**< which share a block */

/** A body for a block, and for a small allocation. */
#define EACH_SIZE(bytes)                                                                                     \
    for (size_t bytes = BLOCK_BYTES; bytes; bytes = bytes == BLOCK_BYTES ? SMALL_BYTES : 0)

CUstream make_stream(void);
CUevent make_event(void);
CUdeviceptr allocate(size_t bytes, CUstream stream);
/** The default pool of a world's device. */
CUmemoryPool pool_of(const struct world *world);
cuuint64_t figure(CUmemoryPool pool, CUmemPool_attribute attribute);
void allow(CUmemoryPool pool, CUmemPool_attribute attribute, int allowed);
/** Only that way of reuse. */
void allow_only(CUmemoryPool pool, CUmemPool_attribute attribute);

/** A stream stands still until `let_go` is true. */
extern atomic_bool let_go;
void hold(CUstream stream);

/** What the simulated device says is kept from here on, and counted at the end: there are no hazards. */
struct world begin(void);
void end(struct world *world);

#endif
