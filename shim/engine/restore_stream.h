/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restore_stream.h - blocks that come back behind a stream: nobody waits for the copy but the stream.
 *
 * What is unmapped is mapped at its address first and filled then. Work that the stream has already goes on; what it
 * is given from now on runs once the block is complete. Any other use, and anything that moves, waits for that. Until
 * then the chunks are RETURNING, their slabs are authoritative, and the owner entries say that the block is gone.
 *
 * Threads  as it says at each.
 */
#ifndef EBB_ARRIVAL_H
#define EBB_ARRIVAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct use;

/**
 * Let a pinned block come back behind `stream`. The role held by mover_take_beside.
 *
 * Returns  0; -EAGAIN not so: nothing was changed. It is mapped, on disk or broken, there is no room, a capture is
 *          open, too many are on their way, or the device cannot do this
 */
int restore_stream_begin(uint32_t first, void *stream);

/** Chunks that are on their way; written by restore_stream.c. */
extern _Atomic uint32_t restore_stream_count;

/** Is any on its way? Any thread. */
static inline bool restore_stream_any(void)
{
    return atomic_load_explicit(&restore_stream_count, memory_order_acquire) != 0;
}

/** Wait for all of them. Role held. */
void restore_streams_settle(void);

/** Is all that the call lacks on its way behind the stream that it goes to? Inside the user section. */
bool restore_stream_serves(const struct use *use);

/** In a forked child: there are none. */
void restore_streams_forked(void);

#endif
