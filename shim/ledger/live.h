/* SPDX-License-Identifier: Apache-2.0 */
/*
 * live.h - the figures of this process that are cheap to collect, and its page (live/page.h), which has them.
 *
 * Page     there is one from the first use of a device on. Whoever has taken memory from the driver, given it back, or
 *          moved bytes says so, and the page is true again; what only changes hands between the program and us is so at
 *          the timer's next tick. Nothing is said on the way of a launch, or of a block that is recycled.
 * Threads  any; no lock held. Nobody waits: one writes for all who come meanwhile.
 */
#ifndef EBB_LIVE_H
#define EBB_LIVE_H

#include "live/figures.h"

/** Budgets at one instant each, counters one by one. Calls no driver. */
void live_collect(struct live_now *out);

/** The driver has so much of the program's managed memory on the device, which no budget was charged for. It counts as if
 *  until it is said anew: only the driver knows (core_managed_on). */
void live_note_managed(unsigned ordinal, uint64_t bytes);

/** A device is ready. The first: the page is made, if the options want one and there is a place for it. */
void live_begin(void);

/** The figures have changed. */
void live_changed(void);

/** The same to the byte of the heap. */
void live_tick(void);

/** The process comes to its end by itself: these are its last figures. */
void live_end(void);

/** Whoever started this is to have no page: the doctor. */
void live_hide(void);

/** In a forked child, which has none. Async-signal-safe. */
void live_forked(void);

#endif
