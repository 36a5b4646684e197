/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heap_room.h - room in the host's budget that is made for the heap.
 *
 * An allocation of the heap may come from anywhere: from inside the driver, under a lock of the program's, from the
 * mover itself. So it never moves a block itself: it waits for the monitor's thread, which holds nothing.
 *
 * Threads  any, no lock held but those of the program.
 */
#ifndef EBB_HEAP_ROOM_H
#define EBB_HEAP_ROOM_H

#include <stdbool.h>
#include <stdint.h>

/** Have room made, waiting EBBTIDE_WAIT_MS many times at most; `asked`: how often this request has been here. False:
 *  none could be made, or the caller is where nobody may wait. */
bool heap_room_make(uint64_t bytes, unsigned asked);

/** EBBTIDE_ON_FULL=allow: charge it though no room could be made, and say it. False: it is not to be allowed. */
bool heap_room_pass(uint64_t bytes);

#endif
