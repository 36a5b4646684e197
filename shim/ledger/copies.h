/* SPDX-License-Identifier: Apache-2.0 */
/*
 * copies.h - copies of what is on the device: why a block that nobody wrote leaves without being saved again.
 *
 * A registered block that came back keeps the slab or the slot that it came from, as long as the program answers for
 * what is written: while it is pinned, and after an unpin that said clean. A use that may write voids them.
 *
 * Threads  any, core.lock not held but where it says so.
 */
#ifndef EBB_COPIES_H
#define EBB_COPIES_H

#include <stdbool.h>
#include <stdint.h>

struct chunk;

/** The block at `first` is written from now on, or their room is needed: its copies go. Returns the bytes of slabs. */
uint64_t copies_void(uint32_t first);

/** A chunk's disk copy, if it has one, is given back. core.lock held. */
void chunk_drop_slot(struct chunk *chunk);

/** Give back the disk copies of all chunks that the device can reach: they are a convenience, room is not. Those that the
 *  program answers for go last, with their slabs. True if there was any. */
bool copies_reclaim_slots(void);

#endif
