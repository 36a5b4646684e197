/* SPDX-License-Identifier: Apache-2.0 */
#include "pool.h"

#include "capture.h"
#include "graph_memory.h"
#include "handle.h"
#include "native.h"
#include "submit.h"

#include <stdlib.h>
#include <string.h>

/* A freed block that the pool keeps. */
struct cached {
    struct cached *next;
    struct memory *memory;
};

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

static struct pool *pools;

static struct pool *pool_create(struct device *device)
{
    struct pool *pool = calloc(1, sizeof *pool);

    if (!pool || !handle_add(pool, HANDLE_POOL)) {
        free(pool);
        return NULL;
    }
    pool->device = device;
    pool->access[device->ordinal] = ACCESS_READ | ACCESS_WRITE;
    pool->reuse[0] = pool->reuse[1] = pool->reuse[2] = 1;
    pool->next = pools;
    pools = pool;
    return pool;
}

static struct pool *default_pool(struct device *device)
{
    if (!device->default_pool)
        device->default_pool = pool_create(device);
    return device->default_pool;
}

bool pool_allows(const struct pool *pool, const struct device *device, bool write)
{
    return pool->access[device->ordinal] & (write ? ACCESS_WRITE : ACCESS_READ);
}

void pool_reserve(struct pool *pool, size_t bytes)
{
    pool->reserved += bytes;
    if (pool->reserved > pool->reserved_high)
        pool->reserved_high = pool->reserved;
}

void pool_release(struct pool *pool, size_t bytes)
{
    pool->reserved -= bytes;
}

/* Bytes that an allocation counts as used. */
static size_t held(const struct memory *memory)
{
    return memory->held_bytes ? memory->held_bytes : (memory->size + 511) & ~(size_t)511;
}

static void trim(struct pool *pool, cuuint64_t keep)
{
    while (pool->cached && pool->reserved > keep) {
        struct cached *cached = pool->cached;

        pool->cached = cached->next;
        native_give(cached->memory);
        free(cached);
    }
}

void pool_give(struct memory *memory)
{
    struct pool *pool = memory->pool;
    struct cached *cached = malloc(sizeof *cached);

    pool->used -= held(memory);
    if (!cached) {
        native_give(memory);
        return;
    }
    *cached = (struct cached){pool->cached, memory};
    pool->cached = cached;
    trim(pool, pool->threshold);
}

void pool_free(struct memory *memory)
{
    sim_lock();
    if (memory->kind == MEMORY_GRAPH)
        graph_memory_free_end(memory);
    else
        pool_give(memory);
    sim_unlock();
}

bool pool_trim_all(struct device *device)
{
    bool any = false;

    for (struct pool *pool = pools; pool; pool = pool->next) {
        if (pool->device == device && pool->cached) {
            trim(pool, 0);
            any = true;
        }
    }
    return any;
}

static struct memory *reuse(struct pool *pool, size_t bytes)
{
    for (struct cached **link = &pool->cached; *link; link = &(*link)->next) {
        struct cached *cached = *link;

        if (cached->memory->size == bytes) {
            struct memory *memory = cached->memory;

            *link = cached->next;
            free(cached);
            return memory;
        }
    }
    return NULL;
}

static CUresult pool_take(struct pool *pool, size_t bytes, struct memory **taken)
{
    struct memory *memory = reuse(pool, bytes);
    struct context *context = context_primary(pool->device);
    CUresult result;

    if (pool->max_bytes && pool->used + bytes > pool->max_bytes)
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (!memory) {
        if (!context)
            return CUDA_ERROR_OUT_OF_MEMORY;
        result = native_take(context, bytes, MEMORY_POOLED, pool, &memory);
        if (result != CUDA_SUCCESS)
            return result;
    }
    pool->used += held(memory);
    if (pool->used > pool->used_high)
        pool->used_high = pool->used;
    *taken = memory;
    return CUDA_SUCCESS;
}

static CUresult allocate(CUdeviceptr *address, size_t bytes, struct pool *pool, CUstream handle)
{
    struct stream *stream;
    struct memory *memory;
    CUresult result = stream_of(handle, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    result = capture_admit(stream);
    if (result == CUDA_SUCCESS && stream->capture)
        result = CUDA_ERROR_NOT_SUPPORTED; /* the node is not made from a capture */
    if (result != CUDA_SUCCESS)
        return result;
    if (!pool)
        pool = stream->context->device->pool ? stream->context->device->pool
                                             : default_pool(stream->context->device);
    result = pool ? pool_take(pool, bytes, &memory) : CUDA_ERROR_OUT_OF_MEMORY;
    if (result == CUDA_SUCCESS)
        *address = memory->start;
    return result;
}

CUresult sim_cuMemAllocAsync(CUdeviceptr *address, size_t bytes, CUstream stream)
{
    if (!address || !bytes)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    return sim_leave(allocate(address, bytes, NULL, stream));
}

CUresult sim_cuMemAllocFromPoolAsync(CUdeviceptr *address, size_t bytes, CUmemoryPool pool, CUstream stream)
{
    if (!address || !bytes)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    if (!handle_is(pool, HANDLE_POOL))
        return sim_leave(CUDA_ERROR_INVALID_VALUE);
    return sim_leave(allocate(address, bytes, (struct pool *)pool, stream));
}

CUresult sim_cuMemFreeAsync(CUdeviceptr address, CUstream handle)
{
    struct work work = {.kind = WORK_FREE};
    struct stream *stream;
    struct memory *memory;
    CUresult result;

    if (!address)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    result = stream_of(handle, &stream);
    memory = memory_exact(address, MEMORY_POOLED);
    if (!memory)
        memory = memory_exact(address, MEMORY_GRAPH);
    if (result == CUDA_SUCCESS && !memory)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS && stream->capture)
        result = CUDA_ERROR_NOT_SUPPORTED;
    if (result == CUDA_SUCCESS && memory->kind == MEMORY_GRAPH)
        result = graph_memory_free_begin(memory);
    if (result != CUDA_SUCCESS)
        return sim_leave(result);
    work.freed = memory;
    return sim_leave(submit(stream, &work, SUBMIT_ASYNC));
}

static CUresult get_default(CUmemoryPool *found, CUdevice ordinal, bool current)
{
    struct device *device = device_at(ordinal);
    struct pool *pool;

    if (!found)
        return CUDA_ERROR_INVALID_VALUE;
    if (!device)
        return CUDA_ERROR_INVALID_DEVICE;
    sim_lock();
    pool = current && device->pool ? device->pool : default_pool(device);
    if (pool)
        *found = (CUmemoryPool)pool;
    return sim_leave(pool ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY);
}

CUresult sim_cuDeviceGetDefaultMemPool(CUmemoryPool *pool, CUdevice device)
{
    return get_default(pool, device, false);
}

CUresult sim_cuDeviceGetMemPool(CUmemoryPool *pool, CUdevice device)
{
    return get_default(pool, device, true);
}

CUresult sim_cuDeviceSetMemPool(CUdevice ordinal, CUmemoryPool handle)
{
    struct device *device = device_at(ordinal);
    struct pool *pool = (struct pool *)handle;

    if (!device)
        return CUDA_ERROR_INVALID_DEVICE;
    sim_lock();
    if (!handle_is(pool, HANDLE_POOL) || pool->device != device)
        return sim_leave(CUDA_ERROR_INVALID_VALUE);
    device->pool = pool;
    return sim_leave(CUDA_SUCCESS);
}

CUresult sim_cuMemPoolCreate(CUmemoryPool *created, const CUmemPoolProps *props)
{
    struct device *device;
    struct pool *pool;

    if (!created || !props || props->allocType != CU_MEM_ALLOCATION_TYPE_PINNED)
        return CUDA_ERROR_INVALID_VALUE;
    if (props->location.type != CU_MEM_LOCATION_TYPE_DEVICE || props->handleTypes)
        return CUDA_ERROR_NOT_SUPPORTED;
    device = device_at(props->location.id);
    if (!device)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    pool = pool_create(device);
    if (pool) {
        pool->max_bytes = props->maxSize;
        *created = (CUmemoryPool)pool;
    }
    return sim_leave(pool ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY);
}

CUresult sim_cuMemPoolDestroy(CUmemoryPool handle)
{
    struct pool *pool = (struct pool *)handle;

    sim_lock();
    if (!handle_is(pool, HANDLE_POOL) || pool == pool->device->default_pool)
        return sim_leave(CUDA_ERROR_INVALID_VALUE);
    /* Memory still in use keeps it; only the handle goes. */
    handle_remove(pool);
    if (pool->device->pool == pool)
        pool->device->pool = NULL;
    pool->threshold = 0;
    trim(pool, 0);
    return sim_leave(CUDA_SUCCESS);
}

CUresult sim_cuMemPoolTrimTo(CUmemoryPool handle, size_t keep)
{
    sim_lock();
    if (!handle_is(handle, HANDLE_POOL))
        return sim_leave(CUDA_ERROR_INVALID_VALUE);
    trim((struct pool *)handle, keep);
    return sim_leave(CUDA_SUCCESS);
}

/* Where the attribute lives: one of these, or neither if it does not exist. */
static void attribute_find(struct pool *pool, CUmemPool_attribute attribute, int **number, cuuint64_t **bytes)
{
    *number = NULL;
    *bytes = NULL;
    switch (attribute) {
    case CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES:
    case CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC:
    case CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES:
        *number = &pool->reuse[attribute - CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES];
        break;
    case CU_MEMPOOL_ATTR_RELEASE_THRESHOLD:
        *bytes = &pool->threshold;
        break;
    case CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT:
        *bytes = &pool->reserved;
        break;
    case CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH:
        *bytes = &pool->reserved_high;
        break;
    case CU_MEMPOOL_ATTR_USED_MEM_CURRENT:
        *bytes = &pool->used;
        break;
    case CU_MEMPOOL_ATTR_USED_MEM_HIGH:
        *bytes = &pool->used_high;
        break;
    default:
        break;
    }
}

CUresult sim_cuMemPoolGetAttribute(CUmemoryPool handle, CUmemPool_attribute attribute, void *value)
{
    cuuint64_t *bytes;
    int *number;

    sim_lock();
    if (!value || !handle_is(handle, HANDLE_POOL))
        return sim_leave(CUDA_ERROR_INVALID_VALUE);
    attribute_find((struct pool *)handle, attribute, &number, &bytes);
    if (number)
        *(int *)value = *number;
    else if (bytes)
        *(cuuint64_t *)value = *bytes;
    return sim_leave(number || bytes ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE);
}

CUresult sim_cuMemPoolSetAttribute(CUmemoryPool handle, CUmemPool_attribute attribute, void *value)
{
    struct pool *pool = (struct pool *)handle;
    cuuint64_t *bytes;
    int *number;

    sim_lock();
    if (!value || !handle_is(handle, HANDLE_POOL))
        return sim_leave(CUDA_ERROR_INVALID_VALUE);
    attribute_find(pool, attribute, &number, &bytes);
    if (number) {
        *number = *(int *)value;
        return sim_leave(CUDA_SUCCESS);
    }
    if (bytes == &pool->threshold) {
        pool->threshold = *(cuuint64_t *)value;
        return sim_leave(CUDA_SUCCESS);
    }
    /* The high marks can only be reset. */
    if ((bytes != &pool->reserved_high && bytes != &pool->used_high) || *(cuuint64_t *)value != 0)
        return sim_leave(CUDA_ERROR_INVALID_VALUE);
    *bytes = bytes == &pool->used_high ? pool->used : pool->reserved;
    return sim_leave(CUDA_SUCCESS);
}

CUresult sim_cuMemPoolSetAccess(CUmemoryPool handle, const CUmemAccessDesc *grants, size_t count)
{
    struct pool *pool = (struct pool *)handle;

    sim_lock();
    if (!grants || !handle_is(handle, HANDLE_POOL))
        return sim_leave(CUDA_ERROR_INVALID_VALUE);
    for (size_t i = 0; i < count; i++)
        if (grants[i].location.type != CU_MEM_LOCATION_TYPE_DEVICE || !device_at(grants[i].location.id) ||
            (grants[i].location.id == pool->device->ordinal &&
             grants[i].flags != CU_MEM_ACCESS_FLAGS_PROT_READWRITE))
            return sim_leave(CUDA_ERROR_INVALID_VALUE);
    for (size_t i = 0; i < count; i++)
        pool->access[grants[i].location.id] = (unsigned char)grants[i].flags;
    return sim_leave(CUDA_SUCCESS);
}

CUresult sim_cuMemPoolGetAccess(CUmemAccess_flags *flags, CUmemoryPool handle, CUmemLocation *location)
{
    sim_lock();
    if (!flags || !location || !handle_is(handle, HANDLE_POOL) ||
        location->type != CU_MEM_LOCATION_TYPE_DEVICE || !device_at(location->id))
        return sim_leave(CUDA_ERROR_INVALID_VALUE);
    *flags = (CUmemAccess_flags)((struct pool *)handle)->access[location->id];
    return sim_leave(CUDA_SUCCESS);
}
