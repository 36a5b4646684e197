/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restore_wait.h - unmapped chunks come back, a few at a time.
 *
 * No kernel can reach them, so nothing is closed and nothing drained: each is read into a slab if it is on disk, copied
 * to device memory through a private address, and mapped at its own address last. Threads: the mover's role.
 */
#ifndef EBB_FLIGHT_H
#define EBB_FLIGHT_H

#include <stdbool.h>
#include <stdint.h>

enum {
    RESTORE_CHUNKS_MOST = 4 /**< that can be on their way together */
};

/** Bring up to `most` unmapped chunks of the blocks that start at these granules back. `allow_mapped`: to mapped host
 *  memory where the device has no room. Returns how many came; 0 when none is left or none can. */
uint32_t restore_wait(const uint32_t *firsts, uint32_t count, uint32_t most, bool allow_mapped);

#endif
