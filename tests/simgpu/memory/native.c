/* SPDX-License-Identifier: Apache-2.0 */
#include "memory/native.h"

#include "memory/extent.h"
#include "memory/graph_memory.h"
#include "memory/host.h"
#include "memory/pool.h"
#include "memory/space.h"
#include "stream/capture.h"
#include "stream/hazard.h"
#include "stream/op.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum {
    UNIT = 512,
    SMALL_MAX = 1 << 20,
    SLAB_UNITS = GRANULE / UNIT,
    SLABS_LOOKED_AT = 64
};

/* 2 MiB of a context's device for one kind of allocation. */
struct slab {
    struct slab *next, *previous;
    struct context *context;
    enum memory_kind kind;
    struct pool *pool; /* of a pooled one */
    uintptr_t start;
    uint64_t place;
    unsigned used; /* units */
    uint64_t taken[SLAB_UNITS / 64];
};

static struct slab *slabs;

static bool unit_taken(const struct slab *slab, unsigned unit)
{
    return slab->taken[unit / 64] >> unit % 64 & 1;
}

static void units_mark(struct slab *slab, unsigned first, unsigned count, bool taken)
{
    for (unsigned unit = first; unit < first + count; unit++) {
        uint64_t bit = (uint64_t)1 << unit % 64;

        slab->taken[unit / 64] = taken ? slab->taken[unit / 64] | bit : slab->taken[unit / 64] & ~bit;
    }
    slab->used = taken ? slab->used + count : slab->used - count;
}

/* The first run of free units, or SLAB_UNITS. */
static unsigned units_find(const struct slab *slab, unsigned count)
{
    unsigned run = 0;

    for (unsigned unit = 0; unit < SLAB_UNITS; unit++) {
        if (unit % 64 == 0 && slab->taken[unit / 64] == UINT64_MAX) {
            run = 0;
            unit += 63;
            continue;
        }
        run = unit_taken(slab, unit) ? 0 : run + 1;
        if (run == count)
            return unit + 1 - count;
    }
    return SLAB_UNITS;
}

static enum store store_of(enum memory_kind kind)
{
    return kind == MEMORY_POOLED ? STORE_POOL : kind == MEMORY_MANAGED ? STORE_MANAGED : STORE_NATIVE;
}

static void slab_unlink(struct slab *slab)
{
    if (slab->previous)
        slab->previous->next = slab->next;
    else
        slabs = slab->next;
    if (slab->next)
        slab->next->previous = slab->previous;
}

static void slab_push(struct slab *slab)
{
    slab->previous = NULL;
    slab->next = slabs;
    if (slabs)
        slabs->previous = slab;
    slabs = slab;
}

static void slab_give(struct slab *slab)
{
    slab_unlink(slab);
    extent_give(slab->context->device, store_of(slab->kind), GRANULE, slab->start, slab->place);
    if (slab->pool)
        pool_release(slab->pool, GRANULE);
    free(slab);
}

static CUresult slab_create(struct context *context, enum memory_kind kind, struct pool *pool,
                            struct slab **created)
{
    struct slab *slab = calloc(1, sizeof *slab);
    CUresult result;

    if (!slab)
        return CUDA_ERROR_OUT_OF_MEMORY;
    slab->context = context;
    slab->kind = kind;
    slab->pool = pool;
    result = extent_take(context->device, store_of(kind), GRANULE, &slab->start, &slab->place);
    if (result != CUDA_SUCCESS) {
        free(slab);
        return result;
    }
    slab_push(slab);
    if (pool)
        pool_reserve(pool, GRANULE);
    *created = slab;
    return CUDA_SUCCESS;
}

/* The slab and its first free unit for a run of units; looks at no more than that many slabs, the latest changed
 * first. */
static struct slab *slab_find(const struct context *context, enum memory_kind kind, const struct pool *pool,
                              unsigned units, unsigned most, unsigned *first)
{
    for (struct slab *slab = slabs; slab && most--; slab = slab->next) {
        unsigned found;

        if (slab->context != context || slab->kind != kind || slab->pool != pool ||
            SLAB_UNITS - slab->used < units)
            continue;
        found = units_find(slab, units);
        if (found < SLAB_UNITS) {
            *first = found;
            return slab;
        }
    }
    return NULL;
}

static CUresult take_small(struct context *context, size_t bytes, enum memory_kind kind, struct pool *pool,
                           struct memory **taken)
{
    unsigned units = (unsigned)((bytes + UNIT - 1) / UNIT), first = 0;
    struct slab *slab = slab_find(context, kind, pool, units, SLABS_LOOKED_AT, &first);
    CUresult result = slab ? CUDA_SUCCESS : slab_create(context, kind, pool, &slab);
    struct memory *memory;

    if (result != CUDA_SUCCESS) {
        slab = slab_find(context, kind, pool, units, UINT_MAX, &first);
        if (!slab)
            return result;
    }
    memory = memory_add(slab->start + (size_t)first * UNIT, bytes, kind, context->device->ordinal,
                        slab->place + (size_t)first * UNIT);
    if (!memory) {
        if (!slab->used)
            slab_give(slab);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    units_mark(slab, first, units, true);
    memory->slab = slab;
    *taken = memory;
    return CUDA_SUCCESS;
}

static CUresult take_large(struct context *context, size_t bytes, enum memory_kind kind, struct pool *pool,
                           struct memory **taken)
{
    size_t held = (bytes + GRANULE - 1) & ~(size_t)(GRANULE - 1);
    struct memory *memory;
    uintptr_t start;
    uint64_t place;
    CUresult result;

    if (held < bytes)
        return CUDA_ERROR_OUT_OF_MEMORY;
    result = extent_take(context->device, store_of(kind), held, &start, &place);
    if (result != CUDA_SUCCESS)
        return result;
    memory = memory_add(start, bytes, kind, context->device->ordinal, place);
    if (!memory) {
        extent_give(context->device, store_of(kind), held, start, place);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    memory->held_bytes = held;
    if (pool)
        pool_reserve(pool, held);
    *taken = memory;
    return CUDA_SUCCESS;
}

CUresult native_take(struct context *context, size_t bytes, enum memory_kind kind, struct pool *pool,
                     struct memory **memory)
{
    CUresult result = bytes <= SMALL_MAX ? take_small(context, bytes, kind, pool, memory)
                                         : take_large(context, bytes, kind, pool, memory);

    if (result == CUDA_SUCCESS) {
        (*memory)->context = context;
        (*memory)->pool = pool;
    }
    return result;
}

void native_give(struct memory *memory)
{
    struct slab *slab = memory->slab;

    hazard_lose(memory, "freed");
    if (slab) {
        units_mark(slab, (unsigned)((memory->start - slab->start) / UNIT),
                   (unsigned)((memory->size + UNIT - 1) / UNIT), false);
        slab_unlink(slab);
        slab_push(slab);
        if (!slab->used)
            slab_give(slab);
    } else {
        extent_give(memory->context->device, store_of(memory->kind), memory->held_bytes, memory->start,
                    memory->place);
        if (memory->pool)
            pool_release(memory->pool, memory->held_bytes);
    }
    memory_remove(memory);
}

void native_clear(struct context *context)
{
    struct memory *memory = memory_after(0);

    while (memory) {
        uintptr_t next = memory->start + memory->size;

        if (memory->context == context) {
            if (memory->kind == MEMORY_NATIVE || memory->kind == MEMORY_MANAGED)
                native_give(memory);
            else if (memory->kind == MEMORY_PINNED || memory->kind == MEMORY_REGISTERED)
                host_give(memory);
        }
        memory = memory_after(next);
    }
}

static CUresult allocate(CUdeviceptr *address, size_t bytes, enum memory_kind kind, unsigned flags)
{
    struct memory *memory;
    CUresult result;

    if (!address || !bytes)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    result = capture_forbid();
    if (result == CUDA_SUCCESS)
        result = native_take(context_current(), bytes, kind, NULL, &memory);
    if (result == CUDA_SUCCESS) {
        memory->flags = flags;
        *address = memory->start;
    }
    return sim_leave(result);
}

CUresult sim_cuMemAlloc_v2(CUdeviceptr *address, size_t bytes)
{
    return allocate(address, bytes, MEMORY_NATIVE, 0);
}

CUresult sim_cuMemAllocManaged(CUdeviceptr *address, size_t bytes, unsigned flags)
{
    if (flags != CU_MEM_ATTACH_GLOBAL && flags != CU_MEM_ATTACH_HOST)
        return CUDA_ERROR_INVALID_VALUE;
    return allocate(address, bytes, MEMORY_MANAGED, flags);
}

CUresult sim_cuMemAllocPitch_v2(CUdeviceptr *address, size_t *pitch, size_t width, size_t height,
                                unsigned element)
{
    size_t rounded = (width + UNIT - 1) & ~(size_t)(UNIT - 1);
    CUresult result;

    if (!pitch || !width || !height || (element != 4 && element != 8 && element != 16))
        return CUDA_ERROR_INVALID_VALUE;
    if (rounded < width || height > SIZE_MAX / rounded)
        return CUDA_ERROR_OUT_OF_MEMORY;
    result = allocate(address, rounded * height, MEMORY_NATIVE, 0);
    if (result == CUDA_SUCCESS)
        *pitch = rounded;
    return result;
}

CUresult sim_cuMemFree_v2(CUdeviceptr address)
{
    struct memory *memory;
    CUresult result;

    if (!address)
        return CUDA_SUCCESS;
    sim_lock();
    result = capture_forbid();
    memory = memory_find(address);
    if (result == CUDA_SUCCESS && (!memory || memory->start != address || memory->freed ||
                                   (memory->kind != MEMORY_NATIVE && memory->kind != MEMORY_MANAGED &&
                                    memory->kind != MEMORY_POOLED && memory->kind != MEMORY_GRAPH)))
        result = CUDA_ERROR_INVALID_VALUE;
    if (result != CUDA_SUCCESS)
        return sim_leave(result);
    /* It waits for the device that holds the memory, not for others that may touch it. */
    op_drain(NULL, &devices[memory->device]);
    op_observe_device(&devices[memory->device]);
    result = context_current()->sticky;
    if (result == CUDA_SUCCESS && memory_find(address) != memory)
        result = CUDA_ERROR_INVALID_VALUE; /* another thread was first */
    if (result == CUDA_SUCCESS && memory->kind == MEMORY_GRAPH) {
        result = graph_memory_free_begin(memory);
        if (result == CUDA_SUCCESS)
            graph_memory_free_end(memory);
    } else if (result == CUDA_SUCCESS && memory->kind == MEMORY_POOLED)
        pool_give(memory);
    else if (result == CUDA_SUCCESS)
        native_give(memory);
    return sim_leave(result);
}

CUresult sim_cuMemGetInfo_v2(size_t *free_bytes, size_t *total_bytes)
{
    sim_lock();
    if (free_bytes)
        *free_bytes = device_room(context_current()->device);
    if (total_bytes)
        *total_bytes = options.memory_bytes;
    return sim_leave(CUDA_SUCCESS);
}

CUresult sim_cuMemGetAddressRange_v2(CUdeviceptr *base, size_t *size, CUdeviceptr address)
{
    const struct memory *memory;

    sim_lock();
    memory = memory_find(address);
    if (!memory || memory->kind == MEMORY_REGISTERED)
        return sim_leave(CUDA_ERROR_NOT_FOUND);
    if (base)
        *base = memory->start;
    if (size)
        *size = memory->size;
    return sim_leave(CUDA_SUCCESS);
}
