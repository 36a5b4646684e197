/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reload_callback.h - objects whose bytes the program has elsewhere: they leave without being saved, and it fills them again.
 *
 * A chunk that was dropped is CHUNK_DISK without a slot. It comes back as one that is on disk does, but that the
 * program's function fills the slab.
 *
 * Threads  any; the function runs in the thread that needs the block, which holds the mover's role and no lock.
 */
#ifndef EBB_RELOAD_H
#define EBB_RELOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "ebbtide.h"

/** As ebb_set_reload_callback says it. */
int reload_callback_set(uint64_t address, ebb_reload_fn fn, void *arg);

/** Have a dropped chunk's bytes put into host memory of its size. Role held. 0; -EIO the program could not (said). */
int reload_callback_fill(uint32_t first, uint32_t granule, void *memory);

/** Is this thread inside the program's function? */
bool reload_callback_running(void);

#endif
