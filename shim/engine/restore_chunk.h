/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restore_chunk.h - one unmapped chunk on its way back, for restore_wait.c, which waits for it, and restore_stream.c, which does not.
 *
 * Threads  the mover's role.
 */
#ifndef EBB_RETURNING_H
#define EBB_RETURNING_H

#include "ledger/state.h"

struct restore_chunk {
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

static inline struct chunk *restore_chunk_of(const struct restore_chunk *restore)
{
    return &core.blocks.chunk[restore->granule];
}

/** Under the lock: a chunk at rest joins, marked RETURNING. */
struct restore_chunk restore_chunk_begin(uint32_t first, uint32_t granule);

/** Start a transfer between its slab and `device_address`, or its slot. The result says whether it was started. */
void restore_chunk_submit(struct restore_chunk *restore, enum tier from, enum tier to,
                          uint64_t device_address);

/** Under the lock: the chunk's new state, by the result. True: its slab is left over. */
bool restore_chunk_commit(struct restore_chunk *restore);

#endif
