/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory pools. Memory is taken when the allocation is submitted and freed when the free runs in its stream;
 * freed blocks stay with the pool, and count, up to its release threshold, and serve later requests of the
 * same size.
 */
#ifndef SIMGPU_POOL_H
#define SIMGPU_POOL_H

#include "memory/memory.h"

struct cached;

struct pool {
    struct pool *next;
    struct device *device;
    struct cached *cached;
    cuuint64_t threshold;
    cuuint64_t used, used_high, reserved, reserved_high;
    int reuse[3]; /* CU_MEMPOOL_ATTR_REUSE_*, in their order */
    unsigned char access[DEVICES_MAX];
    size_t max_bytes; /* 0: no limit */
};

/* Runs a stream-ordered free, of memory that cuMemAlloc gave, too. Called without the lock. */
void pool_free(struct memory *memory);

/* Physical memory comes to the pool and goes: slabs and large allocations. */
void pool_reserve(struct pool *pool, size_t bytes);
void pool_release(struct pool *pool, size_t bytes);

/* Frees pool memory now. */
void pool_give(struct memory *memory);

/* Gives cached blocks of all pools of the device back. False if there were none. */
bool pool_trim_all(struct device *device);

/* Whether contexts of the device may touch the pool's memory. */
bool pool_allows(const struct pool *pool, const struct device *device, bool write);

#endif
