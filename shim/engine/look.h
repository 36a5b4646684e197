/* SPDX-License-Identifier: Apache-2.0 */
/*
 * look.h - what a device holds, by a walk over all blocks and a question to the driver.
 *
 * Threads  any; no lock held.
 */
#ifndef EBB_LOOK_H
#define EBB_LOOK_H

#include <stdbool.h>

#include "live/figures.h"

/** All of live_look; notes what managed memory takes there (ledger/live.h). */
void look_take(unsigned ordinal, struct live_look *out);

/** Look at all devices that are ready, for the page. No more than a thousandth of the time goes there, unless `now`. One
 *  thread does; others go on at once. */
void look_publish(bool now);

#endif
