/* SPDX-License-Identifier: Apache-2.0 */
/*
 * allocate.h - the parts of allocating and freeing that other files of the core need.
 */
#ifndef EBB_ALLOCATE_H
#define EBB_ALLOCATE_H

#include <stdbool.h>
#include <stdint.h>

/** recycler_take for the device, with freed blocks that are still mapped given up where needed. */
int allocate_take(unsigned ordinal, uint64_t bytes, uint64_t keep_free_bytes, uint64_t *out_handle);

/** Unmap freed blocks that are kept for reuse until `bytes` of device memory are idle handles. Returns the bytes. */
uint64_t allocate_drop_idle(unsigned ordinal, uint64_t bytes);

/** Give idle memory of the device back to the driver until `bytes` could be charged with `keep_free_bytes` left free, or
 *  none is idle. True if any was given back. core.lock not held. */
bool allocate_trim(unsigned ordinal, uint64_t bytes, uint64_t keep_free_bytes);

/** Give back blocks that were freed while their device was not at rest, waiting for that as drain_wait does. True if
 *  there was any. */
bool allocate_run_deferred(uint64_t limit_ms);

/** Take dead blocks that could not be given back out of the ledgers; the process ends. */
void allocate_write_off(void);

#endif
