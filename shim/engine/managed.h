/* SPDX-License-Identifier: Apache-2.0 */
/*
 * managed.h - the program's managed memory, whose pages the driver moves.
 *
 * Where devices fault on pages it takes room only where it is used, may be larger than the device, and is never refused.
 * The budget holds all the same: a piece of it (ledger/managed_range.h) may be on its device only while the budget lends its
 * bytes, and is kept off all devices otherwise, where it is used over the link. What a call names comes in before it, in
 * the place of what was used longest ago, managed memory or blocks; blocks take the place of such pieces the same way. No
 * device has to come to rest for that: pages are everybody's wherever they are.
 *
 * Threads  any; no lock held. Asks the driver.
 */
#ifndef EBB_MANAGED_H
#define EBB_MANAGED_H

#include <stdbool.h>
#include <stdint.h>

struct use;

/** Is memory of this class such on this device? Elsewhere managed memory takes its room when it is allocated. */
bool managed_floats(unsigned ordinal, unsigned class);

/** A call is about to use the managed memory that it names: that comes in, as far as there is room. Outside the gate. */
void managed_use(struct use *use);

/** Pieces that were last used before a stamp leave the device, the oldest first, until `bytes` fit there. Role held. Returns
 *  the bytes that have left. */
uint64_t managed_leave(unsigned ordinal, uint64_t bytes, uint64_t before);

/* ---- between managed.c and managed_use.c ---------------------------------------------------------------------------- */

struct managed_range;

/** Bytes that the device lacks for so many more. */
uint64_t managed_short_of(unsigned ordinal, uint64_t bytes);

/** The range of the device that was used longest ago, and before a stamp, made busy; NULL: there is none. Until it is given
 *  back; or freed, with core.lock held. */
struct managed_range *managed_take_oldest(unsigned ordinal, uint64_t before);
void managed_give(struct managed_range *range);
void managed_free(struct managed_range *range);

/** Pieces of a range, a bit for each. */
static inline void managed_mark(uint64_t *marks, uint32_t piece)
{
    marks[piece / 64] |= UINT64_C(1) << piece % 64;
}

static inline bool managed_is_marked(const uint64_t *marks, uint32_t piece)
{
    return marks[piece / 64] >> piece % 64 & 1;
}

/** The driver is told of each run of marked pieces where they may be; the range is busy. 0, or what failed: then of none that
 *  follows. */
int managed_confine(const struct managed_range *range, const uint64_t *marks, unsigned from, unsigned to);

/** The last pieces of a busy range leave, of `bytes` at least. Returns the bytes that the budget has again. */
uint64_t managed_send(struct managed_range *range, uint64_t bytes);

#endif
