/* SPDX-License-Identifier: Apache-2.0 */
/*
 * placement.h - in which tier a block that the program has just registered begins (BlazingSQL's CacheMachine).
 *
 * It belongs to the first tier whose ledger, the block included, is under its high mark: what enters a device that is
 * nearly full goes on at once, and does not push others out. Without a monitor there are no marks, and it stays where
 * it is.
 */
#ifndef EBB_PLACEMENT_H
#define EBB_PLACEMENT_H

#include <stdint.h>

/** Place the block at `first`. Mover's role held, no lock. What cannot go stays. */
void placement_enter(uint32_t first);

#endif
