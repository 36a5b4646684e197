/* SPDX-License-Identifier: Apache-2.0 */
/*
 * foresight.h - EBBTIDE_POLICY=lookahead: launches are noted while blocks are away, and say which is wanted last.
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
#include <stdint.h>

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

/** Who would leave by LRU, in that order, by their granules less `low`: valid until the next choice. */
void foresight_oldest(uint32_t low, const uint32_t *list, uint32_t count);

/** A part of a block left its device; from now on launches are noted. */
void foresight_left(uint32_t first);

/** Granules of a block came back. */
void foresight_came(uint32_t first, uint32_t granules);

/** In a forked child: nothing is noted any more. */
void foresight_forked(void);

/** Note nothing more once nothing was away for ten seconds. */
void foresight_rest(uint64_t now_ns);

#endif
