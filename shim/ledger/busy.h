/* SPDX-License-Identifier: Apache-2.0 */
/*
 * busy.h - whether anything is managed here, which blocks may leave and what forbids it, and what others hold for a
 * moment.
 *
 * Any thread; where core.lock must be held it is said.
 */
#ifndef EBB_BUSY_H
#define EBB_BUSY_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "ledger/kind.h"

/* ---- whether anything is managed here --------------------------------------------------------------------- */

/** True between core_host_start and core_finish, also in a forked child. */
bool core_host_active(void);

/** True between a successful core_start and core_finish; false in a forked child. */
bool core_active(void);

/** Is the program's memory managed in this process: core_host_active, and not a forked child. */
bool core_manages(void);

/* ---- what forbids that blocks leave ------------------------------------------------------------------------ */

/** Is a stream capture open, so that nothing can leave? Tells once when that has been in somebody's way for long. */
bool core_capturing(void);

/** Calls of the program pass us by: from now on memory is accounted, what is unmapped comes back when it is used, since
 *  nothing reaches it before, and nothing else moves. Said once; `why` lives for ever. */
void core_account_only(const char *why);

/** Has it been called? */
bool core_is_bypassed(void);

/** Does anybody need to know what kernels could read a pointer from: may there be a search still? */
bool core_roots_wanted(void);

/** Something was found that makes every root unknowable (condition 3 of EBBTIDE_DISK=auto); said once. */
void core_roots_unknown(const char *why);

/* ---- which blocks may leave: the device, and the tiers that are mapped; core.lock held ----------------------
 *
 * A kernel may reach memory through a pointer that nobody saw. So a block is unmapped only if the program named it, if
 * a scan has just found no pointer to it (`proven`: scan_run has returned true), or if EBBTIDE_DISK=always says that
 * none is kept.
 */

/** True when the block may leave the mapped tiers. */
bool movable_may_unmap(uint32_t first, bool proven);

/** True when the block may leave the device once no launch uses it. */
bool movable_could_evict(uint32_t first, bool proven);

/** True when it may leave now. */
bool movable_may_evict(uint32_t first, bool proven);

/** May a search prove something, so that it is worth one? */
bool movable_may_prove(void);

/** Why what the block has on the device cannot leave it now; STAY_NOT: it may, where there is a place for it. */
enum stay movable_stays(uint32_t first);

/* ---- what others hold for a moment ------------------------------------------------------------------------- */

/** The block is complete on the device again: noted against thrashing, and as a use, lest it leaves before it is
 *  used. core.lock held. */
void block_returned(uint32_t first);

/** Is the block of a launch that waits for it or uses it? core.lock held. */
bool block_in_launch(uint32_t first);

/** All launch pins. */
uint64_t core_launch_pins(void);

/** Is anything in the hands of others that they will let go of by themselves: pinned by launches, being built, being
 *  given back? */
bool core_in_use(void);

/** lock_wait_until on core.changed, with core.lock. Where the thread ends in it, by a signal handler of the program's,
 *  the lock is let go. */
int core_wait_until(const struct timespec *until);

/** Wait a moment for a launch pin to be dropped, or a block to be finished or given back. */
void core_wait_change(void);

/** Tell those who wait that one of these happened. */
void core_tell_change(void);

/** Around the building and the giving back of a block. */
void core_change_begin(void);
void core_change_end(void);

#endif
