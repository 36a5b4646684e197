/* SPDX-License-Identifier: Apache-2.0 */
/*
 * swap.h - in a pause, chunks leave a device while others come to it: both ways of the link carry at once.
 *
 * What comes begins in the device memory that is free, the reserve that headroom.h keeps among it, and goes on in what
 * those that left had. What leaves begins in free host memory, and goes on in what those that came had. So no more is in
 * use than the budgets have, at any moment, and as much is free at the end as the sum of both lists says.
 *
 * Threads  the mover's role; no lock. Gate closed, device drained.
 */
#ifndef EBB_SWAP_H
#define EBB_SWAP_H

#include <stdint.h>

struct step;

struct swapped {
    uint64_t evicted_bytes, restored_bytes;
};

/**
 * Chunks leave the device for host memory, or are dropped where they are clean; chunks that are mapped host memory come
 * back. All of one device. A step that fails is rolled back: its chunk is where it was, or broken, and its bytes are kept.
 *
 * @leaving    resident, marked CHUNK_LEAVING, and described: what is `clean`, `unmap` and `whole`
 * @returning  mapped host memory, marked CHUNK_RETURNING; in the order in which they come, as far as there is room
 * Returns     the bytes that moved
 */
struct swapped swap_run(struct step *leaving, uint32_t leaving_count, struct step *returning,
                        uint32_t returning_count);

#endif
