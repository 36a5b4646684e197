/* SPDX-License-Identifier: Apache-2.0 */
/*
 * malloc.h - when the malloc family begins to count, and when it steps aside.
 *
 * It serves from the first call of the loader on, and counts; limits hold from malloc_start on. Weak: the library can
 * be built without the malloc family, and then both are NULL.
 */
#ifndef EBB_MALLOC_H
#define EBB_MALLOC_H

#include <stdbool.h>

struct options;

/** The options are known: hold the heap to the host budget, or leave it to libc where the program has a malloc of its
 *  own, runs under a sanitizer or Valgrind, or EBBTIDE_DISABLE is set. Once, from the library's constructor. */
void malloc_start(const struct options *options) __attribute__((weak));

/** There may be a fork from now on: jemalloc's handlers are registered, and then fork_watch was called; nothing
 *  while that is being done. Any time. */
void malloc_first(void) __attribute__((weak));

/** Does the address lie in an object of the heap, which is counted already? Microseconds for most that do not. */
bool malloc_counts(const void *memory) __attribute__((weak));

#endif
