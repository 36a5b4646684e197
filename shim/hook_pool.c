/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stream-ordered allocation. A pool is charged with what it holds of the device, which is more than what is allocated
 * from it; an allocation itself costs nothing. A driver that does not tell what a pool holds has each allocation
 * charged instead.
 */
#include "capture.h"
#include "contexts.h"
#include "core.h"
#include "hooks.h"
#include "native.h"
#include "site.h"

#include <errno.h>

struct pool {
    uint64_t charged;
    unsigned ordinal;
};

static struct table pools = TABLE_INIT(struct pool);

static uint64_t key_of(CUmemoryPool pool)
{
    return (uint64_t)(uintptr_t)pool;
}

static bool held_bytes(CUmemoryPool pool, uint64_t *out)
{
    cuuint64_t bytes = 0;

    if (!pool || !real.cuMemPoolGetAttribute ||
        real.cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT, &bytes) != CUDA_SUCCESS)
        return false;
    *out = bytes;
    return true;
}

/* Bring the pool's charge to what it holds; `ahead` was charged already. */
static void settle(CUmemoryPool pool, unsigned ordinal, uint64_t ahead)
{
    uint64_t held;

    if (!held_bytes(pool, &held))
        return;
    table_lock(&pools);
    struct pool *known = table_add(&pools, key_of(pool));
    uint64_t before = known ? known->charged : held;

    if (known)
        *known = (struct pool){held, ordinal};
    table_unlock(&pools);
    uint64_t have = before + ahead;

    if (have > held)
        core_credit(ordinal, CLASS_POOL, have - held);
    if (have < held && core_charge(ordinal, CLASS_POOL, held - have, NULL)) {
        /* It is held already; what the budget does not take stays out of the books until the pool shrinks. */
        table_lock(&pools);
        known = table_find(&pools, key_of(pool));
        if (known)
            known->charged = have;
        table_unlock(&pools);
    }
}

static void settle_known(CUmemoryPool pool)
{
    struct pool known;

    if (table_get(&pools, key_of(pool), &known))
        settle(pool, known.ordinal, 0);
}

static void settle_all(void)
{
    struct table_copy copy;

    if (table_copy(&pools, &copy))
        return;
    for (uint32_t i = 0; i < copy.count; i++)
        settle((CUmemoryPool)(uintptr_t)table_copy_key(&copy, i),
               ((const struct pool *)table_copy_record(&copy, i))->ordinal, 0);
    table_copy_free(&copy);
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

/* The real call has been made, with native_cost(bytes) charged ahead. */
static CUresult note(CUresult result, const struct place *place, CUmemoryPool pool,
                     const CUdeviceptr *address, size_t bytes)
{
    uint64_t held;
    uint64_t ahead = native_cost(bytes);
    bool by_pool = held_bytes(pool, &held);
    struct native record = {.bytes = bytes,
                            .charged = by_pool ? 0 : ahead,
                            .class = CLASS_POOL,
                            .ordinal = place->ordinal,
                            .context = place->context};

    if (by_pool)
        settle(pool, place->ordinal, ahead);
    else if (result != CUDA_SUCCESS)
        native_refund(place->ordinal, CLASS_POOL, bytes);
    if (result == CUDA_SUCCESS)
        native_add(NATIVE_ASYNC, *address, &record);
    return result;
}

CUresult hook_cuMemAllocAsync(__typeof__(cuMemAllocAsync) *next, const void *call_site, CUdeviceptr *dptr,
                              size_t bytesize, CUstream hStream)
{
    struct place place;
    CUmemoryPool pool = NULL;

    if (!dptr || !bytesize || capture_records(hStream, next == real.cuMemAllocAsync_ptsz) ||
        !place_of(hStream, &place))
        return next(dptr, bytesize, hStream);
    if (real.cuDeviceGetMemPool &&
        real.cuDeviceGetMemPool(&pool, contexts_device(place.ordinal)) != CUDA_SUCCESS)
        pool = NULL;
    if (native_charge(place.ordinal, CLASS_POOL, bytesize, site_of(call_site)))
        return CUDA_ERROR_OUT_OF_MEMORY;
    return note(next(dptr, bytesize, hStream), &place, pool, dptr, bytesize);
}

CUresult hook_cuMemAllocFromPoolAsync(__typeof__(cuMemAllocFromPoolAsync) *next, const void *call_site,
                                      CUdeviceptr *dptr, size_t bytesize, CUmemoryPool pool, CUstream hStream)
{
    struct place place;

    if (!dptr || !bytesize || !pool || capture_records(hStream, next == real.cuMemAllocFromPoolAsync_ptsz) ||
        !place_of(hStream, &place))
        return next(dptr, bytesize, pool, hStream);
    if (native_charge(place.ordinal, CLASS_POOL, bytesize, site_of(call_site)))
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
    struct native record;

    if (capture_records(hStream, per_thread))
        return next(dptr, hStream);
    if (core_owns(dptr))
        return free_block(dptr, hStream, per_thread);
    enum native_kind kind = native_find(NATIVE_ASYNC, dptr, &record) ? NATIVE_ASYNC : NATIVE_MEMORY;
    bool known = native_remove(kind, dptr, &record);
    CUresult result = next(dptr, hStream);

    if (known && result != CUDA_SUCCESS)
        native_restore(kind, dptr, &record);
    settle_all();
    return result;
}

CUresult hook_cuMemPoolTrimTo(__typeof__(cuMemPoolTrimTo) *next, CUmemoryPool pool, size_t minBytesToKeep)
{
    CUresult result = next(pool, minBytesToKeep);

    settle_known(pool);
    return result;
}

/* A lower release threshold gives memory back at once. */
CUresult hook_cuMemPoolSetAttribute(__typeof__(cuMemPoolSetAttribute) *next, CUmemoryPool pool,
                                    CUmemPool_attribute attr, void *value)
{
    CUresult result = next(pool, attr, value);

    settle_known(pool);
    return result;
}

CUresult hook_cuMemPoolDestroy(__typeof__(cuMemPoolDestroy) *next, CUmemoryPool pool)
{
    struct pool known;
    bool is_known = pool && table_take(&pools, key_of(pool), &known);

    if (is_known)
        core_credit(known.ordinal, CLASS_POOL, known.charged);
    return next(pool);
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
