/* SPDX-License-Identifier: Apache-2.0 */
/* Managed memory of the program's own: it is told what it has said itself, and brings to a device what may be there. */
#include "base/cancel_guard.h"
#include "cuda/device_cuda.h"
#include "cuda/managed_advice.h"
#include "hook/hook_words.h"

/* All bytes lie in one piece of such memory. */
static bool is_managed(CUdeviceptr start, size_t bytes, struct managed_info *out)
{
    return bytes && core_managed_find(start, out) && bytes <= out->start + out->bytes - start;
}

CUresult hook_cuMemAllocManaged(__typeof__(cuMemAllocManaged) *next, CUdeviceptr *dptr, size_t bytesize,
                                unsigned int flags)
{
    struct place place;

    if (!dptr || !bytesize || !contexts_here(&place))
        return next(dptr, bytesize, flags);
    pools_settle();
    if (driver_memory_charge(place.ordinal, CLASS_MANAGED, bytesize))
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUresult result = next(dptr, bytesize, flags);

    if (result != CUDA_SUCCESS) {
        driver_memory_refund(place.ordinal, CLASS_MANAGED, bytesize);
        return result;
    }
    bool is_floating = device_managed_floating() >> place.ordinal & 1;

    if (!is_floating)
        device_managed_rooted();
    managed_advice_begin(*dptr, bytesize);
    driver_memory_add(DRIVER_MEMORY, *dptr,
                      &(const struct driver_memory){.bytes = bytesize,
                                                    .charged = driver_memory_cost(bytesize),
                                                    .class = CLASS_MANAGED,
                                                    .why = is_floating ? STAY_DRIVER : STAY_ROOTED,
                                                    .ordinal = place.ordinal,
                                                    .context = place.context});
    return CUDA_SUCCESS;
}

/* ---- prefetch ------------------------------------------------------------------------------------------------------ */

/* One call of either entry. */
struct prefetch {
    CUdeviceptr start;
    size_t bytes;
    CUmemLocation to;
    unsigned flags;
    CUstream stream;
    void *next;
    CUresult (*call)(const struct prefetch *prefetch);
};

static CUresult call_first(const struct prefetch *prefetch)
{
    CUdevice to = prefetch->to.type == CU_MEM_LOCATION_TYPE_HOST ? (CUdevice)CU_DEVICE_CPU : prefetch->to.id;

    return ((__typeof__(cuMemPrefetchAsync) *)prefetch->next)(prefetch->start, prefetch->bytes, to,
                                                              prefetch->stream);
}

static CUresult call_second(const struct prefetch *prefetch)
{
    return ((__typeof__(cuMemPrefetchAsync_v2) *)prefetch->next)(
        prefetch->start, prefetch->bytes, prefetch->to, prefetch->flags, prefetch->stream);
}

/* The driver judges the call, and moves nothing to a device. */
static CUresult prefetch_home(struct prefetch prefetch)
{
    prefetch.to = (CUmemLocation){.type = CU_MEM_LOCATION_TYPE_HOST};
    return prefetch.call(&prefetch);
}

/* What may be on the device comes, and what the stream is given from now on waits for that. It does not wait for what the
 * stream has been given before: where pages are changes no result. */
static CUresult prefetch_held(const struct prefetch *prefetch, unsigned ordinal, CUstream stream)
{
    CUdeviceptr end = prefetch->start + prefetch->bytes;
    uint64_t bytes;
    bool any = false;
    int error = 0;

    for (CUdeviceptr at = prefetch->start; at < end && !error; at += bytes) {
        if (!core_managed_run(at, end - at, ordinal, &bytes))
            continue;
        any = true;
        error = managed_advice_bring(ordinal, at, bytes);
    }
    if (any && !error && !device_order(NULL, ordinal, stream))
        return CUDA_SUCCESS;
    return prefetch_home(*prefetch);
}

static CUresult prefetch_managed(const struct prefetch *prefetch, bool is_per_thread)
{
    CUstream stream = is_per_thread && !prefetch->stream ? CU_STREAM_PER_THREAD : prefetch->stream;
    unsigned ordinal =
        prefetch->to.type == CU_MEM_LOCATION_TYPE_DEVICE ? contexts_ordinal(prefetch->to.id) : DEVICE_MAX;
    CUresult result;

    if (prefetch->flags || ordinal == DEVICE_MAX || !core_managed_limited(ordinal)) {
        result = prefetch->call(prefetch);
    } else if (capture_records(prefetch->stream, is_per_thread)) { /* whoever plays it asks nobody */
        result = prefetch_home(*prefetch);
    } else {
        core_managed_bring(ordinal, prefetch->start, prefetch->bytes);
        if (!core_managed_hold(prefetch->start))
            return prefetch->call(prefetch);
        result = prefetch_held(prefetch, ordinal, stream);
        core_managed_let_go(prefetch->start);
    }
    if (result == CUDA_SUCCESS)
        managed_advice_prefetched(prefetch->start, prefetch->bytes, prefetch->to);
    return result;
}

static CUresult prefetch_any(const struct prefetch *prefetch, bool is_per_thread)
{
    struct managed_info info;
    struct cancel_guard guard;
    CUresult result;

    if (is_managed(prefetch->start, prefetch->bytes, &info)) {
        cancel_guard_enter(&guard); /* what is held is let go */
        result = prefetch_managed(prefetch, is_per_thread);
        cancel_guard_leave(&guard);
        return result;
    }
    return NAMES(prefetch->call(prefetch), use_word(&use, prefetch->start), use.stream = prefetch->stream);
}

CUresult hook_managed_prefetch(__typeof__(cuMemPrefetchAsync) *next, CUdeviceptr start, size_t bytes,
                               CUdevice to, CUstream stream, bool is_per_thread)
{
    return prefetch_any(&(const struct prefetch){.start = start,
                                                 .bytes = bytes,
                                                 .to = managed_advice_location(to),
                                                 .stream = stream,
                                                 .next = (void *)next,
                                                 .call = call_first},
                        is_per_thread);
}

CUresult hook_managed_prefetch_v2(__typeof__(cuMemPrefetchAsync_v2) *next, CUdeviceptr start, size_t bytes,
                                  CUmemLocation to, unsigned flags, CUstream stream, bool is_per_thread)
{
    return prefetch_any(&(const struct prefetch){.start = start,
                                                 .bytes = bytes,
                                                 .to = to,
                                                 .flags = flags,
                                                 .stream = stream,
                                                 .next = (void *)next,
                                                 .call = call_second},
                        is_per_thread);
}

/* ---- advice -------------------------------------------------------------------------------------------------------- */

struct advising {
    CUdeviceptr start;
    size_t bytes;
    CUmem_advise advice;
    CUmemLocation location;
    void *next;
    CUresult (*call)(const struct advising *advising, CUdeviceptr start, size_t bytes);
};

static CUresult advise_first(const struct advising *advising, CUdeviceptr start, size_t bytes)
{
    CUdevice device = advising->location.type == CU_MEM_LOCATION_TYPE_HOST ? (CUdevice)CU_DEVICE_CPU
                                                                           : advising->location.id;

    return ((__typeof__(cuMemAdvise) *)advising->next)(start, bytes, advising->advice, device);
}

static CUresult advise_second(const struct advising *advising, CUdeviceptr start, size_t bytes)
{
    return ((__typeof__(cuMemAdvise_v2) *)advising->next)(start, bytes, advising->advice, advising->location);
}

/* Pages that may be anywhere on their device get the program's advice as it is; the others what it comes to where they are
 * kept from some. */
static CUresult advise_held(const struct advising *advising, const struct managed_info *info)
{
    CUdeviceptr end = advising->start + advising->bytes;
    CUresult result = CUDA_SUCCESS;
    uint64_t bytes;

    for (CUdeviceptr at = advising->start; at < end && result == CUDA_SUCCESS; at += bytes) {
        bool in = core_managed_run(at, end - at, info->ordinal, &bytes);
        unsigned to = in ? info->ordinal : DEVICE_NONE;

        if (in && contexts_device_count() == 1) {
            result = advising->call(advising, at, bytes);
            if (result == CUDA_SUCCESS)
                managed_advice_note(at, bytes, advising->advice, advising->location);
        } else {
            result = hooks_result(managed_advice_change(at, bytes, advising->advice, advising->location, to));
        }
    }
    return result;
}

static CUresult advise_any(const struct advising *advising)
{
    struct managed_info info;
    struct cancel_guard guard;
    CUresult result;

    if (!is_managed(advising->start, advising->bytes, &info))
        return NAMES(advising->call(advising, advising->start, advising->bytes),
                     use_word(&use, advising->start));
    if (!managed_advice_is_valid(advising->advice, advising->location))
        return advising->call(advising, advising->start, advising->bytes);
    cancel_guard_enter(&guard);
    if (core_managed_hold(advising->start)) {
        result = advise_held(advising, &info);
        core_managed_let_go(advising->start);
    } else {
        result = advising->call(advising, advising->start, advising->bytes);
    }
    cancel_guard_leave(&guard);
    return result;
}

CUresult hook_cuMemAdvise(__typeof__(cuMemAdvise) *next, CUdeviceptr devPtr, size_t count,
                          CUmem_advise advice, CUdevice device)
{
    return advise_any(&(const struct advising){.start = devPtr,
                                               .bytes = count,
                                               .advice = advice,
                                               .location = managed_advice_location(device),
                                               .next = (void *)next,
                                               .call = advise_first});
}

CUresult hook_cuMemAdvise_v2(__typeof__(cuMemAdvise_v2) *next, CUdeviceptr devPtr, size_t count,
                             CUmem_advise advice, CUmemLocation location)
{
    return advise_any(&(const struct advising){.start = devPtr,
                                               .bytes = count,
                                               .advice = advice,
                                               .location = location,
                                               .next = (void *)next,
                                               .call = advise_second});
}

/* ---- what it is told ------------------------------------------------------------------------------------------------ */

CUresult hook_managed_told(CUresult result, void *const *data, const size_t *data_bytes,
                           const CUmem_range_attribute *attributes, size_t attribute_count, CUdeviceptr start,
                           size_t bytes)
{
    struct managed_info info;

    if (result != CUDA_SUCCESS || !is_managed(start, bytes, &info) || !info.is_altered)
        return result;
    for (size_t i = 0; i < attribute_count; i++)
        managed_advice_answer(data[i], data_bytes[i], attributes[i], start, bytes);
    return result;
}
