/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heap_pool.h - what the host's budget is charged with for the heap and no thread was granted.
 *
 *     host budget  --lots-->  pool  --credit-->  account of a thread
 *
 * Lots     the budget is asked for many threads' credit at a time, and has back what the pool has too much of.
 * Open     until then there is no budget to ask: whoever is granted credit owes it, and the pool is below 0.
 * Threads  any. No lock but, once per lot, core.lock.
 */
#ifndef EBB_HEAP_POOL_H
#define EBB_HEAP_POOL_H

#include <stdbool.h>
#include <stdint.h>

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

#endif
