/* SPDX-License-Identifier: Apache-2.0 */
#include "memory/pool.h"

#include "driver/handle.h"
#include "memory/graph_memory.h"
#include "memory/native.h"
#include "stream/capture.h"
#include "stream/submit.h"

#include <stdlib.h>
#include <string.h>

/* A freed block that the pool keeps. */
struct cached {
    struct cached *next;
    struct memory *memory;
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

/* Its context may have taken it along. */
static void give_native(struct memory *memory)
{
    if (memory_exact(memory->start, MEMORY_NATIVE) == memory)
        native_give(memory);
    memory_drop(memory);
}

void pool_free(struct memory *memory)
{
    sim_lock();
    if (memory->kind == MEMORY_GRAPH)
        graph_memory_free_end(memory);
    else if (memory->kind == MEMORY_NATIVE)
        give_native(memory);
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
    memory->freed = false;
    pool->used += held(memory);
    if (pool->used > pool->used_high)
        pool->used_high = pool->used;
    *taken = memory;
    return CUDA_SUCCESS;
}

/* In a capture it is the graph that allocates; the pool says where. */
static CUresult record_allocation(CUdeviceptr *address, size_t bytes, const struct pool *pool,
                                  struct stream *stream)
{
    const CUDA_MEM_ALLOC_NODE_PARAMS params = {
        .poolProps = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                      .location = {CU_MEM_LOCATION_TYPE_DEVICE, pool->device->ordinal}},
        .bytesize = bytes};
    struct graph_memory *memory;
    CUresult result = graph_memory_create(&params, &memory);
    uintptr_t start;

    if (result != CUDA_SUCCESS)
        return result;
    start = graph_memory_params(memory)->dptr;
    result = capture_memory(stream, CU_GRAPH_NODE_TYPE_MEM_ALLOC, memory);
    if (result == CUDA_SUCCESS)
        *address = start;
    return result;
}

/* Only what a graph allocates can be freed in a capture, and once. */
static CUresult record_free(struct memory *memory, struct stream *stream)
{
    CUresult result = capture_admit(stream);

    if (result != CUDA_SUCCESS)
        return result;
    if (memory->kind != MEMORY_GRAPH || graph_frees(stream->capture->graph, memory->graph))
        return CUDA_ERROR_INVALID_VALUE;
    graph_memory_hold(memory->graph);
    return capture_memory(stream, CU_GRAPH_NODE_TYPE_MEM_FREE, memory->graph);
}

static CUresult allocate(CUdeviceptr *address, size_t bytes, struct pool *pool, CUstream handle)
{
    struct stream *stream;
    struct memory *memory;
    CUresult result = stream_of(handle, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    result = capture_admit(stream);
    if (result != CUDA_SUCCESS)
        return result;
    if (!pool)
        pool = stream->context->device->pool ? stream->context->device->pool
                                             : default_pool(stream->context->device);
    if (pool && stream->capture)
        return record_allocation(address, bytes, pool, stream);
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
    bool is_native;
    CUresult result;

    if (!address)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    result = stream_of(handle, &stream);
    memory = memory_exact(address, MEMORY_POOLED);
    if (!memory)
        memory = memory_exact(address, MEMORY_GRAPH);
    if (!memory)
        memory = memory_exact(address, MEMORY_NATIVE);
    if (result == CUDA_SUCCESS && (!memory || memory->freed))
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS && stream->capture)
        return sim_leave(record_free(memory, stream));
    if (result == CUDA_SUCCESS && memory->kind == MEMORY_GRAPH)
        result = graph_memory_free_begin(memory);
    if (result != CUDA_SUCCESS)
        return sim_leave(result);
    work.freed = memory;
    memory->freed = memory->kind != MEMORY_GRAPH; /* which comes back with the next launch */
    is_native = memory->kind == MEMORY_NATIVE;
    if (is_native)
        memory_hold(memory);
    result = submit(stream, &work, SUBMIT_ASYNC);
    if (result != CUDA_SUCCESS)
        memory->freed = false;
    if (result != CUDA_SUCCESS && is_native)
        memory_drop(memory);
    return sim_leave(result);
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
    /* One that could be exported can be made; exporting it is not simulated. */
    if (props->location.type != CU_MEM_LOCATION_TYPE_DEVICE ||
        props->handleTypes & ~(unsigned)CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR)
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
