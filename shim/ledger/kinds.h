/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kinds.h - who holds what of a device, by kind: how much of each could leave now, and why the rest could not.
 *
 * Shape    what has to be remembered is counted where it changes: allocations of each kind, the most there have been, and
 *          why the driver made what is no block. The rest is read from blocks, chunks and the budget when it is asked for,
 *          all at one instant.
 * Sums     what the kinds have on the device is what its budget has in use; `leaves` and `stays` of a kind are what it has on
 *          the device, to the byte.
 * Threads  any; where core.lock must be held it is said.
 */
#ifndef EBB_KINDS_H
#define EBB_KINDS_H

#include <stdint.h>

#include "ledger/block.h"
#include "ledger/kind_figures.h"
#include "policy/budget.h"

/** Allocations of a kind that the driver made, for one reason. */
struct native_tally {
    uint64_t count, bytes, total;
};

/** What is counted of a device. core.lock. */
struct kinds_tally {
    struct kind_tally of[KIND_COUNT]; /**< count, peak_count and total of small ones are in struct bins */
    struct native_tally native[KIND_COUNT][STAY_COUNT];
};

static inline enum kind kind_of_block(const struct block *block)
{
    static const uint8_t kinds[2][2] = {{KIND_BLOCK, KIND_SMALL}, {KIND_ASYNC, KIND_ASYNC_SMALL}};

    if (block->is_handle)
        return KIND_HANDLE;
    return (enum kind)kinds[(block->flags & BLOCK_STREAM) != 0][block->is_bin];
}

/* ---- what happens; core.lock held -------------------------------------------------------------------------------- */

/** A block is the program's from now on; it has freed it; its memory has been given back, or became another's. */
void kind_block_made(const struct block *block);
void kind_block_freed(const struct block *block);
void kind_block_gone(const struct block *block);

enum native_event {
    NATIVE_MADE,
    NATIVE_GONE,
    NATIVE_BACK, /**< and it has not gone after all */
    NATIVE_HELD  /**< so many bytes of the budget are the kind's now: nothing was allocated */
};

/** The driver has made, or taken back, an allocation that is no block for that reason. */
void kind_native(unsigned ordinal, enum kind kind, enum stay why, enum native_event event, uint64_t bytes);

/* ---- what there is ----------------------------------------------------------------------------------------------- */

/** Places for what leaves a device, in bytes. */
struct kinds_room {
    uint64_t host_bytes, disk_bytes;
};

/** Why what a block has on the device cannot leave it, where what is before it in the arena has left; STAY_NOT: it can, and
 *  then it takes of the room. core.lock held. */
enum stay kind_stays(uint32_t first, struct kinds_room *room, uint64_t *out_device_bytes);

/**
 * What there is on a device.
 *
 * @room           what finds no place there has "nowhere to go"
 * @managed_bytes  of managed memory that is charged to nobody, and counts as if
 */
void kinds_of(unsigned ordinal, const struct kinds_room *room, uint64_t managed_bytes, struct kinds *out);

#endif
