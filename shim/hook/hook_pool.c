/* SPDX-License-Identifier: Apache-2.0 */
/* Stream-ordered allocation: blocks where they can be. What is the driver's own is charged ahead, and then its pool with
 * what it holds. */
#include "base/options.h"
#include "cuda/call_site.h"
#include "cuda/device_cuda.h"
#include "hook/hook_words.h"

/* Why the options, or the device, leave it to the driver; STAY_NOT: they do not. */
static enum stay why_no_block(unsigned ordinal, size_t bytes)
{
    if (hook_wants_block(bytes) && device_cuda_maps(ordinal))
        return STAY_NOT;
    return options_of_process()->allocator == ALLOCATOR_MANAGED ? STAY_ALLOCATOR
                                                                : hook_why_native(ordinal, bytes);
}

/* CUDA_ERROR_NOT_SUPPORTED: leave it to the driver, `*out_why`. */
static CUresult allocate_block(unsigned ordinal, CUdeviceptr *dptr, size_t bytes, CUmemoryPool pool,
                               CUstream stream, bool per_thread, enum stay *out_why)
{
    const void *call_site = call_site_here();
    const struct async_request request = {.bytes = bytes,
                                          .pool = pool,
                                          .stream = stream,
                                          .per_thread = per_thread,
                                          .call_site = call_site,
                                          .is_movable = hook_is_movable(call_site)};

    *out_why = why_no_block(ordinal, bytes);
    if (*out_why != STAY_NOT)
        return CUDA_ERROR_NOT_SUPPORTED;
    device_cuda_host_ready(ordinal);
    CUresult result = async_allocate(&request, dptr, out_why);

    if (*out_why == STAY_NOT)
        *out_why = hook_why_native(ordinal, bytes);
    return result;
}

CUresult hook_cuMemAllocAsync(__typeof__(cuMemAllocAsync) *next, CUdeviceptr *dptr, size_t bytesize,
                              CUstream hStream)
{
    bool per_thread = next == real.cuMemAllocAsync_ptsz;
    struct place place;
    CUmemoryPool pool = NULL;
    enum stay why;

    if (!dptr || !bytesize || capture_records(hStream, per_thread) || !pools_place(hStream, &place))
        return next(dptr, bytesize, hStream);
    pools_settle();
    CUresult result = allocate_block(place.ordinal, dptr, bytesize, NULL, hStream, per_thread, &why);

    if (result != CUDA_ERROR_NOT_SUPPORTED)
        return result;
    if (real.cuDeviceGetMemPool &&
        real.cuDeviceGetMemPool(&pool, contexts_device(place.ordinal)) != CUDA_SUCCESS)
        pool = NULL;
    if (driver_memory_charge(place.ordinal, CLASS_POOL, bytesize))
        return CUDA_ERROR_OUT_OF_MEMORY;
    return pools_allocated(next(dptr, bytesize, hStream), &place, pool, why, dptr, bytesize);
}

CUresult hook_cuMemAllocFromPoolAsync(__typeof__(cuMemAllocFromPoolAsync) *next, CUdeviceptr *dptr,
                                      size_t bytesize, CUmemoryPool pool, CUstream hStream)
{
    bool per_thread = next == real.cuMemAllocFromPoolAsync_ptsz;
    struct place place;
    enum stay why;

    if (!dptr || !bytesize || !pool || capture_records(hStream, per_thread) || !pools_place(hStream, &place))
        return next(dptr, bytesize, pool, hStream);
    pools_settle();
    CUresult result = allocate_block(place.ordinal, dptr, bytesize, pool, hStream, per_thread, &why);

    if (result != CUDA_ERROR_NOT_SUPPORTED)
        return result;
    place.ordinal = pools_ordinal(pool, place.ordinal);
    if (driver_memory_charge(place.ordinal, CLASS_POOL, bytesize))
        return CUDA_ERROR_OUT_OF_MEMORY;
    return pools_allocated(next(dptr, bytesize, pool, hStream), &place, pool, why, dptr, bytesize);
}

/* Where the order of a stream cannot be kept, what the stream still does with the block is waited for. */
static CUresult free_block(CUdeviceptr address, CUstream stream, bool per_thread)
{
    CUresult result = async_free(address, stream, per_thread);

    if (result != CUDA_ERROR_NOT_SUPPORTED)
        return result;
    result = real.cuStreamSynchronize(!stream && per_thread ? CU_STREAM_PER_THREAD : stream);
    if (result != CUDA_SUCCESS)
        return result;
    async_forget(address);
    return hooks_result(core_free(address));
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
