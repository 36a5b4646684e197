/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reservation.h - device memory that a thread has announced, charged before there is anything behind it.
 *
 * Shape    reserved bytes are class CLASS_RESERVED of the device's budget. While a thread makes a block, or a block is
 *          committed, what it takes from the recycler of handles comes out of a reservation as far as that goes: the
 *          bytes change their class and the budget does not move. Such a block is BLOCK_DRAWN and has a pin until it is
 *          committed or the reservation ends.
 * Threads  a reservation belongs to the thread that made it, as far as allocations draw on it by themselves; any
 *          thread may commit and release.
 * Errors   as ebbtide.h says it of the functions.
 */
#ifndef EBB_RESERVATION_H
#define EBB_RESERVATION_H

#include <stdint.h>

#include "ebbtide.h"

int reservation_make(unsigned ordinal, uint64_t bytes, unsigned flags, unsigned timeout_ms,
                     ebb_reservation *out, uint64_t *out_overbooked_bytes);
int reservation_commit(ebb_reservation reservation, uint64_t address);
/** @bytes  UINT64_MAX: all. */
int reservation_release(ebb_reservation reservation, uint64_t bytes);

/**
 * Until reservation_draw_end this thread's new handles come out of a reservation of its own on the device, if it has
 * one that covers `bytes`, or whose rest operations may grow by.
 *
 * Returns  which one; 0: none, and nothing to end
 */
ebb_reservation reservation_draw_begin(unsigned ordinal, uint64_t bytes);
/** The block at `first` was made, or none was (BLOCK_NONE): then what was drawn goes back. core.lock not held. */
void reservation_draw_end(unsigned ordinal, uint32_t first);

/** A drawn block is freed before it was committed: its bytes are nobody's. core.lock held. */
void reservation_forget(uint32_t first);

/** How much of `bytes` the thread can draw now, until reservation_draw_end. core.lock held. */
uint64_t reservation_drawable(uint64_t bytes);
/** Draw that: it is out of the reservation, and stays charged as CLASS_RESERVED until the caller changes its class. core.lock
 *  held. */
uint64_t reservation_draw(uint64_t bytes);
/** Nothing came of so much that was drawn. core.lock not held. */
void reservation_undraw(unsigned ordinal, uint64_t bytes);

#endif
