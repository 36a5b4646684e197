/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan.h - is there a pointer to a block anywhere that a kernel could find it?
 *
 * A conservative scan of all memory that kernels can read, in steps of 4 bytes, by the device itself where it can,
 * else through copies by the CPU: any 8 bytes that would be an address inside the arena count as a pointer to the
 * block there and, one granule wider on both sides, to its neighbours. Gate closed, device drained, role held.
 *
 * Afterwards each block's flags say whether it holds such a word (BLOCK_HOLDER) and whether one points at it
 * (BLOCK_REFERENCED). They are void as soon as the gate opens.
 */
#ifndef EBB_SCAN_H
#define EBB_SCAN_H

#include <stdbool.h>

struct use;

/** Trust in a device; core.scan. */
enum scan_trust {
    SCAN_UNTRIED,
    SCAN_TRUSTED,
    SCAN_REFUSED /**< it cannot, or it was wrong */
};

/** Note the blocks that memory points at which kernels read and the CPU writes. Before each launch while something is
 *  unmapped; any thread. */
void scan_cpu_roots(struct use *use);

/** Scan everything. False: some root cannot be known (said once), so nothing was proven. */
bool scan_run(void);

#endif
