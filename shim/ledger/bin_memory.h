/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bin_memory.h - memory for the cells of bins, for bin.c only.
 *
 * Shape    one run of pages for each bin: the units of a mixed bin, the cells, their pins.
 * Owns     what is kept for the bins that come next, a few of each size; the rest is its bin's.
 * Threads  all under the lock of the device's bins.
 */
#ifndef EBB_BIN_MEMORY_H
#define EBB_BIN_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "ledger/bin.h"
#include "ledger/state.h"

/** The bins of a device, with their lock taken. */
static inline struct bins *bins_lock(unsigned ordinal)
{
    struct bins *bins = &core.devices[ordinal].bins;

    lock_acquire(&bins->lock);
    return bins;
}

/** Of a bin of the class, as it is taken and given back. */
uint64_t bin_memory_bytes(unsigned class);

/** Keep the memory for another bin. False: it has to be given back. */
bool bin_memory_keep(struct bins *bins, unsigned class, void *memory);

/** What an open bin's cells lie in. */
void *bin_memory(const struct bin *bin);

/** A new bin, of which none is taken and nothing but its class and its memory is known. */
void bin_memory_lay(const struct bin_plan *plan, struct bin *out);

#endif
