/* SPDX-License-Identifier: Apache-2.0 */
/*
 * allocate.h - what allocating and freeing a block is made of.
 *
 * Threads  any; core.lock not held, but where it says so.
 */
#ifndef EBB_ALLOCATE_H
#define EBB_ALLOCATE_H

#include <stdbool.h>
#include <stdint.h>

struct block;

/* ---- allocate.c ---------------------------------------------------------------------------------------------------- */

/** One try to make a block that the program can have, of freed ones, of a reservation of this thread, or of fresh memory.
 *  0, with its id in `fresh`; -EAGAIN, -ENOMEM. */
int allocate_block(struct block *fresh, uint32_t *out_first);

/** Try what makes `room_bytes` for an allocation of the program's of `bytes`, until it has them or is refused. `attempt` as
 *  room_try's. 0; -ENOMEM, said; -ENOTSUP the driver is to be asked. */
int allocate_in_room(unsigned ordinal, uint64_t bytes, uint64_t room_bytes, int (*attempt)(void *arg),
                     void *arg);

/* ---- freed_blocks.c: freed blocks that stay mapped ----------------------------------------------------------------- */

/** recycler_take for the device, with idle blocks taken apart where needed. */
int allocate_take(unsigned ordinal, uint64_t bytes, uint64_t keep_free_bytes, uint64_t *out_handle);

/** An idle block of the size of a fresh one, whose record it gets. False: there is none, or the budget would not have
 *  `keep_bytes` left. core.lock held. */
bool idle_take_block(const struct block *fresh, uint64_t keep_bytes, uint32_t *out_first);

/** A dead block becomes idle. False: it cannot, or there are enough. core.lock held. */
bool idle_keep(uint32_t first);

/** Take idle blocks apart until `bytes` of device memory are idle handles. Returns the bytes. */
uint64_t idle_drop(unsigned ordinal, uint64_t bytes);

/** Give idle memory of the device back to the driver until `bytes` could be charged with `keep_free_bytes` left free,
 *  or none is idle. True if any was given back. */
bool idle_trim(unsigned ordinal, uint64_t bytes, uint64_t keep_free_bytes);

/* ---- backing.c --------------------------------------------------------------------------------------------- */

/**
 * Device memory for a chunk that is being built, others evicted where needed; else host memory that will be mapped.
 *
 * @rest_bytes  of the block from this chunk on: room is made for all of them at once
 * Returns      0, with the chunk's handle or its slab; -EAGAIN others were in the way, who will let go by themselves;
 *              -ENOMEM. Neither the role nor a user section is held
 */
int backing_take(uint32_t first, uint32_t granule, uint64_t rest_bytes);

/* ---- free.c ------------------------------------------------------------------------------------------------ */

/** The granules have no block any more, and tell those who wait. core.lock held. */
void block_forget(uint32_t first);

/** Give back blocks that were freed while their device was not at rest, waiting for that as drain_wait does. True if
 *  there was any. */
bool free_deferred(uint64_t limit_ms);

/** Free a block that nothing can use any more: its devices are at rest. Nothing happens when somebody else has. */
void free_at_rest(uint32_t first, uint64_t id);

/** Memory that was freed in the order of a stream: give back, until `bytes` are, what no stream is before the free of.
 *  Never waits. Returns the bytes of the device. Neither core.lock nor a user section is held. */
uint64_t ordered_give(unsigned ordinal, uint64_t bytes);

/** Under the lock: a block freed in the order of a stream is none of those any more. False: it was not. */
bool ordered_end(uint32_t first, uint64_t id);

/** All of them wait for their device to be at rest from now on; the process ends. */
void ordered_defer(void);

/** Take dead blocks that could not be given back out of the ledgers; the process ends. */
void free_write_off(void);

#endif
