/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mover.h - the role under which blocks are moved, and making room on a device.
 *
 * One thread at a time holds the role; it is handed on first come first served. Holding it is not holding a lock:
 * every step inside is plan under core.lock, act without it, commit or roll back under it.
 */
#ifndef EBB_MOVER_H
#define EBB_MOVER_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/compiler.h"
#include "engine/pause.h"

/** True in the thread that holds the role. */
extern THREAD_LOCAL bool mover_mine;

void mover_take(void);
/** The role beside blocks that are on their way behind a stream, which mover_take waits for: they are not to be
 *  touched. */
void mover_take_beside(void);

/** Wait, on CLOCK_MONOTONIC, until all who have the role, or wait for it now, have given it back. False: somebody has
 *  it still, be it this thread or one in a driver call that does not return. */
bool mover_settle(const struct timespec *until);

/** Hand the role on; before that the host's buffers are made to keep to their share. */
void mover_give(void);

/**
 * Evict until `bytes` more could be charged to the device. Role held.
 *
 * @from_host_bytes  so much of it comes from the host tier, which has that room again afterwards
 * Returns  0; -ENOSPC it cannot be had, what could leave has; -EBUSY a capture is open; -ETIMEDOUT the device
 *          did not come to rest
 */
int mover_make_room(unsigned ordinal, uint64_t bytes, uint64_t from_host_bytes);

/** The stamp of the block that was used longest ago and could leave the device; UINT64_MAX: there is none. */
uint64_t mover_oldest(unsigned ordinal);

/** True if any block, or any registered one, with a stamp up to `newest` (0: of any age) could leave the device, if a
 *  scan allowed that. */
bool mover_anything_leaves(unsigned ordinal, uint64_t newest, bool only_registered);

/** Evict by a plan, as far as the host tier can take it. Role held. Returns the bytes that left. */
uint64_t mover_evict(struct pause_plan plan);

/** Send one block to host memory, or on to disk. Role held. Returns the bytes that came to that tier. */
uint64_t mover_send(uint32_t first, bool to_disk);

/**
 * Prepare a pause that makes room for `bytes`: write to disk what the host tier has no room for. Role held.
 *
 * @from_host_bytes  as for mover_make_room
 * Returns  the bytes to evict in the pause
 */
uint64_t mover_ready_host(unsigned ordinal, uint64_t bytes, uint64_t from_host_bytes);

/** True if a new block of `bytes` would fit, did no launch run and nobody build or free a block. Everything that may
 *  leave the device counts, as long as the other tiers have room for it. core.lock not held. */
bool mover_could_ever(unsigned ordinal, uint64_t bytes);

/* ---- memory is moved until the shares of a tier (ledger/share.h) are kept to; role held, core.lock not ---------- */

/** Evict the least recent buffers until they keep to their maximum and all fits, as far as any can leave; the block at
 *  `but` stays. */
void share_settle(unsigned ordinal, uint32_t but);

/** Send buffers to disk until they keep to their maximum and all fits, as far as any can leave. Nothing while they do,
 *  or while shares are not in force. */
void host_share_settle(void);

/** Send what is loose, then buffers, to disk until all fits into the capacity and the budget has room for
 *  `coming_bytes`, as far as any can leave. 0; -ENOSPC not even with every buffer gone: what is coming would pass the
 *  budget. */
int host_share_make_room(uint64_t coming_bytes);

#endif
