/* SPDX-License-Identifier: Apache-2.0 */
/* async_pool.c - what the program was told, and has said, of pools. See async.h. */
#include <utlist.h>

#include "base/pages.h"
#include "cuda/async.h"
#include "cuda/async_state.h"
#include "cuda/device_cuda.h"

struct lock async_lock = LOCK_INIT(LOCK_ASYNC);

/* Few, as a rule: one for each device. */
static struct async_pool *pools;
static struct pages_pool records = PAGES_POOL(struct async_pool);

/* Under the lock. */
static struct async_pool *known(CUmemoryPool handle)
{
    struct async_pool *pool;

    DL_FOREACH(pools, pool) {
        if (pool->handle == handle && !pool->is_gone)
            break;
    }
    return pool;
}

/* What the driver says of a pool: policies and threshold. */
static void ask(CUmemoryPool handle, struct async_pool *out)
{
    cuuint64_t bytes = 0;
    int allows;

    for (int i = 0; i < REUSE_COUNT; i++)
        out->reuse[i] =
            real.cuMemPoolGetAttribute(handle, (CUmemPool_attribute)(i + 1), &allows) == CUDA_SUCCESS &&
            allows;
    if (real.cuMemPoolGetAttribute(handle, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &bytes) == CUDA_SUCCESS)
        out->threshold_bytes = bytes;
}

_Static_assert(CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES == 1 + REUSE_FOLLOW &&
                   CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC == 1 + REUSE_COMPLETED &&
                   CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES == 1 + REUSE_DEPEND,
               "policies are in the order of their attributes");

/* Under the lock: NULL without memory. */
static struct async_pool *learn(const struct async_pool *like)
{
    struct async_pool *pool = pages_pool_take(&records);

    if (pool) {
        *pool = *like;
        pool->reach = device_reach(1u << like->ordinal);
        DL_APPEND(pools, pool);
    }
    return pool;
}

/* Under the lock: who is let in to a device by any pool of it, and beside that. */
static void tell_peers(unsigned ordinal, uint32_t beside)
{
    const struct async_pool *pool;
    uint32_t reach = beside;

    DL_FOREACH(pools, pool) {
        if (pool->ordinal == ordinal)
            reach |= pool->reach;
    }
    device_cuda_pool_peers(ordinal, reach & ((1u << DEVICE_MAX) - 1));
}

/* Under the lock: a pool that is gone stays while anybody or any memory is its own. */
static void forget_empty(struct async_pool *pool)
{
    if (!pool->is_gone || pool->held_bytes || pool->users)
        return;
    DL_DELETE(pools, pool);
    tell_peers(pool->ordinal, 0);
    pages_pool_give(&records, pool);
}

void async_pool_let_go(struct async_pool *pool)
{
    lock_acquire(&async_lock);
    pool->users--;
    forget_empty(pool);
    lock_release(&async_lock);
}

static bool is_default(CUmemoryPool handle, unsigned *out_ordinal)
{
    CUmemoryPool own;

    for (unsigned i = 0; real.cuDeviceGetDefaultMemPool && i < contexts_device_count(); i++)
        if (real.cuDeviceGetDefaultMemPool(&own, contexts_device(i)) == CUDA_SUCCESS && own == handle) {
            *out_ordinal = i;
            return true;
        }
    return false;
}

/* A known pool, until async_pool_let_go; or NULL. */
static struct async_pool *take(CUmemoryPool handle)
{
    struct async_pool *pool;

    lock_acquire(&async_lock);
    pool = known(handle);
    if (pool)
        pool->users++;
    lock_release(&async_lock);
    return pool;
}

CUresult async_pool_find(CUmemoryPool handle, unsigned ordinal, struct async_pool **out, enum stay *out_why)
{
    struct async_pool fresh = {0}, *pool;

    if (!real.cuMemPoolGetAttribute)
        return CUDA_ERROR_NOT_SUPPORTED;
    if (!handle && (!real.cuDeviceGetMemPool ||
                    real.cuDeviceGetMemPool(&handle, contexts_device(ordinal)) != CUDA_SUCCESS))
        return CUDA_ERROR_NOT_SUPPORTED;
    pool = take(handle);
    if (!pool) { /* nobody has made it before us */
        fresh.handle = handle;
        fresh.why = is_default(handle, &fresh.ordinal) ? STAY_NOT : STAY_POOL_FOREIGN;
        ask(handle, &fresh);
        lock_acquire(&async_lock);
        if (!known(handle))
            learn(&fresh);
        lock_release(&async_lock);
        pool = take(handle);
    }
    if (pool && pool->why == STAY_NOT) {
        *out = pool;
        return CUDA_SUCCESS;
    }
    if (pool && out_why)
        *out_why = pool->why;
    if (pool)
        async_pool_let_go(pool);
    return CUDA_ERROR_NOT_SUPPORTED;
}

static void add(uint64_t *bytes, int64_t more, uint64_t *high_bytes)
{
    *bytes += (uint64_t)more;
    if (*high_bytes < *bytes)
        *high_bytes = *bytes;
}

void async_pool_count(struct async_pool *pool, int64_t used_bytes, int64_t held_bytes)
{
    if (!pool)
        return;
    add(&pool->used_bytes, used_bytes, &pool->used_high_bytes);
    add(&pool->held_bytes, held_bytes, &pool->held_high_bytes);
    forget_empty(pool);
}

bool async_pool_has_excess(const struct async_pool *pool)
{
    return pool->is_gone || pool->held_bytes > pool->threshold_bytes;
}

bool async_pool_any_excess(void)
{
    const struct async_pool *pool;

    lock_acquire(&async_lock);
    DL_FOREACH(pools, pool) {
        if (async_pool_has_excess(pool))
            break;
    }
    lock_release(&async_lock);
    return pool;
}

/* ---- what the program does with them --------------------------------------------------------------------------- */

/* Why blocks are not for such a pool; STAY_NOT: they are. */
static enum stay why_native(const CUmemPoolProps *properties)
{
    if (properties->handleTypes != CU_MEM_HANDLE_TYPE_NONE)
        return STAY_POOL_SHARED;
    return properties->allocType == CU_MEM_ALLOCATION_TYPE_PINNED &&
                   properties->location.type == CU_MEM_LOCATION_TYPE_DEVICE &&
                   (unsigned)properties->location.id < contexts_device_count() && !properties->usage
               ? STAY_NOT
               : STAY_POOL_PLACE;
}

void async_pool_created(CUmemoryPool handle, const CUmemPoolProps *properties)
{
    struct async_pool fresh = {.handle = handle, .why = why_native(properties)}, *gone;

    if (!real.cuMemPoolGetAttribute)
        return;
    fresh.ordinal = fresh.why == STAY_NOT ? (unsigned)properties->location.id : 0;
    fresh.most_bytes = properties->maxSize;
    ask(handle, &fresh);
    lock_acquire(&async_lock);
    gone = known(handle); /* by another thread, which has not told yet */
    if (gone)
        gone->is_gone = true;
    learn(&fresh);
    lock_release(&async_lock);
}

static bool is_of(const struct async_freed *freed, const void *pool)
{
    return freed->pool == pool;
}

/* Until the driver has destroyed it, which it refuses with a default pool, it is what others find by the handle. */
struct async_pool *async_pool_going(CUmemoryPool handle)
{
    return take(handle);
}

void async_pool_gone(struct async_pool *pool, bool is_gone)
{
    if (!pool)
        return;
    lock_acquire(&async_lock);
    pool->is_gone = pool->is_gone || is_gone;
    lock_release(&async_lock);
    if (is_gone)
        async_freed_give(is_of, pool, UINT64_MAX);
    async_pool_let_go(pool);
}

struct trim {
    const struct async_pool *pool;
    uint64_t keep_bytes;
};

static bool is_to_go(const struct async_freed *freed, const void *arg)
{
    const struct trim *trim = arg;

    return freed->pool == trim->pool && trim->pool->held_bytes > trim->keep_bytes;
}

/* What the pool holds is not what the device has back for it: small ones are given with the last that shares their block. */
void async_pool_trimmed(CUmemoryPool handle, size_t keep_bytes)
{
    struct async_pool *pool = take(handle);
    const struct trim trim = {pool, keep_bytes};

    if (!pool)
        return;
    async_freed_give(is_to_go, &trim, UINT64_MAX);
    async_pool_let_go(pool);
}

void async_pool_changed(CUmemoryPool handle, CUmemPool_attribute attribute)
{
    struct async_pool said = {0}, *pool;

    if (async_pool_find(handle, 0, &pool, NULL) != CUDA_SUCCESS)
        return;
    ask(handle, &said);
    lock_acquire(&async_lock);
    for (int i = 0; i < REUSE_COUNT; i++)
        pool->reuse[i] = said.reuse[i];
    pool->threshold_bytes = said.threshold_bytes;
    if (attribute == CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH)
        pool->held_high_bytes = pool->held_bytes;
    if (attribute == CU_MEMPOOL_ATTR_USED_MEM_HIGH)
        pool->used_high_bytes = pool->used_bytes;
    lock_release(&async_lock);
    async_pool_let_go(pool);
}

void async_pool_told(CUmemoryPool handle, CUmemPool_attribute attribute, void *value)
{
    const struct async_pool *pool;
    uint64_t bytes = 0;

    lock_acquire(&async_lock);
    pool = known(handle);
    if (pool && attribute == CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT)
        bytes = pool->held_bytes;
    else if (pool && attribute == CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH)
        bytes = pool->held_high_bytes;
    else if (pool && attribute == CU_MEMPOOL_ATTR_USED_MEM_CURRENT)
        bytes = pool->used_bytes;
    else if (pool && attribute == CU_MEMPOOL_ATTR_USED_MEM_HIGH)
        bytes = pool->used_high_bytes;
    lock_release(&async_lock);
    if (bytes)
        *(cuuint64_t *)value += bytes;
}

void async_pool_granted(CUmemoryPool handle, const CUmemAccessDesc *grants, size_t count)
{
    struct async_pool *pool;
    uint32_t before;

    if (async_pool_find(handle, 0, &pool, NULL) != CUDA_SUCCESS)
        return;
    lock_acquire(&async_lock);
    before = pool->reach;
    pool->reach = device_reach_granted(before, grants, count);
    tell_peers(pool->ordinal, before); /* until nobody is let in any more who is not to be */
    lock_release(&async_lock);
    async_let_in(pool);
    lock_acquire(&async_lock);
    tell_peers(pool->ordinal, 0);
    lock_release(&async_lock);
    async_pool_let_go(pool);
}
