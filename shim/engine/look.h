/* SPDX-License-Identifier: Apache-2.0 */
/*
 * look.h - what a device holds, by a walk over all blocks and a question to the driver.
 *
 * Threads  any; no lock held.
 */
#ifndef EBB_LOOK_H
#define EBB_LOOK_H

#include "live/figures.h"

/** All of live_look; notes what managed memory takes there (ledger/live.h). */
void look_take(unsigned ordinal, struct live_look *out);

#endif
