/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lifecycle.h - load, start, unload, exit and fork of the library.
 *
 * Loading reads the options and opens the log, and nothing else: no thread, no CUDA, no library. Managing starts at
 * the first successful cuInit. A forked child of a process that had started manages nothing and passes everything
 * through; one that had not may start by itself.
 */
#ifndef EBB_LIFECYCLE_H
#define EBB_LIFECYCLE_H

#include <stdbool.h>

/** Blocks are managed: between a successful core_start and core_finish, and not in a forked child. */
extern bool lifecycle_manages __attribute__((visibility("hidden")));

/** cuInit has succeeded: start managing, once. Returns when it has been decided. */
void lifecycle_cuda_started(void);

/** The driver lacks what the allocator that was asked for needs: memory is accounted only. After lifecycle_cuda_started. */
bool lifecycle_is_reduced(void);

#endif
