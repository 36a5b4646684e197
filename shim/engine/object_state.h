/* SPDX-License-Identifier: Apache-2.0 */
/*
 * object_state.h - a block that the program has registered: found, inline, since pins and touches are called all the
 * time; held and restored.
 */
#ifndef EBB_OBJECT_STATE_H
#define EBB_OBJECT_STATE_H

#include <errno.h>

#include "base/compiler.h"
#include "ledger/state.h"

/** First granule of the live block at an address; -ENOENT. Any thread, without a lock. */
static inline int object_at(uint64_t address, uint32_t *out_first)
{
    if (!core_owns(address) || !blocks_at(&core.blocks, address_granule(&core.blocks, address), out_first))
        return -ENOENT;
    return 0;
}

static inline bool object_registered(uint32_t first)
{
    return core.blocks.block[first].flags & BLOCK_REGISTERED;
}

/** Take core.lock with the registered block at an address in hand; -ENOENT without the lock. */
static inline int object_lock(uint64_t address, uint32_t *out_first)
{
    lock_acquire(&core.lock);
    if (LIKELY(!object_at(address, out_first) && object_registered(*out_first)))
        return 0;
    lock_release(&core.lock);
    return -ENOENT;
}

/** Pins of the program's own: without that of a reservation. core.lock held. */
static inline unsigned object_pins(uint32_t first)
{
    const struct block *block = &core.blocks.block[first];

    return block->pins[PIN_API] - (block->flags & BLOCK_DRAWN ? 1u : 0u);
}

/** The block is used now. core.lock held, or a stamp that is not 0. */
static inline void object_stamp(uint32_t first)
{
    atomic_store_explicit(&core.blocks.stamp[first], core_stamp(), memory_order_relaxed);
}

/** The same without the lock: a stamp of 0 says that it is being freed, and stays. */
static inline void object_stamp_alive(uint32_t first)
{
    if (atomic_load_explicit(&core.blocks.stamp[first], memory_order_relaxed))
        object_stamp(first);
}

/** A block is no victim of its own restoring, from hold to let_go. Role held. */
void object_hold(uint32_t first);
void object_let_go(uint32_t first);

/** A block that is away comes back, with what it came from kept as a copy. Role held. Errors as restore_block. */
int object_bring(uint32_t first);

#endif
