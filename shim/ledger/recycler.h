/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recycler.h - physical memory of one kind, charged to one budget, with what came back kept for the next taker.
 *
 * Creating memory costs far more than using it again (29 µs a handle on the device, 1 to 3 GiB/s for pinned host
 * memory), so what is returned waits here, sorted by size, until it is taken again or somebody needs the room.
 *
 * Shape    an item is a 64-bit name (a handle, a pointer) of a multiple of GRANULE_BYTES, up to RECYCLER_CLASSES of
 *          them. Idle items count in the budget as idle.
 * Threads  the lock given at init guards budget and items; create and destroy run without it.
 */
#ifndef EBB_RECYCLER_H
#define EBB_RECYCLER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/lock.h"
#include "base/pages.h"
#include "policy/budget.h"
#include "tier/device.h"

enum {
    RECYCLER_CLASSES = 256 /**< sizes of 1 to 256 granules: the largest chunk is 512 MiB */
};

struct recycler_idle {
    uint64_t item;
    struct recycler_idle *next;
};

struct recycler {
    struct lock *lock;
    struct budget *budget;
    unsigned class;
    unsigned ordinal;
    struct device *device;
    int (*create)(struct recycler *self, uint64_t bytes, uint64_t *out_item);
    void (*destroy)(struct recycler *self, uint64_t bytes, uint64_t item);
    unsigned drawn_class; /**< of the budget: what recycler_take_drawn draws on */
    uint64_t most_bytes;  /**< kept idle; 0: what comes back is destroyed */
    uint64_t idle_bytes;
    uint64_t leaving_bytes; /**< no longer idle, and in the budget still: being destroyed */
    struct recycler_idle *idle[RECYCLER_CLASSES + 1]; /**< by size, the latest first */
    struct pages_pool records;                        /**< of struct recycler_idle */
};

/**
 * Take an item, idle or new, charged to the budget.
 *
 * @keep_free_bytes  what must stay free of the budget afterwards
 * Returns  0; -ENOSPC the budget has no room, even with every idle item given back; -ENOMEM the maker has none
 */
int recycler_take(struct recycler *recycler, uint64_t bytes, uint64_t keep_free_bytes, uint64_t *out_item);

/** The same, with `drawn_bytes` of it charged as `drawn_class` already, by the caller: they change their class, and are
 *  charged as they were when the call fails. */
int recycler_take_drawn(struct recycler *recycler, uint64_t bytes, uint64_t drawn_bytes,
                        uint64_t keep_free_bytes, uint64_t *out_item);

/** Make an item ahead: idle from now on. 0; -ENOSPC the budget has no room for it, or enough wait; -ENOMEM the maker has
 *  none. */
int recycler_add(struct recycler *recycler, uint64_t bytes);

/** How many idle items of this size wait. */
uint32_t recycler_count(const struct recycler *recycler, uint64_t bytes);

/** Make items ahead until so many of this size wait. 0, or as recycler_add. */
int recycler_fill(struct recycler *recycler, uint64_t bytes, uint32_t count);

/** Return an item: idle from now on, or destroyed when enough wait. */
void recycler_return(struct recycler *recycler, uint64_t bytes, uint64_t item);

/** Destroy an item that must not be used again. */
void recycler_discard(struct recycler *recycler, uint64_t bytes, uint64_t item);

/** Destroy idle items, largest first, until `bytes` are given back or none is left. Returns what was. */
uint64_t recycler_trim(struct recycler *recycler, uint64_t bytes);

/* ---- what the core's recyclers hold: handles of each device's memory, and slabs of host memory ------------------ */

/** Host memory of the host tier, known by the address of its record, which never moves. */
struct slab {
    struct host_memory memory;
};

/** The slab that an item of core.slabs is. */
static inline struct slab *slab_of(uint64_t item)
{
    return (struct slab *)(uintptr_t)item;
}

/** Empty recyclers for every device of core.device, and for slabs. Before anybody else uses the core. */
void slabs_init(void);

#endif
