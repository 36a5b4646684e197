/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine.h - how much memory this machine lets the process have.
 */
#ifndef EBB_MACHINE_H
#define EBB_MACHINE_H

#include <stdint.h>

/** The smaller of RAM and the limit of the process's cgroup (v2 or v1), in bytes. Reads /proc and /sys, no malloc. */
uint64_t machine_memory_bytes(void);

#endif
