/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What kernels print: kept in the order in which it was printed, and written to the program's standard output when the
 * host waits for something, so that it stands where the program expects it. Beyond a megabyte the oldest is lost.
 */
#ifndef SIMGPU_PTX_PRINT_H
#define SIMGPU_PTX_PRINT_H

#include "ptx/device/thread.h"

/*
 * Device code's vprintf, by way of a text of ROOM_TEXT_BYTES: addresses of the format and of the arguments, which lie one
 * behind the other, each at its alignment. Returns how many arguments there were. Without the lock; may fault.
 */
u32 print_format(char *text, u64 format, u64 arguments);

/* Whether something waits to be written. No lock. */
bool print_waits(void);

/* Writes it. Without the lock. */
void print_flush(void);

#endif
