/* SPDX-License-Identifier: Apache-2.0 */
/* Other data on the device: blocks that are written by kernels, so that something else may have to make room.
 */
#ifndef PROGRAMS_PRESSURE_H
#define PROGRAMS_PRESSURE_H

#include "driver.h"

struct pressure;

/* Allocates about `bytes` bytes in blocks. `module` holds pressure_fill. */
struct pressure *pressure_create(CUmodule module, uint64_t bytes);

/* Writes every block anew by a kernel each, and waits. */
void pressure_touch(struct pressure *pressure);

/* Reads every block back and ends the program if a byte is not what was last written. Frees everything. */
void pressure_destroy(struct pressure *pressure);

#endif
