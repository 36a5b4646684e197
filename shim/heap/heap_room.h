/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heap_room.h - the host's budget beyond blocks: what the heap takes of it, and the room that is made for the heap.
 *
 * An allocation of the heap may come from anywhere: from inside the driver, under a lock of the program's, from the
 * mover itself. So it never moves a block itself: it waits for the monitor's thread, which holds nothing (room_wait.h).
 */
#ifndef EBB_HOST_H
#define EBB_HOST_H

#include "base/lock.h"

struct budget;

/** core_host_start's. Before core.lock. */
extern struct lock host_starting;

/** Around fork: the host has started or has not, and its ledger is in order, in the child. Nothing else may be called
 *  between. */
void host_lock(void);
void host_unlock(void);

/** What the host's budget holds, the heap to the byte instead of by lots. */
void host_figures(struct budget *out);

#endif
