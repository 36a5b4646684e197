/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stream-ordered allocation. A pool is charged with what it holds of the device, which is more than what is allocated
 * from it; an allocation itself costs nothing. A driver that does not tell what a pool holds has each allocation
 * charged instead, and so has a pool that was destroyed before its allocations were freed.
 */
#include "base/lock.h"
#include "cuda/capture.h"
#include "cuda/contexts.h"
#include "cuda/driver_memory.h"
#include "cuda/pools.h"
#include "engine/core.h"
#include "hook/hooks.h"

#include <errno.h>

struct pool {
    uint64_t charged;
    unsigned ordinal;
};

static struct table pools = TABLE_INIT(struct pool);
static bool any_pool;

/* For charged: held across the question to the driver and the answer to the core, so that no late figure is the last.
 * Nothing that waits for it holds any other lock. */
static struct lock settling = LOCK_INIT(LOCK_POOLS);

static uint64_t key_of(CUmemoryPool pool)
{
    return (uint64_t)(uintptr_t)pool;
}

static bool ask_held(CUmemoryPool pool, uint64_t *out)
{
    cuuint64_t bytes = 0;

    if (!pool || !real.cuMemPoolGetAttribute ||
        real.cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT, &bytes) != CUDA_SUCCESS)
        return false;
    *out = bytes;
    return true;
}

/* Whether the driver tells what pools hold: it has done so once, or does so now. */
static bool is_told(CUmemoryPool pool)
{
    static bool has_told;
    uint64_t held;

    if (!__atomic_load_n(&has_told, __ATOMIC_RELAXED) && ask_held(pool, &held))
        __atomic_store_n(&has_told, true, __ATOMIC_RELAXED);
    return pool && __atomic_load_n(&has_told, __ATOMIC_RELAXED);
}

static void adjust(unsigned ordinal, uint64_t charged, uint64_t held)
{
    if (charged > held)
        core_credit(ordinal, CLASS_POOL, charged - held);
    else
        core_charge_held(ordinal, CLASS_POOL, held - charged);
}

/* Add to a pool's charge what was charged ahead, and bring it to what the pool holds. A pool that is not in the table
 * is destroyed: its allocations are charged one by one. */
static void settle(CUmemoryPool pool, uint64_t ahead)
{
    struct pool known;
    uint64_t held;

    lock_acquire(&settling);
    if (table_get(&pools, key_of(pool), &known)) {
        struct pool settled = {known.charged + ahead, known.ordinal};

        if (ask_held(pool, &held)) {
            adjust(known.ordinal, settled.charged, held);
            settled.charged = held;
        }
        table_put(&pools, key_of(pool), &settled);
    }
    lock_release(&settling);
}

void pools_settle(void)
{
    struct table_copy copy;

    if (!__atomic_load_n(&any_pool, __ATOMIC_ACQUIRE) || table_copy(&pools, &copy))
        return;
    for (uint32_t i = 0; i < copy.count; i++)
        settle((CUmemoryPool)(uintptr_t)table_copy_key(&copy, i), 0);
    table_copy_free(&copy);
}

/* Whose memory a pool is made of; `fallback` where that cannot be found out. */
static unsigned ordinal_of(CUmemoryPool pool, unsigned fallback)
{
    struct pool known;
    CUmemoryPool own;

    if (table_get(&pools, key_of(pool), &known))
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
    struct pool *known = table_add(&pools, key_of(pool));

    if (known)
        known->ordinal = ordinal;
    table_unlock(&pools);
    __atomic_store_n(&any_pool, true, __ATOMIC_RELEASE);
    return known;
}

/* The device whose pool serves the stream. */
static bool place_of(CUstream stream, struct place *out)
{
    CUdevice device;

    if (!contexts_here(out))
        return false;
    if ((uintptr_t)stream > (uintptr_t)CU_STREAM_PER_THREAD && real.cuStreamGetDevice &&
        real.cuStreamGetDevice(stream, &device) == CUDA_SUCCESS && contexts_ordinal(device) < DEVICE_MAX)
        out->ordinal = contexts_ordinal(device);
    return true;
}

/* The real call has been made, with driver_memory_cost(bytes) charged ahead. */
static CUresult note(CUresult result, const struct place *place, CUmemoryPool pool,
                     const CUdeviceptr *address, size_t bytes)
{
    uint64_t ahead = driver_memory_cost(bytes);
    bool by_pool = is_told(pool) && remember(pool, place->ordinal);
    struct driver_memory record = {.bytes = bytes,
                                   .charged = by_pool ? 0 : ahead,
                                   .class = CLASS_POOL,
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

CUresult hook_cuMemAllocAsync(__typeof__(cuMemAllocAsync) *next, const void *call_site, CUdeviceptr *dptr,
                              size_t bytesize, CUstream hStream)
{
    struct place place;
    CUmemoryPool pool = NULL;

    (void)call_site;
    if (!dptr || !bytesize || capture_records(hStream, next == real.cuMemAllocAsync_ptsz) ||
        !place_of(hStream, &place))
        return next(dptr, bytesize, hStream);
    pools_settle();
    if (real.cuDeviceGetMemPool &&
        real.cuDeviceGetMemPool(&pool, contexts_device(place.ordinal)) != CUDA_SUCCESS)
        pool = NULL;
    if (driver_memory_charge(place.ordinal, CLASS_POOL, bytesize))
        return CUDA_ERROR_OUT_OF_MEMORY;
    return note(next(dptr, bytesize, hStream), &place, pool, dptr, bytesize);
}

CUresult hook_cuMemAllocFromPoolAsync(__typeof__(cuMemAllocFromPoolAsync) *next, const void *call_site,
                                      CUdeviceptr *dptr, size_t bytesize, CUmemoryPool pool, CUstream hStream)
{
    struct place place;

    (void)call_site;
    if (!dptr || !bytesize || !pool || capture_records(hStream, next == real.cuMemAllocFromPoolAsync_ptsz) ||
        !place_of(hStream, &place))
        return next(dptr, bytesize, pool, hStream);
    pools_settle();
    place.ordinal = ordinal_of(pool, place.ordinal);
    if (driver_memory_charge(place.ordinal, CLASS_POOL, bytesize))
        return CUDA_ERROR_OUT_OF_MEMORY;
    return note(next(dptr, bytesize, pool, hStream), &place, pool, dptr, bytesize);
}

/* A block is not the driver's to free in stream order: what the stream still does with it is waited for. */
static CUresult free_block(CUdeviceptr address, CUstream stream, bool per_thread)
{
    CUresult result = real.cuStreamSynchronize(!stream && per_thread ? CU_STREAM_PER_THREAD : stream);

    return result == CUDA_SUCCESS ? hooks_result(core_free(address)) : result;
}

CUresult hook_cuMemFreeAsync(__typeof__(cuMemFreeAsync) *next, CUdeviceptr dptr, CUstream hStream)
{
    bool per_thread = next == real.cuMemFreeAsync_ptsz;
    struct driver_memory record;

    if (capture_records(hStream, per_thread))
        return next(dptr, hStream);
    if (core_owns(dptr))
        return free_block(dptr, hStream, per_thread);
    enum driver_kind kind = driver_memory_find(DRIVER_ASYNC, dptr, &record) ? DRIVER_ASYNC : DRIVER_MEMORY;
    bool known = driver_memory_remove(kind, dptr, &record);
    CUresult result = next(dptr, hStream);

    if (known && result != CUDA_SUCCESS)
        driver_memory_restore(kind, dptr, &record);
    return result;
}

CUresult hook_cuMemPoolCreate(__typeof__(cuMemPoolCreate) *next, const void *call_site, CUmemoryPool *pool,
                              const CUmemPoolProps *poolProps)
{
    CUresult result = next(pool, poolProps);

    (void)call_site;
    if (result == CUDA_SUCCESS && pool && poolProps &&
        poolProps->location.type == CU_MEM_LOCATION_TYPE_DEVICE &&
        (unsigned)poolProps->location.id < contexts_device_count())
        remember(*pool, (unsigned)poolProps->location.id);
    return result;
}

CUresult hook_cuMemPoolTrimTo(__typeof__(cuMemPoolTrimTo) *next, CUmemoryPool pool, size_t minBytesToKeep)
{
    CUresult result = next(pool, minBytesToKeep);

    settle(pool, 0);
    return result;
}

/* A lower release threshold may give memory back at once. */
CUresult hook_cuMemPoolSetAttribute(__typeof__(cuMemPoolSetAttribute) *next, CUmemoryPool pool,
                                    CUmemPool_attribute attr, void *value)
{
    CUresult result = next(pool, attr, value);

    settle(pool, 0);
    return result;
}

/* What is allocated from a destroyed pool lives on, and nobody can ask the pool any more. */
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
        core_charge_held(record.ordinal, CLASS_POOL, record.charged);
        driver_memory_add(DRIVER_ASYNC, table_copy_key(&copy, i), &record);
    }
    table_copy_free(&copy);
}

CUresult hook_cuMemPoolDestroy(__typeof__(cuMemPoolDestroy) *next, CUmemoryPool pool)
{
    struct pool known;

    lock_acquire(&settling);
    bool is_known = pool && table_take(&pools, key_of(pool), &known);
    CUresult result = next(pool);

    if (is_known && result != CUDA_SUCCESS) {
        table_put(&pools, key_of(pool), &known);
    } else if (is_known) {
        core_credit(known.ordinal, CLASS_POOL, known.charged);
        charge_orphans(pool);
    }
    lock_release(&settling);
    return result;
}

CUresult hook_cuMemPoolImportPointer(__typeof__(cuMemPoolImportPointer) *next, const void *call_site,
                                     CUdeviceptr *ptr_out, CUmemoryPool pool,
                                     CUmemPoolPtrExportData *shareData)
{
    CUresult result = next(ptr_out, pool, shareData);

    (void)call_site;
    if (result == CUDA_SUCCESS)
        core_roots_unknown("memory of another process's pool was imported");
    return result;
}
