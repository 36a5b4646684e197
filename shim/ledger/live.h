/* SPDX-License-Identifier: Apache-2.0 */
/*
 * live.h - the figures of this process that are cheap to collect.
 *
 * Threads  any; no lock held.
 */
#ifndef EBB_LIVE_H
#define EBB_LIVE_H

#include "live/figures.h"

/** Budgets at one instant each, counters one by one. Calls no driver. */
void live_collect(struct live_now *out);

/** The driver has so much of the program's managed memory on the device, which no budget was charged for. It counts as if
 *  until it is said anew: only the driver knows (core_managed_on). */
void live_note_managed(unsigned ordinal, uint64_t bytes);

#endif
