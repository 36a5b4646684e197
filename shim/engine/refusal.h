/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refusal.h - the line that says why an allocation, a launch, or that a block stays was refused.
 *
 * It names the budget, what was asked and what is free, the kinds that hold most, with what of them could move and why the rest
 * could not, the three largest allocations likewise, what operations hold (pinned by the program, and reserved), and the
 * options that would have helped. No lock of the core is held by the caller.
 */
#ifndef EBB_REFUSAL_H
#define EBB_REFUSAL_H

#include <stdbool.h>
#include <stdint.h>

/** No allocation is to be refused: EBBTIDE_ON_FULL=allow, or the process ends, and a moment later it would go past us
 *  to the driver. */
bool refusal_is_waived(void);

/** Device memory was refused. `what` of it: "allocation", "launch". Counts the refusal; not once the process ends. */
void refusal_device(unsigned ordinal, uint64_t bytes, const char *what);

#endif
