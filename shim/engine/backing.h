/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backing.h - the memory behind a new chunk, for which others may have to leave.
 */
#ifndef EBB_BACKING_H
#define EBB_BACKING_H

#include <stdint.h>

/**
 * Device memory for a chunk that is being built, others evicted where needed; else host memory that will be mapped.
 *
 * @rest_bytes  of the block from this chunk on: room is made for all of them at once
 * Returns      0, with the chunk's handle or its slab; -EAGAIN others were in the way, who will let go by themselves;
 *              -ENOMEM. Threads: any; neither the role nor a user section is held.
 */
int backing_take(uint32_t first, uint32_t granule, uint64_t rest_bytes);

#endif
