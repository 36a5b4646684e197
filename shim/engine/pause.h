/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pause.h - what happens while the gate is closed and the device drained: blocks change places.
 *
 * Everything that a kernel could reach through a pointer nobody saw changes its backing here and nowhere else.
 * One pause evicts, unmaps and restores as much as it was asked to, with one drain.
 */
#ifndef EBB_CLOSURE_H
#define EBB_CLOSURE_H

#include <stdbool.h>
#include <stdint.h>

struct pause {
    unsigned ordinal;
    uint64_t evict_bytes; /**< to leave the device, least recent first */
    uint64_t unmap_bytes; /**< to be unmapped of what is mapped host memory, least recent first */
    uint64_t newest;      /**< only blocks with a stamp up to here leave */
    bool whole;           /**< registered blocks leave as a whole or not at all */
    bool only_registered; /**< nothing else leaves */
    uint32_t only;        /**< only the block at this granule less one leaves; 0: any */
    bool patient;         /**< wait EBBTIDE_DRAIN_MS for the device, and not only for a moment */
    const uint32_t
        *restore; /**< first granules of blocks to bring back from mapped host memory, in this order */
    uint32_t restore_count;
    uint64_t restore_bytes; /**< no further chunk comes back once this many have; 0: all */
    /* results */
    uint64_t evicted_bytes, unmapped_bytes, restored_bytes;
    uint64_t save_bytes; /**< of pause_evictable */
};

/**
 * Close, drain, move, open. Role held, gate open, no lock.
 *
 * Returns  0: the gate was closed and what could be done was (see the results); -EBUSY a capture is open;
 *          -ETIMEDOUT the device did not come to rest in time; -EIO the drain failed. Then nothing
 *          has moved.
 */
int pause_run(struct pause *pause);

/** True if a pause that evicts would search, so as to unmap unregistered blocks at once. */
bool pause_would_scan(void);
/** True if pointers may be searched for, now or later, so as to unmap unregistered blocks. */
bool pause_could_scan(void);

/** True when the block may leave the mapped tiers; `proven`: scan_run has just returned true. core.lock held. */
bool movable_may_unmap(uint32_t first, bool proven);

/** True when the block may leave the device once no launch uses it. core.lock held. */
bool movable_could_evict(uint32_t first, bool proven);

/** True when it may leave now. core.lock held. */
bool movable_may_evict(uint32_t first, bool proven);

#endif
