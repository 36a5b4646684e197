/* SPDX-License-Identifier: Apache-2.0 */
/* Device memory by address: cuMemAlloc and its relatives, which become blocks where they are large enough. */
#include <errno.h>

#include "base/log.h"
#include "base/options.h"
#include "cuda/call_site.h"
#include "cuda/device_cuda.h"
#include "hook/hook_words.h"

/* An allocation that the driver refused although the budget had room is tried again while blocks can leave. */
enum {
    RELIEF_ROUNDS = 3
};

bool hook_is_movable(const void *call_site)
{
    switch (options_of_process()->cacheable) {
    case CACHEABLE_NONE:
        return false;
    default:
        return !call_site_is_nvidia(call_site);
    }
}

bool hook_wants_block(size_t bytes)
{
    const struct options *options = options_of_process();

    return bytes >= options->min_block_bytes && options_have_blocks(options) &&
           options->allocator != ALLOCATOR_MANAGED;
}

static uint64_t owner_of(const struct place *place)
{
    return (uint64_t)(uintptr_t)place->context;
}

/* -ENOTSUP: leave it to the driver. */
static int allocate_block(const struct place *place, size_t bytes, const void *call_site, CUdeviceptr *out)
{
    uint64_t address;

    const struct options *options = options_of_process();

    if (bytes < options->min_block_bytes || options->allocator == ALLOCATOR_NATIVE ||
        (options->allocator != ALLOCATOR_MANAGED && !device_cuda_maps(place->ordinal)))
        return -ENOTSUP;
    device_cuda_host_ready(place->ordinal);
    int error = core_allocate(place->ordinal, bytes, owner_of(place), call_site, hook_is_movable(call_site),
                              &address);

    if (!error) {
        device_cuda_let_in(place->ordinal, address, 0);
        *out = address;
    }
    return error;
}

enum stay hook_why_native(unsigned ordinal, size_t bytes)
{
    const struct options *options = options_of_process();

    if (options->allocator == ALLOCATOR_NATIVE)
        return options_lack_driver() ? STAY_UNMAPPABLE : STAY_ALLOCATOR;
    if (bytes < options->min_block_bytes)
        return STAY_MIN_BLOCK;
    if (options->allocator != ALLOCATOR_MANAGED && !device_cuda_maps(ordinal))
        return STAY_UNMAPPABLE;
    return core_is_bypassed() ? STAY_BYPASSED : STAY_WAIVED;
}

/* The real call answered `result`, with `bytes` charged. */
static CUresult allocated(CUresult result, const struct place *place, const CUdeviceptr *address,
                          size_t bytes)
{
    const struct driver_memory record = {.bytes = bytes,
                                         .charged = driver_memory_cost(bytes),
                                         .class = CLASS_NATIVE,
                                         .why = hook_why_native(place->ordinal, bytes),
                                         .ordinal = place->ordinal,
                                         .context = place->context};

    if (result == CUDA_SUCCESS)
        driver_memory_add(DRIVER_MEMORY, *address, &record);
    else
        driver_memory_refund(place->ordinal, CLASS_NATIVE, bytes);
    return result;
}

/* True when it is worth asking the driver again after it said that it is full. */
static bool relieve(const struct place *place, CUresult result, size_t bytes, int round)
{
    return result == CUDA_ERROR_OUT_OF_MEMORY && round < RELIEF_ROUNDS &&
           core_relieve(place->ordinal, bytes) > 0;
}

CUresult hook_cuMemAlloc_v2(__typeof__(cuMemAlloc_v2) *next, CUdeviceptr *dptr, size_t bytesize)
{
    struct place place;

    if (!dptr || !bytesize || !contexts_here(&place))
        return next(dptr, bytesize);
    const void *call_site = call_site_here();

    pools_settle();
    int error = allocate_block(&place, bytesize, call_site, dptr);

    if (error != -ENOTSUP)
        return hooks_result(error);
    if (driver_memory_charge(place.ordinal, CLASS_NATIVE, bytesize))
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUresult result = next(dptr, bytesize);

    for (int round = 0; relieve(&place, result, bytesize, round); round++)
        result = next(dptr, bytesize);
    return allocated(result, &place, dptr, bytesize);
}

CUresult hook_cuMemAllocPitch_v2(__typeof__(cuMemAllocPitch_v2) *next, CUdeviceptr *dptr, size_t *pPitch,
                                 size_t WidthInBytes, size_t Height, unsigned int ElementSizeBytes)
{
    struct place place;
    size_t bytes;

    if (!dptr || !pPitch || !WidthInBytes || !Height ||
        (ElementSizeBytes != 4 && ElementSizeBytes != 8 && ElementSizeBytes != 16) || !contexts_here(&place))
        return next(dptr, pPitch, WidthInBytes, Height, ElementSizeBytes);
    const void *call_site = call_site_here();

    pools_settle();
    size_t alignment = driver_memory_pitch(place.ordinal);
    size_t pitch = alignment ? (WidthInBytes + alignment - 1) / alignment * alignment : WidthInBytes;

    if (pitch < WidthInBytes || __builtin_mul_overflow(pitch, Height, &bytes))
        return next(dptr, pPitch, WidthInBytes, Height, ElementSizeBytes);
    int error = alignment ? allocate_block(&place, bytes, call_site, dptr) : -ENOTSUP;

    if (!error)
        *pPitch = pitch;
    if (error != -ENOTSUP)
        return hooks_result(error);
    if (driver_memory_charge(place.ordinal, CLASS_NATIVE, bytes))
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUresult result = next(dptr, pPitch, WidthInBytes, Height, ElementSizeBytes);

    for (int round = 0; relieve(&place, result, bytes, round); round++)
        result = next(dptr, pPitch, WidthInBytes, Height, ElementSizeBytes);
    return allocated(result, &place, dptr, bytes);
}

CUresult hook_cuMemFree_v2(__typeof__(cuMemFree_v2) *next, CUdeviceptr dptr)
{
    if (UNLIKELY(!contexts_any_here()))
        return FREES_MEMORY(next(dptr), dptr);
    async_forget(dptr);
    int error = core_free(dptr);

    return error == -ENOENT ? FREES_MEMORY(next(dptr), dptr) : hooks_result(error);
}

/* Why physical memory of a device is to be no block; STAY_NOT: it may. */
static enum stay why_no_handle(const CUmemAllocationProp *prop, size_t size)
{
    unsigned ordinal = (unsigned)prop->location.id;
    struct place place;

    if (options_of_process()->allocator == ALLOCATOR_MANAGED)
        return STAY_ALLOCATOR;
    if (!hook_wants_block(size) || core_is_bypassed() || !contexts_here(&place) || !device_cuda_maps(ordinal))
        return hook_why_native(ordinal, size);
    device_cuda_host_ready(ordinal);
    return vmm_handle_refuses(prop, size);
}

/* Physical memory of the program's own virtual memory management, charged while it lasts. */
CUresult hook_cuMemCreate(__typeof__(cuMemCreate) *next, CUmemGenericAllocationHandle *handle, size_t size,
                          const CUmemAllocationProp *prop, unsigned long long flags)
{
    if (!handle || !size || !prop)
        return next(handle, size, prop, flags);
    struct vmm_memory memory = {
        .bytes = size, .on_host = prop->location.type != CU_MEM_LOCATION_TYPE_DEVICE, .handles = 1};

    if (!memory.on_host && (unsigned)prop->location.id >= contexts_device_count())
        return next(handle, size, prop, flags);
    memory.ordinal = memory.on_host ? 0 : (unsigned)prop->location.id;
    CUresult result;

    pools_settle();
    memory.why = memory.on_host || flags ? STAY_OWN : why_no_handle(prop, size);
    if (memory.why == STAY_NOT && vmm_handle_create(handle, size, prop, call_site_here(), &result))
        return result;
    memory.why = memory.why == STAY_NOT ? STAY_WAIVED : memory.why;
    if (vmm_charge(&memory))
        return CUDA_ERROR_OUT_OF_MEMORY;
    result = next(handle, size, prop, flags);

    if (result == CUDA_ERROR_OUT_OF_MEMORY && !memory.on_host && core_relieve(memory.ordinal, size) > 0)
        result = next(handle, size, prop, flags);
    if (result == CUDA_SUCCESS)
        vmm_add(*handle, &memory);
    else
        vmm_credit(&memory);
    return result;
}
