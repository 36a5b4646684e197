/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays and mipmaps: opaque layouts in device memory, never moved. */
#include <string.h>

#include "hook/hook_words.h"

/* Bytes of one element by its format; 16 where the format is none that this version knows. */
static uint64_t format_bytes(CUarray_format format)
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
        return 16;
    }
}

/* The whole of a mipmap chain is less than 8/7 of its first level in three dimensions and 4/3 in two. */
static uint64_t descriptor_bytes(const CUDA_ARRAY3D_DESCRIPTOR *desc, bool is_mipmapped)
{
    uint64_t height = desc->Height ? desc->Height : 1;
    uint64_t depth = desc->Depth ? desc->Depth : 1;
    uint64_t bytes = desc->Width * height * depth * desc->NumChannels * format_bytes(desc->Format);

    return is_mipmapped ? bytes + bytes / 3 + 1 : bytes;
}

bool hook_array_begin(const void *handle, const CUDA_ARRAY3D_DESCRIPTOR *desc, bool is_mipmapped,
                      struct array *out)
{
    *out = (struct array){.is_mipmapped = is_mipmapped};
    if (!handle || !desc || !contexts_here(&out->place) || desc->Flags & CUDA_ARRAY3D_DEFERRED_MAPPING)
        return true;
    uint64_t bytes = descriptor_bytes(desc, is_mipmapped);

    pools_settle();
    if (driver_memory_charge(out->place.ordinal, CLASS_ARRAY, bytes))
        return false;
    out->bytes = bytes;
    return true;
}

/* Bytes that the driver says the array takes; 0 where it does not say. */
static uint64_t told_bytes(const struct array *array, uint64_t key)
{
    CUDA_ARRAY_MEMORY_REQUIREMENTS needs = {0};
    CUdevice device = contexts_device(array->place.ordinal);
    CUresult result = CUDA_ERROR_NOT_SUPPORTED;

    if (array->is_mipmapped && real.cuMipmappedArrayGetMemoryRequirements)
        result = real.cuMipmappedArrayGetMemoryRequirements(&needs, (CUmipmappedArray)(uintptr_t)key, device);
    else if (!array->is_mipmapped && real.cuArrayGetMemoryRequirements)
        result = real.cuArrayGetMemoryRequirements(&needs, (CUarray)(uintptr_t)key, device);
    return result == CUDA_SUCCESS ? needs.size : 0;
}

/* The real call answered `result`. Charged is what the driver says that the array takes; where it does not say, what was
 * charged ahead. `handle` is what the program gets. */
CUresult hook_array_made(CUresult result, const struct array *array, const void *handle)
{
    uint64_t charged = driver_memory_cost(array->bytes), key, bytes;

    if (result != CUDA_SUCCESS || !array->bytes) {
        driver_memory_refund(array->place.ordinal, CLASS_ARRAY, array->bytes);
        return result;
    }
    memcpy(&key, handle, sizeof(key));
    bytes = told_bytes(array, key);
    const struct driver_memory record = {.charged = bytes ? driver_memory_cost(bytes) : charged,
                                         .class = CLASS_ARRAY,
                                         .why = STAY_OPAQUE,
                                         .ordinal = array->place.ordinal,
                                         .context = array->place.context};

    driver_memory_adjust(record.ordinal, CLASS_ARRAY, charged, record.charged);
    driver_memory_add(DRIVER_ARRAY, key, &record);
    return result;
}
