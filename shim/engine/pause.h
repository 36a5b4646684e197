/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pause.h - the world stopped, as a garbage collector stops it: the gate closed, the devices drained, blocks moved. A device
 * that cannot use what moves is no part of that world.
 *
 * Everything that a kernel could reach through a pointer nobody saw changes its backing in a pause and nowhere else.
 * One pause evicts, unmaps and restores as much as its plan says, with one drain.
 */
#ifndef EBB_PAUSE_H
#define EBB_PAUSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/drain.h"

/** A plan of all zeros wants nothing. */
struct pause_plan {
    unsigned ordinal;
    uint64_t evict_bytes;     /**< to leave the device, in the order of the policy */
    uint64_t unmap_bytes;     /**< to be unmapped of what is mapped host memory, likewise */
    uint64_t newest;          /**< only blocks with a stamp up to here leave; 0: of any age */
    const uint32_t *only;     /**< only the block that starts at this granule leaves; NULL: any */
    bool only_registered;     /**< nothing else leaves */
    bool in_parts;            /**< registered blocks may leave in part, too; else as a whole or not at all */
    enum drain_waiter waiter; /**< how long it waits for the devices */
    /** First granules of blocks to restore from mapped host memory, in this order. */
    const uint32_t *restore;
    uint32_t restore_count;
    bool restore_one; /**< one chunk of them is enough */
    /** Likewise, behind these: nobody waits for them yet. batch.h. */
    const uint32_t *early;
    uint32_t early_count;
};

struct pause_result {
    int error; /**< 0: the gate was closed, and what could be done was. -EBUSY a capture is open; -ETIMEDOUT the
                    devices did not come to rest in time; -EIO the drain failed: then nothing has moved */
    uint64_t evicted_bytes, unmapped_bytes, restored_bytes;
};

/** Close, drain, move, open. Role held, gate open, no lock. */
struct pause_result pause_run(const struct pause_plan *plan);

struct pause_estimate {
    uint64_t bytes;      /**< that would leave the device if every copy succeeded */
    uint64_t save_bytes; /**< of it, that need room in host memory */
};

/** Bytes that a pause would evict, were every scan successful. Role held, no lock. */
struct pause_estimate pause_evictable(const struct pause_plan *plan);

struct plan_block;

/** Blocks that would leave by the plan, were it for `more_bytes` more, without what leaves by it as it is; in that order, and no
 *  more of them than these. How many there are in `out`. core.lock held. */
size_t pause_leaving(const struct pause_plan *plan, uint64_t more_bytes, struct plan_block *out, size_t most);

/** Bytes of the device that a pause by this plan could give back with nobody leaving: of blocks that were freed in the order
 *  of a stream. */
uint64_t pause_could_give(const struct pause_plan *plan);

/** True if a pause that evicts would scan, so as to unmap unregistered blocks at once. */
bool pause_would_scan(void);
/** True if pointers may be searched for, now or later, so as to unmap unregistered blocks. */
bool pause_could_scan(void);

#endif
