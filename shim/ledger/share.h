/* SPDX-License-Identifier: Apache-2.0 */
/*
 * share.h - how the blocks of a device share it: what counts as operation, as buffer, as neither.
 *
 * The arithmetic is policy's (shares.h); here is what it is about. Shares are in force once the program has used the
 * API, or has set EBBTIDE_OPERATIONS or EBBTIDE_BUFFERS, unless these say `off`. The capacity of a device is its budget
 * without the staging reserve.
 *
 * Threads  core.lock held, but where it says otherwise.
 */
#ifndef EBB_SHARE_H
#define EBB_SHARE_H

#include <stdbool.h>
#include <stdint.h>

#include "ledger/block.h"
#include "policy/shares.h"

/** The share that a block counts in. */
enum share {
    SHARE_LOOSE,     /**< movable and not registered, or not alive */
    SHARE_FIXED,     /**< pinned for a reason of ours, or a library's own: its resident bytes */
    SHARE_BUFFER,    /**< registered and unpinned: its resident bytes */
    SHARE_OPERATION, /**< pinned by the program or drawn from a reservation: all of it */
    SHARE_COUNT
};

/** Are shares in force? No lock needed. */
bool share_in_force(void);

/** The options are known. No lock needed. */
void share_start(void);

/** The program has used the API. No lock needed. */
void share_begin(void);

/** After a change of pins, registration or life: count the block where it belongs, at the end of the queue there. */
void share_update(uint32_t first);

/** `bytes` of the block came to the device, or left it (negative). */
void share_moved(uint32_t first, int64_t bytes);

/** The block's bytes on the device. */
uint64_t share_resident(uint32_t first);

/** Limits worked out before, and what from: a tier's change rarely and are asked for at every pin. */
struct share_memo {
    uint64_t capacity_bytes, untracked_bytes;
    struct share_limits limits;
};

/** Books of a tier: its bytes by share. */
struct share_books {
    uint64_t bytes[SHARE_COUNT];
    uint64_t wanted_bytes;  /**< whole size of what is SHARE_BUFFER */
    struct share_memo memo; /**< share.c's */
};

/** The figures that policy asks for, of a device. */
struct shares share_state(unsigned ordinal);

/**
 * May operations grow by `bytes`?
 *
 * @first   a block that leaves the buffers for it, or BLOCK_NONE
 * Returns  0; -ENOSPC they may not. Always 0 while shares are not in force
 */
int share_admit(unsigned ordinal, uint64_t bytes, uint32_t first);

/** The program's first pin of a block, as far as share_admit lets it; and its last one taken back: true if
 *  share_settle would evict now. */
int share_pin(uint32_t first);
bool share_unpin(uint32_t first);

/** Is the block on the device, or is there a place for it as a buffer if all others left? True while shares are not in
 *  force. */
bool share_has_place(uint32_t first);

/** Would share_settle evict? */
bool share_unsettled(unsigned ordinal);

/* ---- the host -------------------------------------------------------------------------------------------------- */

/**
 * What of the host's budget is whose.
 *
 * Operations are host blocks that the program has pinned; those that the driver has pinned are fixed. Buffers are the
 * other ones, by what of them is in memory, and what registered device blocks have in host memory, unless they are on
 * the device as well: a copy like that is loose, as is what nobody registered. The capacity is the budget without the
 * staging reserve; the heap and what the driver has pinned shrink it.
 */
struct host_share {
    struct share_books books;
    uint64_t ranges_bytes; /**< charged for host blocks, whatever the class */
    uint64_t stuck_bytes;  /**< the role's: buffers when nothing more of them could leave; 0: all is well */
};

/** The same of the host. */
struct shares host_share_state(void);

/** Count anew what of the device block at `first` is in host memory: it has moved, or begins or ceases to be
 *  registered. */
void host_share_block(uint32_t first);

/* ---- host blocks: `here_bytes` of `whole_bytes` are in memory; core.lock not held ----------------------------- */

/** The block counts elsewhere; SHARE_LOOSE: not yet, or no longer. */
void host_share_move(enum share from, enum share to, uint64_t here_bytes, uint64_t whole_bytes);

/** The block becomes an operation. 0; -ENOSPC operations may not grow by that, or, without shares, all that is pinned
 *  passes the budget. */
int host_share_pin(enum share from, uint64_t here_bytes, uint64_t whole_bytes);

/** Bytes of one came into memory, or left it (negative). The ledger has them before they come and after they left. */
void host_share_moved(enum share share, int64_t bytes);

/** In the ledger: charge what comes, if it fits now (-ENOMEM) or whatever the budget says, and give back what left.
 *  Not in the shares' books, but what is charged here does not shrink the capacity. */
int host_share_try(enum host_class class, uint64_t bytes);
void host_share_force(enum host_class class, uint64_t bytes);
void host_share_credit(enum host_class class, uint64_t bytes);
/** So much of the heap, charged as such, belongs to a host block, or no longer does (negative). */
void host_share_adopt(int64_t bytes);

/** host_share_state; core.lock not held. */
struct shares host_share_now(void);

/** Bytes that must leave for `bytes` more of buffers, so that they keep to their maximum and all fits. 0 while shares are
 *  not in force. */
uint64_t host_share_over(uint64_t bytes);

#endif
