/* SPDX-License-Identifier: Apache-2.0 */
/* Stream-ordered allocation: an allocation is charged ahead, and then its pool with what it holds. */
#include "hook/hook_words.h"

CUresult hook_cuMemAllocAsync(__typeof__(cuMemAllocAsync) *next, CUdeviceptr *dptr, size_t bytesize,
                              CUstream hStream)
{
    struct place place;
    CUmemoryPool pool = NULL;

    if (!dptr || !bytesize || capture_records(hStream, next == real.cuMemAllocAsync_ptsz) ||
        !pools_place(hStream, &place))
        return next(dptr, bytesize, hStream);
    pools_settle();
    if (real.cuDeviceGetMemPool &&
        real.cuDeviceGetMemPool(&pool, contexts_device(place.ordinal)) != CUDA_SUCCESS)
        pool = NULL;
    if (driver_memory_charge(place.ordinal, CLASS_POOL, bytesize))
        return CUDA_ERROR_OUT_OF_MEMORY;
    return pools_allocated(next(dptr, bytesize, hStream), &place, pool, dptr, bytesize);
}

CUresult hook_cuMemAllocFromPoolAsync(__typeof__(cuMemAllocFromPoolAsync) *next, CUdeviceptr *dptr,
                                      size_t bytesize, CUmemoryPool pool, CUstream hStream)
{
    struct place place;

    if (!dptr || !bytesize || !pool || capture_records(hStream, next == real.cuMemAllocFromPoolAsync_ptsz) ||
        !pools_place(hStream, &place))
        return next(dptr, bytesize, pool, hStream);
    pools_settle();
    place.ordinal = pools_ordinal(pool, place.ordinal);
    if (driver_memory_charge(place.ordinal, CLASS_POOL, bytesize))
        return CUDA_ERROR_OUT_OF_MEMORY;
    return pools_allocated(next(dptr, bytesize, pool, hStream), &place, pool, dptr, bytesize);
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

    if (capture_records(hStream, per_thread))
        return next(dptr, hStream);
    if (core_owns(dptr))
        return free_block(dptr, hStream, per_thread);
    return FREES_MEMORY(next(dptr, hStream), dptr);
}
