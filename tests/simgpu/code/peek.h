/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of the program that may not be there. Images come as a bare pointer, and say themselves how long they are:
 * what they say is not believed before it is seen. Any thread; no lock.
 */
#ifndef SIMGPU_PEEK_H
#define SIMGPU_PEEK_H

#include <stdbool.h>
#include <stddef.h>

/* Copies bytes of this process; false if not all of them can be read. Where the kernel does not let a process copy from
 * itself in this way, they are read as they are. */
bool peek(const void *from, void *to, size_t bytes);

/* Length of a text without its end; false if none is found in what can be read, or in the first GiB. */
bool peek_text(const char *text, size_t *length);

#endif
