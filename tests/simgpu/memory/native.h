/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocations that the driver places itself: cuMemAlloc, pools, managed memory. Up to 1 MiB they are carved
 * in units of 512 bytes out of slabs of 2 MiB, which count whole and go back when empty; larger ones are
 * rounded to 2 MiB.
 */
#ifndef SIMGPU_NATIVE_H
#define SIMGPU_NATIVE_H

#include "device/context.h"
#include "memory/memory.h"

/* Allocates in the context, on its device: for a pool, or (pool NULL) of the kind NATIVE or MANAGED.
 * CUDA_ERROR_OUT_OF_MEMORY. */
CUresult native_take(struct context *context, size_t bytes, enum memory_kind kind, struct pool *pool,
                     struct memory **memory);

/* The addresses stay dead; nobody waits. */
void native_give(struct memory *memory);

/* Frees everything that the context has allocated, host memory included. */
void native_clear(struct context *context);

#endif
