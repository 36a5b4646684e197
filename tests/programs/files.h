/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An endless stream of real bytes: the regular files below some folders, in byte order of their paths, again
 * and again. Names and sizes are taken once; a file that has shrunk or gone since reads as zeros.
 */
#ifndef PROGRAMS_FILES_H
#define PROGRAMS_FILES_H

#include <stddef.h>
#include <stdint.h>

struct files;

/* Lists files until they hold `wanted_bytes` together or there are no more. None at all ends the program. */
struct files *files_open(const char *const *folders, int count, uint64_t wanted_bytes);

/* Reads the next `bytes` bytes of the stream; there are always as many. */
void files_read(struct files *files, void *data, size_t bytes);

void files_close(struct files *files);

#endif
