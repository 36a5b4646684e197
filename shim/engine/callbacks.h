/* SPDX-License-Identifier: Apache-2.0 */
/*
 * callbacks.h - what the program is asked: for room before a request is refused, and for bytes that only it has.
 */
#ifndef EBB_CALLBACKS_H
#define EBB_CALLBACKS_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "ebbtide.h"

/* ---- for room: any thread; nothing of ours is locked or held, since the program may call us ---------- */

void pressure_callback_set(ebb_pressure_fn fn, void *arg);

/** room_try after a first attempt that lacked room. */
int room_try_again(int device, uint64_t bytes, int (*attempt)(void *arg), void *arg);

/**
 * Try what needs room, and ask the program for some as often as it is refused: the one loop of all that may be.
 *
 * @device   ordinal; -1: the room is the host's
 * @bytes    that the program is told of
 * @attempt  makes what room it can by itself; -ENOSPC: it lacks some. Any other result ends the loop
 * Returns   what the last attempt did. The program is not asked within its function
 */
static inline int room_try(int device, uint64_t bytes, int (*attempt)(void *arg), void *arg)
{
    int error = attempt(arg);

    return UNLIKELY(error == -ENOSPC) ? room_try_again(device, bytes, attempt, arg) : error;
}

/** True inside the program's function. */
bool pressure_callback_asking(void);

/** In a forked child: nobody is asked. */
void pressure_callback_forked(void);

/* ---- for bytes: a chunk that was dropped is CHUNK_DISK without a slot; the program fills its slab -------- */

/** Have a dropped chunk's bytes put into host memory of its size. Role held, no lock. 0; -EIO the program could not
 *  (said). */
int reload_callback_fill(uint32_t first, uint32_t granule, void *memory);

/** True inside the program's function. */
bool reload_callback_running(void);

#endif
