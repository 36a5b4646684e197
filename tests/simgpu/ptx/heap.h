/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The heap that kernels allocate from with malloc: one for each context, taken from its device's memory when it is first
 * used, as large as CU_LIMIT_MALLOC_HEAP_SIZE says then. What is in it stays from kernel to kernel.
 */
#ifndef SIMGPU_PTX_HEAP_H
#define SIMGPU_PTX_HEAP_H

#include "ptx/device/thread.h"

struct context;

/* For the running kernel's context: 16 bytes aligned; 0 where there is no room. Without the lock. */
u64 heap_allocate(struct ptx_thread *thread, u64 bytes);

/* Of 0 nothing. What was not allocated ends the kernel. Without the lock. */
void heap_release(struct ptx_thread *thread, u64 address);

/* Gives the context's heap back, with all that is in it. */
void heap_clear(const struct context *context);

#endif
