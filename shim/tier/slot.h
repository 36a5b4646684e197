/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slot.h - places of chunks below host memory: the one file that knows which tiers have such places.
 *
 * Shape    a slot is one number, whose top byte says who gave it (disk.h). Today all are the disk's. A further tier is asked
 *          here before or after it, and no other file minds.
 * Threads, errors  as disk.h says of its functions.
 */
#ifndef EBB_SLOT_H
#define EBB_SLOT_H

#include <stdbool.h>
#include <stdint.h>

#include "tier/disk.h"
#include "tier/executor.h"

static inline int slot_take(struct disk *disk, uint64_t bytes, uint64_t *out_slot)
{
    return disk_take(disk, bytes, out_slot);
}

static inline void slot_give(struct disk *disk, uint64_t slot, uint64_t bytes)
{
    disk_give(disk, slot, bytes);
}

/** Where a transfer of its bytes begins or ends. */
static inline enum tier slot_tier(uint64_t slot)
{
    (void)slot;
    return TIER_DISK;
}

/** Bytes in use, and those that could be taken: UINT64_MAX before the first use. */
static inline uint64_t slot_room(struct disk *disk, uint64_t *out_used_bytes)
{
    struct disk_figures figures;

    disk_figures(disk, &figures);
    *out_used_bytes = figures.used_bytes;
    if (!figures.budget_bytes)
        return UINT64_MAX;
    return figures.budget_bytes > figures.used_bytes ? figures.budget_bytes - figures.used_bytes : 0;
}

#endif
