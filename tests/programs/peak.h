/* SPDX-License-Identifier: Apache-2.0 */
/* A program's own count of the device memory that it has asked for. Any thread. */
#ifndef PROGRAMS_PEAK_H
#define PROGRAMS_PEAK_H

#include <stdint.h>

void peak_add(uint64_t bytes);
void peak_remove(uint64_t bytes);

/* The most that was ever held at one time, in bytes. */
uint64_t peak_bytes(void);

#endif
