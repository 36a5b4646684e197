/* SPDX-License-Identifier: Apache-2.0 */
/*
 * share.h - how the blocks of a device share it: what counts as operation, as buffer, as neither.
 *
 * The arithmetic is policy's (shares.h); here is what it is about. Areas are in force once the program has used the
 * API, or has set EBBTIDE_OPERATIONS or EBBTIDE_BUFFERS, unless these say `off`. The capacity of a device is its budget
 * without the staging reserve.
 *
 * Threads  core.lock held, but where it says otherwise.
 */
#ifndef EBB_AREA_H
#define EBB_AREA_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/shares.h"

/** Where a block counts. */
enum share {
    SHARE_LOOSE,     /**< movable and not registered, or not alive */
    SHARE_FIXED,     /**< pinned for a reason of ours, or a library's own: its resident bytes */
    SHARE_BUFFER,    /**< registered and unpinned: its resident bytes */
    SHARE_OPERATION, /**< pinned by the program or drawn from a reservation: all of it */
    SHARE_COUNT
};

/** Are areas in force? No lock needed. */
bool share_in_force(void);

/** The options are known. No lock needed. */
void share_start(void);

/** The program has used the API. No lock needed. */
void share_begin(void);

/** After a change of pins, registration or life: count the block where it belongs, at the end of the queue there. */
void share_update(uint32_t first);

/** `bytes` of the block came to the device, or left it. */
void share_came(uint32_t first, uint64_t bytes);
void share_went(uint32_t first, uint64_t bytes);

/** The block's bytes on the device. */
uint64_t share_resident(uint32_t first);

/** Limits worked out before, and what from: a tier's change rarely and are asked for at every pin. */
struct share_memo {
    uint64_t capacity_bytes, untracked_bytes;
    struct share_limits limits;
};

/** What a tier has, by where it counts. */
struct share_books {
    uint64_t bytes[SHARE_COUNT];
    uint64_t wanted_bytes;  /**< whole size of what is SHARE_BUFFER */
    struct share_memo memo; /**< share_tier.h's */
};

/** What policy asks about a device. */
struct shares share_state(unsigned ordinal);

/** No block. */
#define SHARE_NO_BLOCK UINT32_MAX

/**
 * May operations grow by `bytes`?
 *
 * @first   a block that leaves the buffers for it, or SHARE_NO_BLOCK
 * Returns  0; -ENOSPC they may not. Always 0 while areas are not in force
 */
int share_admit(unsigned ordinal, uint64_t bytes, uint32_t first);

/** The program's first pin of a block, as far as share_admit lets it; and its last one taken back: true if
 *  share_settle would evict now. */
int share_pin(uint32_t first);
bool share_unpin(uint32_t first);

/** Is the block on the device, or is there a place for it as a buffer if all others left? True while areas are not in
 *  force. */
bool share_has_place(uint32_t first);

/** Evict the least recent buffers until they keep to their maximum and all fits, as far as any can leave; the block at
 *  `but` stays. Role held, core.lock not. */
void share_settle(unsigned ordinal, uint32_t but);

/** Would share_settle evict? */
bool share_unsettled(unsigned ordinal);

#endif
