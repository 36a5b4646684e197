/* SPDX-License-Identifier: Apache-2.0 */
/* pools.c - see pools.h. */
#include "cuda/pools.h"

#include <stdatomic.h>

#include "base/lock.h"
#include "base/table.h"
#include "cuda/async.h"
#include "cuda/driver_memory.h"
#include "engine/core.h"

struct pool {
    uint64_t charged;
    unsigned ordinal;
};

static struct table pools = TABLE_INIT(struct pool);
static atomic_bool any_pool;

/* Lock of `charged`: held across the question to the driver and the answer to the core, so that no late figure is the last.
 * Nothing that waits for it holds any other lock. */
static struct lock settling = LOCK_INIT(LOCK_POOLS);

static bool ask_held(CUmemoryPool pool, uint64_t *out)
{
    cuuint64_t bytes = 0;

    if (!pool || !real.cuMemPoolGetAttribute ||
        real.cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT, &bytes) != CUDA_SUCCESS)
        return false;
    *out = bytes;
    return true;
}

/* True when the driver tells what pools hold: it has done so once, or does so now. */
static bool is_told(CUmemoryPool pool)
{
    static atomic_bool has_told;
    uint64_t held;

    if (!atomic_load_explicit(&has_told, memory_order_relaxed) && ask_held(pool, &held))
        atomic_store_explicit(&has_told, true, memory_order_relaxed);
    return pool && atomic_load_explicit(&has_told, memory_order_relaxed);
}

/* Add to a pool's charge what was charged ahead, and bring it to what the pool holds. A pool that is not in the table
 * is destroyed: its allocations are charged one by one. */
static void settle(CUmemoryPool pool, uint64_t ahead)
{
    struct pool known;
    uint64_t held;

    lock_acquire(&settling);
    if (table_get(&pools, real_key(pool), &known)) {
        struct pool settled = {known.charged + ahead, known.ordinal};

        if (ask_held(pool, &held)) {
            driver_memory_adjust(known.ordinal, CLASS_POOL, settled.charged, held);
            core_native_held(known.ordinal, KIND_POOL);
            settled.charged = held;
        }
        table_put(&pools, real_key(pool), &settled);
    }
    lock_release(&settling);
}

void pools_settle_one(CUmemoryPool pool)
{
    settle(pool, 0);
}

void pools_settle(void)
{
    struct table_copy copy;

    if (!atomic_load_explicit(&any_pool, memory_order_acquire) || table_copy(&pools, &copy))
        return;
    for (uint32_t i = 0; i < copy.count; i++)
        settle((CUmemoryPool)(uintptr_t)table_copy_key(&copy, i), 0);
    table_copy_free(&copy);
}

unsigned pools_ordinal(CUmemoryPool pool, unsigned fallback)
{
    struct pool known;
    CUmemoryPool own;

    if (table_get(&pools, real_key(pool), &known))
        return known.ordinal;
    for (unsigned i = 0; real.cuDeviceGetDefaultMemPool && i < contexts_device_count(); i++)
        if (real.cuDeviceGetDefaultMemPool(&own, contexts_device(i)) == CUDA_SUCCESS && own == pool)
            return i;
    return fallback;
}

/* Know a pool from now on. False without memory for that. */
static bool remember(CUmemoryPool pool, unsigned ordinal)
{
    table_lock(&pools);
    struct pool *known = table_add(&pools, real_key(pool));

    if (known)
        known->ordinal = ordinal;
    table_unlock(&pools);
    atomic_store_explicit(&any_pool, true, memory_order_release);
    return known;
}

void pools_created(const CUmemoryPool *pool, const CUmemPoolProps *properties)
{
    if (pool && properties && properties->location.type == CU_MEM_LOCATION_TYPE_DEVICE &&
        (unsigned)properties->location.id < contexts_device_count())
        remember(*pool, (unsigned)properties->location.id);
}

bool pools_place(CUstream stream, struct place *out)
{
    CUdevice device;

    if (!contexts_here(out))
        return false;
    if ((uintptr_t)stream > (uintptr_t)CU_STREAM_PER_THREAD && real.cuStreamGetDevice &&
        real.cuStreamGetDevice(stream, &device) == CUDA_SUCCESS && contexts_ordinal(device) < DEVICE_MAX)
        out->ordinal = contexts_ordinal(device);
    return true;
}

CUresult pools_allocated(CUresult result, const struct place *place, CUmemoryPool pool, enum stay why,
                         const CUdeviceptr *address, size_t bytes)
{
    uint64_t ahead = driver_memory_cost(bytes);
    bool by_pool = is_told(pool) && remember(pool, place->ordinal);
    struct driver_memory record = {.bytes = bytes,
                                   .charged = by_pool ? 0 : ahead,
                                   .class = CLASS_POOL,
                                   .why = why,
                                   .ordinal = place->ordinal,
                                   .context = place->context,
                                   .pool = pool};

    if (result == CUDA_SUCCESS)
        driver_memory_add(DRIVER_ASYNC, *address, &record);
    else
        driver_memory_refund(place->ordinal, CLASS_POOL, bytes);
    if (by_pool)
        settle(pool, result == CUDA_SUCCESS ? ahead : 0);
    return result;
}

/* Allocations of a destroyed pool live on, and nobody can ask the pool any more. */
static void charge_orphans(CUmemoryPool pool)
{
    struct table_copy copy;

    if (driver_memory_copy(DRIVER_ASYNC, &copy))
        return;
    for (uint32_t i = 0; i < copy.count; i++) {
        struct driver_memory record = *(const struct driver_memory *)table_copy_record(&copy, i);
        struct driver_memory removed;

        if (record.pool != pool || !driver_memory_remove(DRIVER_ASYNC, table_copy_key(&copy, i), &removed))
            continue;
        record.pool = NULL;
        record.charged = driver_memory_cost(record.bytes);
        driver_memory_restore(DRIVER_ASYNC, table_copy_key(&copy, i), &record);
    }
    table_copy_free(&copy);
}

CUresult pools_destroy(__typeof__(cuMemPoolDestroy) *next, CUmemoryPool pool)
{
    struct async_pool *of_blocks = async_pool_going(pool);
    struct pool known;

    lock_acquire(&settling);
    bool is_known = pool && table_take(&pools, real_key(pool), &known);
    CUresult result = next(pool);

    if (is_known && result != CUDA_SUCCESS) {
        table_put(&pools, real_key(pool), &known);
    } else if (is_known) {
        core_credit(known.ordinal, CLASS_POOL, known.charged);
        charge_orphans(pool);
    }
    lock_release(&settling);
    async_pool_gone(of_blocks, result == CUDA_SUCCESS);
    return result;
}
