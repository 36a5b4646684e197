/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same piece of work through the driver, the runtime and entries that the runtime hands out: WAY_BLOCKS blocks,
 * each filled with a value of its own, read back and freed. It needs more device memory than the tests allow, so it
 * shows that a program that reached CUDA in some way is managed.
 */
#ifndef WAY_H
#define WAY_H

#include <stddef.h>

enum {
    WAY_BLOCKS = 10,
};
#define WAY_BYTES ((size_t)4 << 20)

/* NULL when all bytes were right, else the call that failed. The second prints the CUDA error as well. */
const char *way_driver(void);
const char *way_runtime(void);
const char *way_entries(void);

/* Exit status for a complaint, which is printed. */
int way_end(const char *complaint);

#endif
