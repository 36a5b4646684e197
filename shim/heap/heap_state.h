/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heap_state.h - what stands between the host's budget and the accounts of threads, for shim/heap/ only.
 *
 *     host budget  --lots-->  pool  --credit-->  account of a thread
 *
 * Threads  any. No lock but, once per lot, core.lock.
 */
#ifndef EBB_HEAP_STATE_H
#define EBB_HEAP_STATE_H

#include "heap/heap.h"

/* ---- heap_pool.c: what the budget is charged with and no thread was granted -----------------------------------
 *
 * Lots     the budget is asked for many threads' credit at a time, and has back what the pool has too much of.
 * Open     until then there is no budget to ask: whoever is granted credit owes it, and the pool is below 0. */

/** The budget is there: charge what is owed, which may be more than it has. `limit_bytes` of the whole budget. */
void heap_pool_open(uint64_t limit_bytes);
bool heap_pool_is_open(void);

/** Bytes in it now; below 0: that are owed. */
int64_t heap_pool_bytes(void);
/** Charged to the budget, in the pool or granted. */
int64_t heap_pool_charged(void);
/** Room of the budget when it was last asked. */
uint64_t heap_pool_room(void);
/** True if the budget can spare one more lot. */
bool heap_pool_has_ample_room(void);

/** Between `least` and `most` bytes out of it, all that it has up to that; 0 when it has less than `least`. */
int64_t heap_pool_take(int64_t least, int64_t most);
/** So much goes back into it, and stays for whoever asks next. */
void heap_pool_put(int64_t bytes);
/** So much goes back into it, and to the budget when it has become too much. */
void heap_pool_give(int64_t bytes);

/** Charge a lot and `bytes`, or only `bytes` where there is no room for that. False: there is none for them either. */
bool heap_pool_grow(uint64_t bytes);
/** Give the budget so much out of it, or what there is. False: it has nothing. */
bool heap_pool_shrink(int64_t most);

/** So much was charged by another way, or no more is, and is not the pool's: below 0 for the second. */
void heap_pool_charged_add(int64_t bytes);

/* ---- heap_recall.c: take back the credit that threads hold unused ----------------------------------------------
 *
 * A thread uses its credit without telling anybody, so it is asked in two steps: first nobody enters an account any
 * more (heap_recalls) and everybody has left; then slow_at is 0, so that no fast path begins. After each step
 * membarrier(2) makes all threads see it, at their next instruction. What may still be on its way then is one
 * allocation of HEAP_FAST_MOST_BYTES in each thread, which stays theirs.
 *
 * Threads  one recall at a time, with the list of accounts locked. The caller is not inside its account, or waits in it. */

/** Tell the kernel that this will be used, while there is one thread yet: later it takes milliseconds. False: it cannot. */
bool heap_recall_start(void);

/** How much there is to take back, roughly. */
int64_t heap_recallable(const struct heap_account *accounts);

/** Take back what there is, and tell how much. Waits a fifth of a second at most for threads that are inside. */
int64_t heap_recall(struct heap_account *accounts);

/* ---- heap_room.c: room that is made in the budget --------------------------------------------------------------
 *
 * An allocation of the heap may come from anywhere: from inside the driver, under a lock of the program's, from the
 * mover itself. So it never moves a block itself: it waits for the monitor's thread, which holds nothing. No lock is held
 * but those of the program. */

/** Have room made, waiting EBBTIDE_WAIT_MS many times at most; `asked`: how often this request has been here. False:
 *  none could be made, or the caller is where nobody may wait. */
bool heap_room_make(uint64_t bytes, unsigned asked);

/** Charge it though no room could be made: what the driver asks for, and with EBBTIDE_ON_FULL=allow, which says it, all.
 *  False: it is not to be allowed. */
bool heap_room_pass(uint64_t bytes);

#endif
