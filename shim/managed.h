/* SPDX-License-Identifier: Apache-2.0 */
/*
 * managed.h - cudaMalloc out of managed memory (EBBTIDE_ALLOCATOR=managed), for drivers without virtual memory.
 *
 * The driver moves pages by itself. What is decided here is where an allocation belongs: as long as the device budget
 * has room it prefers the device and is prefetched to it; beyond that it prefers the host, where kernels reach it over
 * the link, and is charged to the host budget. When something is freed, what waits on the host moves up.
 *
 * Threads  any; no lock held, a context current.
 * Source   CUDA's programming guide, unified memory: a page whose preferred location is the host and that a device has
 *          access to stays there when the device touches it.
 */
#ifndef EBB_MANAGED_H
#define EBB_MANAGED_H

#include "contexts.h"

/** 0; -ENOMEM refused by both budgets (one line was logged), or by the driver. */
int managed_allocate(const struct place *place, size_t bytes, CUdeviceptr *out);

struct native;

/** Memory with this record was freed: move up what waits for the device and fits. */
void managed_freed(const struct native *freed);

#endif
