/* SPDX-License-Identifier: Apache-2.0 */
/* async.c - see async.h. */
#include "cuda/async.h"

#include <errno.h>

#include "base/cancel_guard.h"
#include "base/table.h"
#include "cuda/async_state.h"
#include "cuda/device_cuda.h"
#include "engine/core.h"

/* A live allocation, by its address. */
struct allocation {
    struct async_pool *pool;
    uint64_t bytes; /* that it takes */
};

static struct table allocations = TABLE_INIT(struct allocation);
static atomic_uint live;

static void count(struct async_pool *pool, int64_t used_bytes, int64_t held_bytes)
{
    lock_acquire(&async_lock);
    async_pool_count(pool, used_bytes, held_bytes);
    lock_release(&async_lock);
}

/* It is the pool's from now on. Without memory for the record it goes again. */
static CUresult remember(CUdeviceptr address, struct async_pool *pool, uint64_t bytes)
{
    const struct allocation allocation = {pool, bytes};

    if (table_put(&allocations, address, &allocation)) {
        count(pool, -(int64_t)bytes, -(int64_t)bytes);
        core_free(address);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    atomic_fetch_add_explicit(&live, 1, memory_order_relaxed);
    return CUDA_SUCCESS;
}

/* Whoever the pool lets in reaches it, be that changed meanwhile, and nobody else. */
static void let_in(const struct async_pool *pool, uint64_t address)
{
    uint32_t reach;

    do {
        reach = atomic_load(&pool->reach);
        device_cuda_let_in(pool->ordinal, address, reach);
    } while (reach != atomic_load(&pool->reach));
}

void async_let_in(const struct async_pool *pool)
{
    struct table_copy copy;

    if (table_copy(&allocations, &copy))
        return;
    for (uint32_t i = 0; i < copy.count; i++)
        if (((const struct allocation *)table_copy_record(&copy, i))->pool == pool)
            let_in(pool, table_copy_key(&copy, i));
    table_copy_free(&copy);
}

/* Memory that nobody has used yet, or not for long. */
static int allocate_fresh(const struct async_wanted *wanted,
                          int (*allocate)(const struct wanted *wanted, uint64_t *out), uint64_t *out)
{
    int error = allocate(&wanted->memory, out);

    if (!error)
        count(wanted->pool, (int64_t)wanted->bytes, (int64_t)wanted->bytes);
    return error;
}

/* Would the pool pass the most that it may hold? */
static bool is_over(const struct async_wanted *wanted)
{
    const struct async_pool *pool = wanted->pool;

    return pool->most_bytes && pool->used_bytes + wanted->bytes > pool->most_bytes;
}

/* What was freed, what there is room for, what has to be waited for by the stream, what others have to leave for. */
static int find_memory(const struct async_wanted *wanted, CUdeviceptr *out)
{
    uint64_t address;
    int error;

    if (async_freed_reuse(wanted, out))
        return 0;
    error = allocate_fresh(wanted, core_allocate_in_room, &address);
    if (error == -EAGAIN && async_freed_depend(wanted, out))
        return 0;
    if (error == -EAGAIN)
        error = allocate_fresh(wanted, core_allocate_wanted, &address);
    if (!error)
        *out = address;
    return error;
}

static CUresult allocate(const struct async_wanted *wanted, CUdeviceptr *out)
{
    CUdeviceptr address;
    CUresult result;
    int error;

    if (is_over(wanted))
        return CUDA_ERROR_OUT_OF_MEMORY;
    error = find_memory(wanted, &address);
    if (error)
        return error == -ENOTSUP ? CUDA_ERROR_NOT_SUPPORTED : CUDA_ERROR_OUT_OF_MEMORY;
    result = remember(address, wanted->pool, wanted->bytes);
    if (result == CUDA_SUCCESS) {
        let_in(wanted->pool, address);
        *out = address;
    }
    return result;
}

/* Small allocations of a pool share blocks with those of no other: it may let other devices in. */
static void fill(struct async_wanted *wanted)
{
    unsigned ordinal = wanted->pool->ordinal;
    CUcontext context = contexts_primary(contexts_device(ordinal));

    wanted->memory.ordinal = (uint8_t)ordinal;
    wanted->memory.group = real_key(wanted->pool);
    wanted->memory.context = real_key(context);
    wanted->bytes = core_takes(wanted->memory.bytes);
}

CUresult async_allocate(const struct async_request *request, CUdeviceptr *out, enum stay *out_why)
{
    struct async_wanted wanted = {.memory = {.bytes = request->bytes,
                                             .call_site = request->call_site,
                                             .is_fixed = !request->is_movable},
                                  .stream = !request->stream && request->per_thread ? CU_STREAM_PER_THREAD
                                                                                    : request->stream};
    CUresult result = request->bytes > SIZE_MAX - GRANULE_BYTES
                          ? CUDA_ERROR_NOT_SUPPORTED
                          : async_order_find(request->stream, request->per_thread, &wanted.order);

    if (result != CUDA_SUCCESS)
        return result;
    result = async_pool_find(request->pool, wanted.order->ordinal, &wanted.pool, out_why);
    if (result == CUDA_SUCCESS) {
        fill(&wanted);
        result = wanted.memory.context ? allocate(&wanted, out) : CUDA_ERROR_NOT_SUPPORTED;
        async_pool_let_go(wanted.pool);
    }
    async_order_let_go(wanted.order);
    return result;
}

/* The stream has been told; whoever allocates may have it from now on. */
static CUresult free_marked(CUdeviceptr address, const struct allocation *allocation,
                            struct async_freed *freed)
{
    int error = core_free_ordered(address, &freed->id);

    lock_acquire(&async_lock);
    async_pool_count(allocation->pool, -(int64_t)allocation->bytes, error ? -(int64_t)allocation->bytes : 0);
    if (error) {
        async_order_give(freed);
    } else {
        freed->pool = allocation->pool;
        freed->address = address;
        freed->bytes = allocation->bytes;
        async_freed_add(freed);
    }
    lock_release(&async_lock);
    return !error ? CUDA_SUCCESS : error == -ENOTSUP ? CUDA_ERROR_NOT_SUPPORTED : CUDA_ERROR_INVALID_VALUE;
}

CUresult async_free(CUdeviceptr address, CUstream stream, bool per_thread)
{
    struct allocation allocation = {NULL, 0};
    struct async_freed *freed;
    struct async_order *order;
    bool is_known = table_take(&allocations, address, &allocation);
    CUresult result = async_order_find(stream, per_thread, &order);

    if (result == CUDA_SUCCESS) {
        result = async_order_mark(order, &freed);
        async_order_let_go(order);
    }
    if (result == CUDA_SUCCESS) {
        atomic_fetch_sub_explicit(&live, is_known, memory_order_relaxed);
        return free_marked(address, &allocation, freed);
    }
    if (is_known && table_put(&allocations, address, &allocation))
        count(allocation.pool, -(int64_t)allocation.bytes, -(int64_t)allocation.bytes);
    return result;
}

void async_forget(CUdeviceptr address)
{
    struct allocation allocation;

    if (!atomic_load_explicit(&live, memory_order_relaxed) || !table_take(&allocations, address, &allocation))
        return;
    atomic_fetch_sub_explicit(&live, 1, memory_order_relaxed);
    count(allocation.pool, -(int64_t)allocation.bytes, -(int64_t)allocation.bytes);
}

CUmemoryPool async_pool_of(CUdeviceptr base)
{
    struct allocation allocation;

    return atomic_load_explicit(&live, memory_order_relaxed) && table_get(&allocations, base, &allocation)
               ? allocation.pool->handle
               : NULL;
}

/* ---- given back ------------------------------------------------------------------------------------------------- */

/* More than the pool is to keep. */
static bool is_excess(const struct async_freed *freed, IGNORED const void *arg)
{
    return !freed->pool || async_pool_has_excess(freed->pool);
}

static NO_INLINE void give_excess(void)
{
    struct cancel_guard guard;

    cancel_guard_enter(&guard);
    if (async_freed_without_pool() || async_pool_any_excess())
        async_freed_give(is_excess, NULL, UINT64_MAX);
    async_order_sweep();
    cancel_guard_leave(&guard);
}

void async_synchronised(void)
{
    if (UNLIKELY(atomic_load_explicit(&async_freed_count, memory_order_relaxed) != 0))
        give_excess();
}

static bool is_on(const struct async_freed *freed, const void *ordinal)
{
    return (freed->pool ? freed->pool->ordinal : freed->order->ordinal) == *(const unsigned *)ordinal;
}

uint64_t async_give(IGNORED struct device *self, unsigned ordinal, uint64_t bytes)
{
    return async_freed_give(is_on, &ordinal, bytes);
}

static bool has_ended(const struct async_freed *freed, IGNORED const void *arg)
{
    return freed->order->is_ended;
}

void async_context_going(CUcontext context)
{
    struct table_copy copy;
    struct block_info block;

    async_order_ending(context);
    if (!atomic_load_explicit(&live, memory_order_relaxed) || table_copy(&allocations, &copy))
        return;
    for (uint32_t i = 0; i < copy.count; i++)
        if (core_find(table_copy_key(&copy, i), &block)) /* it went with the context */
            async_forget(table_copy_key(&copy, i));
    table_copy_free(&copy);
}

void async_context_gone(CUcontext context)
{
    async_order_ended(context);
    async_follow_ended(context);
    async_freed_give(has_ended, NULL, UINT64_MAX);
    async_order_sweep();
}
