/* SPDX-License-Identifier: Apache-2.0 */
/*
 * malloc_loads.h - small programs that live by malloc, of the kinds that allocators are compared with.
 *
 * Units    `count` scales a load; one of each takes about a microsecond.
 * Errors   it ends the process with a line.
 */
#ifndef EBB_BENCH_MALLOC_LOADS_H
#define EBB_BENCH_MALLOC_LOADS_H

#include <stddef.h>

/** malloc, or the end. */
void *must_malloc(size_t bytes);

/** Run the load of this name. 0, or 2 when there is none. */
int loads_run(const char *name, unsigned long count);

#endif
