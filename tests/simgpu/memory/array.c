/* SPDX-License-Identifier: Apache-2.0 */
#include "memory/array.h"

#include "driver/handle.h"
#include "memory/pool.h"
#include "stream/capture.h"
#include "stream/op.h"

#include <stdlib.h>

/* A CUarray or CUmipmappedArray is the address of one. Each takes whole granules of its own. */
struct array {
    struct array *next, *previous;
    struct context *context;
    CUDA_ARRAY3D_DESCRIPTOR desc;
    bool mipmapped;
    size_t bytes;
    uint64_t place;
};

static struct array *arrays;
static size_t count;

size_t array_count(void)
{
    return count;
}

/* 0: none that is implemented. */
static size_t element_bytes(CUarray_format format)
{
    switch (format) {
    case CU_AD_FORMAT_UNSIGNED_INT8:
    case CU_AD_FORMAT_SIGNED_INT8:
        return 1;
    case CU_AD_FORMAT_UNSIGNED_INT16:
    case CU_AD_FORMAT_SIGNED_INT16:
    case CU_AD_FORMAT_HALF:
        return 2;
    case CU_AD_FORMAT_UNSIGNED_INT32:
    case CU_AD_FORMAT_SIGNED_INT32:
    case CU_AD_FORMAT_FLOAT:
        return 4;
    default:
        return 0;
    }
}

static size_t halved(size_t extent, unsigned level)
{
    return extent >> level ? extent >> level : 1;
}

/* Bytes of all levels; 0 for what is too large for a number. Layers stay as many on each level. */
static size_t total_bytes(const CUDA_ARRAY3D_DESCRIPTOR *desc, unsigned levels)
{
    bool layered = desc->Flags & (CUDA_ARRAY3D_LAYERED | CUDA_ARRAY3D_CUBEMAP);
    size_t total = 0;

    for (unsigned level = 0; level < levels; level++) {
        size_t bytes = element_bytes(desc->Format) * desc->NumChannels;

        if (__builtin_mul_overflow(bytes, halved(desc->Width, level), &bytes) ||
            __builtin_mul_overflow(bytes, desc->Height ? halved(desc->Height, level) : 1, &bytes) ||
            __builtin_mul_overflow(bytes,
                                   !desc->Depth ? 1
                                   : layered    ? desc->Depth
                                                : halved(desc->Depth, level),
                                   &bytes) ||
            __builtin_add_overflow(total, bytes, &total))
            return 0;
    }
    return total;
}

static CUresult judge(const CUDA_ARRAY3D_DESCRIPTOR *desc)
{
    const unsigned known = CUDA_ARRAY3D_LAYERED | CUDA_ARRAY3D_SURFACE_LDST | CUDA_ARRAY3D_CUBEMAP |
                           CUDA_ARRAY3D_TEXTURE_GATHER | CUDA_ARRAY3D_COLOR_ATTACHMENT;

    if (!desc->Width || (desc->NumChannels != 1 && desc->NumChannels != 2 && desc->NumChannels != 4) ||
        (desc->Depth && !desc->Height && !(desc->Flags & CUDA_ARRAY3D_LAYERED)))
        return CUDA_ERROR_INVALID_VALUE;
    return !element_bytes(desc->Format) || desc->Flags & ~known ? CUDA_ERROR_NOT_SUPPORTED : CUDA_SUCCESS;
}

/* Memory for one, with the lock held. */
static CUresult take(struct array *array, unsigned levels)
{
    struct device *device = array->context->device;
    size_t bytes = total_bytes(&array->desc, levels);
    CUresult result;

    if (!bytes || bytes > SIZE_MAX - GRANULE)
        return CUDA_ERROR_INVALID_VALUE;
    array->bytes = (bytes + GRANULE - 1) & ~(size_t)(GRANULE - 1);
    result = device_take(device, STORE_ARRAY, array->bytes, &array->place);
    if (result == CUDA_ERROR_OUT_OF_MEMORY && pool_trim_all(device))
        result = device_take(device, STORE_ARRAY, array->bytes, &array->place);
    if (result == CUDA_SUCCESS && !handle_add(array, HANDLE_ARRAY)) {
        device_give(device, STORE_ARRAY, array->bytes, array->place);
        result = CUDA_ERROR_OUT_OF_MEMORY;
    }
    return result;
}

/* levels 0: no mipmap. */
static CUresult create(void **created, const CUDA_ARRAY3D_DESCRIPTOR *desc, unsigned levels)
{
    struct array *array;
    CUresult result = judge(desc);

    if (result != CUDA_SUCCESS)
        return result;
    array = calloc(1, sizeof *array);
    if (!array)
        return CUDA_ERROR_OUT_OF_MEMORY;
    sim_lock();
    array->context = context_current();
    array->desc = *desc;
    array->mipmapped = levels;
    result = capture_forbid();
    if (result == CUDA_SUCCESS)
        result = take(array, levels ? levels : 1);
    if (result != CUDA_SUCCESS) {
        free(array);
        return sim_leave(result);
    }
    array->next = arrays;
    if (arrays)
        arrays->previous = array;
    arrays = array;
    count++;
    *created = array;
    return sim_leave(CUDA_SUCCESS);
}

static void give(struct array *array)
{
    if (array->previous)
        array->previous->next = array->next;
    else
        arrays = array->next;
    if (array->next)
        array->next->previous = array->previous;
    count--;
    handle_remove(array);
    device_give(array->context->device, STORE_ARRAY, array->bytes, array->place);
    free(array);
}

void array_clear(struct context *context)
{
    for (struct array *array = arrays, *next; array; array = next) {
        next = array->next;
        if (array->context == context)
            give(array);
    }
}

/* The lock is held. */
static bool is_array(const void *handle, bool mipmapped)
{
    return handle_is(handle, HANDLE_ARRAY) && ((const struct array *)handle)->mipmapped == mipmapped;
}

static CUresult destroy(struct array *array, bool mipmapped)
{
    struct device *device;
    CUresult result;

    sim_lock();
    result = capture_forbid();
    if (result == CUDA_SUCCESS && !is_array(array, mipmapped))
        result = CUDA_ERROR_INVALID_HANDLE;
    if (result != CUDA_SUCCESS)
        return sim_leave(result);
    device = array->context->device;
    op_drain(NULL, device);
    op_observe_device(device);
    if (!is_array(array, mipmapped))
        return sim_leave(CUDA_ERROR_INVALID_HANDLE); /* another thread was first */
    give(array);
    return sim_leave(CUDA_SUCCESS);
}

CUresult sim_cuArrayCreate_v2(CUarray *created, const CUDA_ARRAY_DESCRIPTOR *desc)
{
    if (!created || !desc)
        return CUDA_ERROR_INVALID_VALUE;
    const CUDA_ARRAY3D_DESCRIPTOR whole = {.Width = desc->Width,
                                           .Height = desc->Height,
                                           .Format = desc->Format,
                                           .NumChannels = desc->NumChannels};

    return create((void **)created, &whole, 0);
}

CUresult sim_cuArray3DCreate_v2(CUarray *created, const CUDA_ARRAY3D_DESCRIPTOR *desc)
{
    return created && desc ? create((void **)created, desc, 0) : CUDA_ERROR_INVALID_VALUE;
}

CUresult sim_cuMipmappedArrayCreate(CUmipmappedArray *created, const CUDA_ARRAY3D_DESCRIPTOR *desc,
                                    unsigned levels)
{
    if (!created || !desc || !levels || levels > 32)
        return CUDA_ERROR_INVALID_VALUE;
    return create((void **)created, desc, levels);
}

CUresult sim_cuArrayDestroy(CUarray array)
{
    return destroy((struct array *)array, false);
}

CUresult sim_cuMipmappedArrayDestroy(CUmipmappedArray array)
{
    return destroy((struct array *)array, true);
}

CUresult sim_cuArray3DGetDescriptor_v2(CUDA_ARRAY3D_DESCRIPTOR *desc, CUarray handle)
{
    if (!desc)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    if (!is_array(handle, false))
        return sim_leave(CUDA_ERROR_INVALID_HANDLE);
    *desc = ((const struct array *)handle)->desc;
    return sim_leave(CUDA_SUCCESS);
}

CUresult sim_cuArrayGetDescriptor_v2(CUDA_ARRAY_DESCRIPTOR *desc, CUarray handle)
{
    CUDA_ARRAY3D_DESCRIPTOR whole;
    CUresult result = desc ? sim_cuArray3DGetDescriptor_v2(&whole, handle) : CUDA_ERROR_INVALID_VALUE;

    if (result == CUDA_SUCCESS)
        *desc = (CUDA_ARRAY_DESCRIPTOR){.Width = whole.Width,
                                        .Height = whole.Height,
                                        .Format = whole.Format,
                                        .NumChannels = whole.NumChannels};
    return result;
}

static CUresult requirements(CUDA_ARRAY_MEMORY_REQUIREMENTS *needs, const struct array *array, bool mipmapped,
                             CUdevice ordinal)
{
    if (!needs || !device_at(ordinal))
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    if (!is_array(array, mipmapped))
        return sim_leave(CUDA_ERROR_INVALID_HANDLE);
    *needs = (CUDA_ARRAY_MEMORY_REQUIREMENTS){.size = array->bytes, .alignment = GRANULE};
    return sim_leave(CUDA_SUCCESS);
}

CUresult sim_cuArrayGetMemoryRequirements(CUDA_ARRAY_MEMORY_REQUIREMENTS *needs, CUarray array,
                                          CUdevice device)
{
    return requirements(needs, (const struct array *)array, false, device);
}

CUresult sim_cuMipmappedArrayGetMemoryRequirements(CUDA_ARRAY_MEMORY_REQUIREMENTS *needs,
                                                   CUmipmappedArray array, CUdevice device)
{
    return requirements(needs, (const struct array *)array, true, device);
}
