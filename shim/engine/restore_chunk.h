/* SPDX-License-Identifier: Apache-2.0 */
/*
 * returning.h - one unmapped chunk on its way back, for flight.c, which waits for it, and arrival.c, which does not.
 *
 * Threads  the mover's role.
 */
#ifndef EBB_RETURNING_H
#define EBB_RETURNING_H

#include "ledger/state.h"

struct returning {
    uint32_t first, granule;
    uint64_t slab;    /**< taken for it, or its own */
    uint64_t handle;  /**< 0: it goes to mapped host memory */
    uint64_t scratch; /**< private address of the handle; 0: none */
    uint64_t epoch;
    struct transfer transfer;
    bool submitted;
    bool from_disk;
    bool dropped; /**< no slot: the program fills the slab */
    bool keep;    /**< what it comes from stays good */
    int result;
};

static inline struct chunk *returning_chunk(const struct returning *returning)
{
    return &core.blocks.chunk[returning->granule];
}

/** Under the lock: a chunk at rest joins, marked RETURNING. */
struct returning returning_begin(uint32_t first, uint32_t granule);

/** Start a transfer between its slab and `device_address`, or its slot. The result says whether it was started. */
void returning_submit(struct returning *returning, enum tier from, enum tier to, uint64_t device_address);

/** Under the lock: the chunk's new state, by the result. True: its slab is left over. */
bool returning_commit(struct returning *returning);

#endif
