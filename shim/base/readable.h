/* SPDX-License-Identifier: Apache-2.0 */
/*
 * readable.h - whether memory that somebody names can be read: its address and its length may be wrong.
 *
 * Threads  any. One system call, or one for each page where not all of it can be. Never allocates, keeps errno.
 */
#ifndef EBB_READABLE_H
#define EBB_READABLE_H

#include <stddef.h>

/** Bytes from the first one on that can be read, `bytes` at most. Another thread may unmap them at once. */
size_t readable_bytes(const void *memory, size_t bytes);

#endif
