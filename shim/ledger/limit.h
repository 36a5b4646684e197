/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limit.h - how much of a device may be held right now.
 *
 * The budget as asked for, less what the driver has shown to be unusable: when it has no memory although its figures
 * and the budget say so, for being scattered, say, then what is held is all there is until something is freed, or a while
 * has passed: the reason may have been another. The pool allocator also keeps blocks to its own maximum.
 *
 * Threads  any; no lock held.
 */
#ifndef EBB_LIMIT_H
#define EBB_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

enum {
    LIMIT_CHUNK_GRANULES = 16, /**< of a chunk, where the budget is no reason for less or more: 32 MiB */
    LIMIT_CHUNK_MAX_GRANULES =
        128 /**< of a budget over LIMIT_LARGE_BYTES; RECYCLER_CLASSES is twice as many */
};

/** A budget that has so many chunks that larger ones are worth their coarseness. */
#define LIMIT_LARGE_BYTES ((uint64_t)32 << 30)

/** The machine is asked no more often than its answer changes: the kernel averages over two seconds. */
#define LIMIT_MACHINE_NS UINT64_C(1000000000)

/** How long a driver's refusal of what it says is free is believed: twice as long each time, if it follows the last. */
#define LIMIT_DOUBT_LEAST_NS UINT64_C(1000000000)
#define LIMIT_DOUBT_MOST_NS  UINT64_C(64000000000)

/** Resolve the budgets of a device at its first use, and fill its pool. */
void limit_ready(unsigned ordinal);

/** The driver had no memory although the budget did. */
void limit_full(unsigned ordinal);

/** Something went back to the driver: what was unusable may serve again. */
void limit_freed(unsigned ordinal);

/** A limit that was lowered follows what the driver has now. True: it has risen. */
bool limit_refresh(unsigned ordinal);

/** The machine has so much memory now, 0: unknown. A host budget that is a share of it follows, up and down, until the
 *  program sets one. True: it has risen. */
bool limit_follow_host(uint64_t memory_bytes);

/** Ask the machine, at most once a second, and follow it: before the host's budget refuses something. Reads files. */
bool limit_refresh_host(void);

/** Change what was configured; UINT64_MAX: no limit. 0, or -EINVAL no such device. */
int limit_set_device(unsigned ordinal, uint64_t bytes);
int limit_set_host(uint64_t bytes);

/** Room of the device's budget that blocks may not take: what lies above the pool's maximum. 0 without a pool.
 *  core.lock held. */
uint64_t limit_beyond_pool(unsigned ordinal);

/** Granules of the chunks that a large block of the device is cut into. core.lock held. */
uint32_t limit_chunk_granules(unsigned ordinal);

#endif
