/* SPDX-License-Identifier: Apache-2.0 */
/*
 * foresight.h - EBBTIDE_POLICY=lookahead: launches are noted once a device is nearly full, and say which block is wanted last.
 *
 * Shape    a thread that launches writes what it uses into a ring of its own: no lock, no line that others write. The
 *          mover reads all rings in the order of their stamps when it chooses who leaves, and keeps what policy/lookahead.h
 *          wants to know of each device. Blocks have rows there, found by their first granule. What does not fit a
 *          ring, a row or the first devices is not foretold, and leaves as it would by LRU.
 * Threads  foresight_note: any, of its own slot. foresight_rest: the monitor's. All else: the mover's role and core.lock.
 * Owns     its tables, for ever: addresses alone until they are used. Without another policy, or memory, there are none,
 *          and everything here does nothing.
 */
#ifndef EBB_FORESIGHT_H
#define EBB_FORESIGHT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/plan.h"

struct use;

enum {
    FORESIGHT_OLDEST = 64
};

/** Take the tables. Before the first use. */
void foresight_start(void);

/** Note what a call uses, by the thread that makes it. */
void foresight_note(const struct use *use);

/** Read what was noted since the last time. False: nothing is known, and who leaves is LRU's affair. */
bool foresight_update(void);

/** Launches until a block is wanted, where that is trusted, else since it was used; 0: not known. */
uint32_t foresight_ahead(uint32_t first);

/** May blocks come back before they are wanted? */
bool foresight_batches(unsigned ordinal);

/** Its turn and its trust are filled in. False: it is not foretold. */
bool foresight_tell(uint32_t first, struct plan_block *block);

/** Foretold blocks of a device that may come, the one that is wanted first in front, each as a whole; `list` has room for
 *  PLAN_BATCH_BLOCKS. How many there are. */
size_t foresight_list(unsigned ordinal, bool (*may_come)(uint32_t first, void *arg), void *arg,
                      struct plan_block *list);

/** These may come before they are wanted, and no others, until the next time. */
void foresight_expect(const uint32_t *firsts, uint32_t count);

/** A pause moved `bytes` the way that took longer, for `move_ns` of the `ns` that the gate was closed and the devices at rest, for
 *  which it had waited for `drain_ns`: what the next one costs goes by that, in bytes that move in the time. */
void foresight_paused(uint64_t drain_ns, uint64_t ns, uint64_t move_ns, uint64_t bytes);
uint64_t foresight_pause_bytes(void);

/** Who would leave by LRU, in that order, by their granules less `low`: valid until the next choice. */
void foresight_oldest(uint32_t low, const uint32_t *list, uint32_t count);

/** A block was made on a device: once that holds 7/8 of what it may, launches are noted. core.lock held. */
void foresight_made(unsigned ordinal);

/** Notes wait that will soon have no room: foresight_update reads them. Any thread. */
bool foresight_waits(void);

/** A part of a block left its device; from now on launches are noted. */
void foresight_left(uint32_t first);

/** Granules of a block came back. */
void foresight_came(uint32_t first, uint32_t granules);

/** In a forked child: nothing is noted any more. */
void foresight_forked(void);

/** Note nothing more once nothing was away, and no device nearly full, for ten seconds. No lock held. */
void foresight_rest(uint64_t now_ns);

#endif
