/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine.h - how much memory this machine lets the process have, and how short of it it is.
 *
 * Nothing here calls malloc; it reads /proc and /sys. Threads: any.
 * Source   Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/memory.rst and accounting/psi.rst of Linux.
 */
#ifndef EBB_MACHINE_H
#define EBB_MACHINE_H

#include <stdint.h>

/** The smaller of RAM and the limit of the process's cgroup (v2 or v1), in bytes; 0 when there is no descriptor left to
 *  ask with. @root  as for machine_look */
uint64_t machine_memory_bytes(const char *root);

/** RAM and swap, in bytes: more no process can have. */
uint64_t machine_most_bytes(void);

/** The number that a small file of the system holds, or `none` where it is not there or has a word. */
uint64_t machine_number(const char *folder, const char *file, uint64_t none);

/** The memory nodes that have processors, too, as bits; 0: unknown. Others are a device's own memory, or slower than
 *  this machine's. Nodes above 62 are left out. @root  as for machine_look */
uint64_t machine_nodes(const char *root);

struct machine {
    uint64_t memory_bytes; /**< as of machine_memory_bytes */
    uint64_t limit_bytes;  /**< of the cgroup with the least one on the way up; UINT64_MAX: none below RAM */
    uint64_t used_bytes;   /**< by all in that group, less cached files, which the kernel would drop */
    uint32_t stalled_ppm;  /**< share of the last 10 s in which a task waited for memory; 0: unknown, too */
};

/** Look at the machine. @root  "", or the folder that a test keeps its own /proc and /sys in, below 100 characters */
void machine_look(const char *root, struct machine *out);

#endif
