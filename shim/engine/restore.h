/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restore.h - blocks come back to their device.
 *
 * restore.c decides who comes back and how. There are three ways: chunks mapped in host memory are restored in a pause
 * (pause.c); unmapped chunks, which no kernel can reach, are restored with the gate open and waited for (restore.c), or
 * behind a stream, where nobody but the stream waits (restore_stream.c). What all three do to one chunk is in step.h.
 *
 * Threads  the mover's role, but where it says otherwise.
 */
#ifndef EBB_RESTORE_H
#define EBB_RESTORE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct use;

/* ---- restore.c ------------------------------------------------------------------------------------------- */

/**
 * Restore blocks so that the device can reach every one of them.
 *
 * Those that fit become resident; of the others, those that are mapped host memory stay there, those that are
 * unmapped become mapped host memory.
 * Returns  0: all are reachable; -ENOSPC: some are not (the caller may retry when launch pins are dropped)
 */
int restore_blocks(const uint32_t *firsts, uint32_t count);

/** Make every chunk of one block resident. 0, -ENOSPC, -EBUSY, -EIO. */
int restore_block(uint32_t first);

/** Host memory is full, and the reserve of both tiers lies with the device: some chunk comes back there, so that its
 *  slab can be read into. False: the host has its reserve, or nothing came back. */
bool restore_lend_slab(unsigned ordinal);

/* ---- restore_stream.c ------------------------------------------------------------------------------------ */

/**
 * Restore a pinned block behind `stream`: its chunks are mapped at their addresses first and filled then. Work that the
 * stream has already goes on; what it is given from now on runs once the block is complete. Any other use, and anything
 * that moves, waits for that. Until then the chunks are RETURNING, their slabs are authoritative, and the owner entries
 * say that the block is gone. The role is held by mover_take_beside.
 *
 * Returns  0; -EAGAIN not so: nothing was changed. It is mapped, on disk or broken, there is no room, a capture is
 *          open, too many are on their way, or the device cannot do this
 */
int restore_stream_begin(uint32_t first, void *stream);

/** Chunks that are on their way; written by restore_stream.c. */
extern _Atomic uint32_t restore_stream_count;

/** True while any is on its way. Any thread. */
static inline bool restore_stream_any(void)
{
    return atomic_load_explicit(&restore_stream_count, memory_order_acquire) != 0;
}

/** Wait for all of them. */
void restore_streams_settle(void);

/** True if all that the call lacks is on its way behind the stream that it goes to. Inside the user section. */
bool restore_stream_serves(const struct use *use);

/** In a forked child: there are none. */
void restore_streams_forked(void);

#endif
