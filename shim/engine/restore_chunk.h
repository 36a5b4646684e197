/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restore_chunk.h - one unmapped chunk on its way back: begin, take memory, settle.
 *
 * Threads  the mover's role; no lock, but where it says so.
 */
#ifndef EBB_RESTORE_CHUNK_H
#define EBB_RESTORE_CHUNK_H

#include "engine/step.h"

/** A chunk at rest joins, marked RETURNING. core.lock held. */
struct step restore_chunk_begin(uint32_t first, uint32_t granule);

/** Take device memory for it; errors as recycler_take. */
int restore_chunk_take(struct step *restore, uint64_t keep_free_bytes);

/** Give up its device memory; it is used again only if `is_good`. */
void restore_chunk_give(struct step *restore, bool is_good);

/** The chunk's new state, by the result; without a handle it is in mapped host memory. For steps_commit. */
bool restore_chunk_settle(struct step *restore);

#endif
