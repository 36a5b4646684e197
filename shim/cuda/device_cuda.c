/* SPDX-License-Identifier: Apache-2.0 */
/* device_cuda.c - see device_cuda.h. */
#include "cuda/device_cuda.h"
#include "cuda/managed_advice.h"

#include <errno.h>
#include <time.h>

#include "base/options.h"
#include "cuda/async.h"

int device_cuda_error(CUresult result)
{
    switch (result) {
    case CUDA_SUCCESS:
        return 0;
    case CUDA_ERROR_OUT_OF_MEMORY:
        return -ENOMEM;
    case CUDA_ERROR_NOT_SUPPORTED:
    case CUDA_ERROR_NOT_PERMITTED:
        return -ENOTSUP;
    default:
        return -EIO;
    }
}

CUresult device_cuda_release(CUmemGenericAllocationHandle handle)
{
    CUresult result = real.cuMemRelease(handle);

    return result == CUDA_SUCCESS ? result : real.cuMemRelease(handle);
}

CUresult device_cuda_unmap(CUdeviceptr address, size_t bytes)
{
    CUresult result = real.cuMemUnmap(address, bytes);

    return result == CUDA_SUCCESS ? result : real.cuMemUnmap(address, bytes);
}

uint64_t device_now_ns(IGNORED struct device *self)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

unsigned device_runs_on(IGNORED struct device *self, const void *stream)
{
    CUstream on = (CUstream)(uintptr_t)stream;
    struct place place;
    bool is_known = contexts_is_default(on) ? contexts_here(&place) : contexts_of_stream(on, &place);

    return is_known ? place.ordinal : DEVICE_MAX;
}

int device_cuda_memory(IGNORED struct device *self, unsigned ordinal, uint64_t *out_free_bytes,
                       uint64_t *out_total_bytes)
{
    struct entered entered;
    size_t free_bytes = 0;
    size_t total_bytes = 0;
    CUresult result;
    int error = context_enter(ordinal, &entered);

    if (error == -ENOTSUP) {
        /* Before the program has made a context nothing of it is on the device. */
        result = real.cuDeviceTotalMem_v2(&total_bytes, contexts_device(ordinal));
        free_bytes = total_bytes;
    } else if (error) {
        return error;
    } else {
        result = real.cuMemGetInfo_v2(&free_bytes, &total_bytes);
        context_leave(&entered);
    }
    if (result != CUDA_SUCCESS)
        return device_cuda_error(result);
    *out_free_bytes = free_bytes;
    *out_total_bytes = total_bytes;
    return 0;
}

static struct device cuda = {
    .reserve = device_map_reserve,
    .unreserve = device_map_unreserve,
    .create = device_map_create,
    .release = device_map_release,
    .share = device_map_share,
    .host_create = device_host_create,
    .host_destroy = device_host_destroy,
    .try_host = device_probe_host,
    .map = device_map_map,
    .unmap = device_map_unmap,
    .grant = device_map_grant,
    .copy = device_copy,
    .zero = device_zero,
    .scan = device_scan,
    .copied = device_copied,
    .order = device_order,
    .confine = managed_advice_confine,
    .send_home = managed_advice_send_home,
    .give_ordered = async_give,
    .drain = device_drain,
    .rested = device_rested,
    .reachers = device_map_reachers,
    .users = device_map_users,
    .runs_on = device_runs_on,
    .memory = device_cuda_memory,
    .roots = device_roots,
    .now_ns = device_now_ns,
};

static bool has_vmm_entries(void)
{
    return real.cuMemCreate && real.cuMemRelease && real.cuMemAddressReserve && real.cuMemAddressFree &&
           real.cuMemMap && real.cuMemUnmap && real.cuMemSetAccess && real.cuMemGetAllocationGranularity;
}

static bool has_entries(void)
{
    return real.cuDeviceGetAttribute && real.cuDeviceGet && real.cuDeviceGetCount &&
           real.cuDeviceTotalMem_v2 && real.cuCtxGetCurrent && real.cuCtxGetDevice &&
           real.cuCtxPushCurrent_v2 && real.cuCtxPopCurrent_v2 && real.cuStreamCreate &&
           real.cuStreamDestroy_v2 && real.cuStreamSynchronize && real.cuMemcpyAsync &&
           real.cuMemGetInfo_v2 && real.cuEventCreate && real.cuEventDestroy_v2 && real.cuEventQuery &&
           real.cuCtxSynchronize && real.cuMemHostRegister_v2 && real.cuMemHostUnregister;
}

static bool granularity_fits(unsigned ordinal)
{
    CUmemAllocationProp prop = {
        .type = CU_MEM_ALLOCATION_TYPE_PINNED,
        .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = (int)ordinal},
    };
    size_t bytes = 0;

    return real.cuMemGetAllocationGranularity(&bytes, &prop, CU_MEM_ALLOC_GRANULARITY_RECOMMENDED) ==
               CUDA_SUCCESS &&
           bytes && GRANULE_BYTES % bytes == 0;
}

/* Capabilities that movable blocks need of every device. */
static bool has_vmm(void)
{
    for (unsigned i = 0; i < contexts_device_count(); i++) {
        int has = 0;

        if (real.cuDeviceGetAttribute(&has, CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED,
                                      contexts_device(i)) != CUDA_SUCCESS ||
            !has || !granularity_fits(i))
            return false;
    }
    return true;
}

int device_cuda_init(const struct options *options, struct device **out)
{
    bool wants_blocks = options_have_blocks(options);
    bool is_managed = options->allocator == ALLOCATOR_MANAGED;

    if (!has_entries() || (wants_blocks && !is_managed && !has_vmm_entries()))
        return -ENOTSUP;
    int error = contexts_init();

    if (error)
        return error;
    device_roots_vouch(options->disk == DISK_KNOWN);
    if (is_managed)
        return device_managed_init(out);
    if (wants_blocks && !has_vmm())
        return -ENOTSUP;
    cuda.count = contexts_device_count();
    cuda.floating = device_managed_floating();
    cuda.host_mappable = wants_blocks && device_host_is_open(options);
    *out = &cuda;
    return 0;
}
