/* SPDX-License-Identifier: Apache-2.0 */
/* Which file a program's kernels come from. */
#ifndef PROGRAMS_KERNEL_FILE_H
#define PROGRAMS_KERNEL_FILE_H

#include <stddef.h>

/*
 * Writes the path of the n-th file to try: the one `given` alone, or without one (NULL) those beside the
 * executable, named after it: `.simgpu.so` and then `.fatbin` for the simulated device, elsewhere the other way round.
 * Returns 0, or -1 when there is no n-th one.
 */
int kernel_file_path(const char *given, int n, char *path, size_t size);

#endif
