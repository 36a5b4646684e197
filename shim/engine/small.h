/* SPDX-License-Identifier: Apache-2.0 */
/*
 * small.h - small allocations: cells of bins, and the bins made for them.
 *
 * core_allocate and core_free use these for what is too small for a block of its own. A free in the order of a stream buries at
 * once, and releases, or takes again, when that has come to it.
 *
 * Threads  any; neither a lock nor a user section is held.
 */
#ifndef EBB_SMALL_H
#define EBB_SMALL_H

#include <stdbool.h>
#include <stdint.h>

#include "ledger/bin.h"

/** Is an allocation of so many bytes a cell, and no block of its own? */
static inline bool small_is(uint64_t bytes)
{
    return bytes <= CELL_LARGEST_BYTES;
}

/** Take a cell, with a bin made for it where none has one free and others evicted for that. Waits for no device but where
 *  room has to be made. Errors as core_allocate. */
int small_allocate(const struct wanted *wanted, uint64_t *out_address);

/** The same where a bin has a cell free. False: none has. */
bool small_take(const struct wanted *wanted, uint64_t *out_address);

/** Does `address` lie in a bin? Then its allocations are freed by small_bury and small_release. */
bool small_holds(uint64_t address);

/** The program has freed the allocation at `address`, in the order of a stream or not: no look-up finds it any more, its pins are
 *  dropped, its memory stays. 0, with what the others here want; -EINVAL no small allocation begins there. */
int small_bury(uint64_t address, bool is_ordered, uint64_t *out_id);

/** It waits for its stream no more. False: it did not, or went with its context. */
bool small_unorder(uint64_t address, uint64_t id);

/** The same, and it is one of the program's again. False: it cannot be such. */
bool small_retake(uint64_t address, uint64_t id, const struct wanted *wanted);

/** No device can use it any more: the memory is free. Nothing happens when it went with its context. Returns the bytes of the
 *  bin that goes with it. */
uint64_t small_release(uint64_t address, uint64_t id);

/** The same when its device is at rest, whenever that is: free_deferred releases it. */
void small_defer(uint64_t address, uint64_t id);

#endif
