/* SPDX-License-Identifier: Apache-2.0 */
/*
 * managed.h - the program's managed memory, which the driver moves.
 *
 * Where devices fault on pages it takes room only where it is used, may be larger than the device, and makes room for
 * everything else there by itself: it is never refused, stands in no budget's way, and counts by what the driver's own
 * figures show of it.
 *
 * Threads  any; no lock held. Asks the driver.
 */
#ifndef EBB_MANAGED_H
#define EBB_MANAGED_H

#include <stdbool.h>
#include <stdint.h>

/** Is memory of this class such on this device? Elsewhere managed memory takes its room when it is allocated. */
bool managed_floats(unsigned ordinal, unsigned class);

/** So much is about to be allocated, or was freed; on whichever device. */
void managed_take(uint64_t bytes);
void managed_give(uint64_t bytes);

#endif
