/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host_share.h - how the host's budget is shared, as share.h has it for a device.
 *
 * Operations are host blocks that the program has pinned; those that the driver has pinned are fixed. Buffers are the
 * other ones, by what of them is in memory, and what registered device blocks have in host memory, unless they are on
 * the device as well: a copy like that is loose, as is what nobody registered. The capacity is the budget without the
 * staging reserve; the heap and what the driver has pinned shrink it.
 *
 * Threads  core.lock held, but where it says otherwise.
 */
#ifndef EBB_HOST_AREA_H
#define EBB_HOST_AREA_H

#include <stdbool.h>
#include <stdint.h>

#include "ledger/block.h"
#include "ledger/share.h"

struct host_share {
    struct share_books books;
    uint64_t ranges_bytes; /**< charged for host blocks, whatever the class */
    uint64_t stuck_bytes;  /**< the role's: buffers when nothing more of them could leave; 0: all is well */
};

/** What policy asks about the host. */
struct shares host_share_state(void);

/** Count anew what of the device block at `first` is in host memory: it has moved, or begins or ceases to be
 *  registered. */
void host_share_block(uint32_t first);

/* ---- host blocks: `here_bytes` of `whole_bytes` are in memory; core.lock not held ----------------------------- */

/** It counts elsewhere; SHARE_LOOSE: not yet, or no longer. */
void host_share_move(enum share from, enum share to, uint64_t here_bytes, uint64_t whole_bytes);

/** It becomes an operation. 0; -ENOSPC operations may not grow by that, or, without areas, all that is pinned passes
 *  the budget. */
int host_share_pin(enum share from, uint64_t here_bytes, uint64_t whole_bytes);

/** Bytes of one came into memory, or left it (negative). The ledger has them before they come and after they left. */
void host_share_moved(enum share share, int64_t bytes);

/** In the ledger: charge what comes, if it fits now (-ENOMEM) or whatever the budget says, and give back what left.
 *  Not in the areas' books, but what is charged here does not shrink the capacity. */
int host_share_try(enum host_class class, uint64_t bytes);
void host_share_force(enum host_class class, uint64_t bytes);
void host_share_credit(enum host_class class, uint64_t bytes);
/** So much of the heap, charged as such, belongs to a host block, or no longer does (negative). */
void host_share_adopt(int64_t bytes);

/** host_share_state; core.lock not held. */
struct shares host_share_now(void);

/* ---- keeping to them; core.lock not held --------------------------------------------------------------------- */

/** What must leave for `bytes` more of buffers, so that they keep to their maximum and all fits. 0 while areas are
 *  not in force. */
uint64_t host_share_over(uint64_t bytes);

/** Send buffers to disk until they keep to their maximum and all fits, as far as any can leave. Role held. Nothing
 *  while they do, or while areas are not in force. */
void host_share_settle(void);

/** Send what is loose, then buffers, to disk until all fits into the capacity and the budget has room for
 *  `coming_bytes`, as far as any can leave. Role held. 0; -ENOSPC not even with every buffer gone: what is coming
 *  would pass the budget. */
int host_share_make_room(uint64_t coming_bytes);

#endif
