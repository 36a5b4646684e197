/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spill.h - host memory is freed by writing to disk what no kernel can reach, with the gate open.
 *
 * Threads  the mover's role; no lock.
 */
#ifndef EBB_SPILL_H
#define EBB_SPILL_H

#include <stdint.h>

/** Free `bytes` of the host budget: unmapped slabs are written to disk, more are unmapped if need be; then host blocks
 *  go, and copies of what is on the device. 0; -ENOSPC not everything could go. */
int spill_make_room(uint64_t bytes);

/** Device blocks with a stamp up to `newest` alone, and no host blocks; 0: of any age, and all, as above. */
int spill_cold(uint64_t bytes, uint64_t newest);

/** Write registered memory to disk, device and host blocks, and no more than that: nothing is unmapped for it. Returns
 *  the bytes that left. */
uint64_t spill_registered(uint64_t bytes);

/** Write what one block has in host memory. Returns the bytes. */
uint64_t spill_block(uint32_t first);

#endif
