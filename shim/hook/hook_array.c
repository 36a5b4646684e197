/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays and mipmaps: opaque layouts in device memory, never moved. */
#include <string.h>

#include "cuda/contexts.h"
#include "cuda/driver_memory.h"
#include "cuda/pools.h"
#include "engine/core.h"
#include "hook/hooks.h"

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

/* An array that is about to be made. */
struct making {
    struct place place;
    uint64_t bytes; /* charged ahead; 0: it is mapped later, or nothing of ours */
    bool is_mipmapped;
};

/* The whole of a mipmap chain is less than 8/7 of its first level in three dimensions and 4/3 in two. */
static uint64_t descriptor_bytes(const CUDA_ARRAY3D_DESCRIPTOR *desc, bool is_mipmapped)
{
    uint64_t height = desc->Height ? desc->Height : 1;
    uint64_t depth = desc->Depth ? desc->Depth : 1;
    uint64_t bytes = desc->Width * height * depth * desc->NumChannels * format_bytes(desc->Format);

    return is_mipmapped ? bytes + bytes / 3 + 1 : bytes;
}

/* Each descriptor as the most general one. NULL stays NULL. */
#define PLANE(from)                                                                                          \
    ((from) ? &(const CUDA_ARRAY3D_DESCRIPTOR){.Width = (from)->Width,                                       \
                                               .Height = (from)->Height,                                     \
                                               .Format = (from)->Format,                                     \
                                               .NumChannels = (from)->NumChannels}                           \
            : NULL)
#define VOLUME(from)                                                                                         \
    ((from) ? &(const CUDA_ARRAY3D_DESCRIPTOR){.Width = (from)->Width,                                       \
                                               .Height = (from)->Height,                                     \
                                               .Depth = (from)->Depth,                                       \
                                               .Format = (from)->Format,                                     \
                                               .NumChannels = (from)->NumChannels,                           \
                                               .Flags = (from)->Flags}                                       \
            : NULL)

/* False: refused. What the driver is to refuse itself is charged nothing. */
static bool begin(const void *handle, const CUDA_ARRAY3D_DESCRIPTOR *desc, bool is_mipmapped,
                  struct making *out)
{
    *out = (struct making){.is_mipmapped = is_mipmapped};
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
static uint64_t told_bytes(const struct making *making, uint64_t key)
{
    CUDA_ARRAY_MEMORY_REQUIREMENTS needs = {0};
    CUdevice device = contexts_device(making->place.ordinal);
    CUresult result = CUDA_ERROR_NOT_SUPPORTED;

    if (making->is_mipmapped && real.cuMipmappedArrayGetMemoryRequirements)
        result = real.cuMipmappedArrayGetMemoryRequirements(&needs, (CUmipmappedArray)(uintptr_t)key, device);
    else if (!making->is_mipmapped && real.cuArrayGetMemoryRequirements)
        result = real.cuArrayGetMemoryRequirements(&needs, (CUarray)(uintptr_t)key, device);
    return result == CUDA_SUCCESS ? needs.size : 0;
}

/* The real call answered `result`. Charged is what the driver says that the array takes; where it does not say, what was
 * charged ahead. `handle` is what the program gets. */
static CUresult made(CUresult result, const struct making *making, const void *handle)
{
    uint64_t charged = driver_memory_cost(making->bytes), key, bytes;

    if (result != CUDA_SUCCESS || !making->bytes) {
        driver_memory_refund(making->place.ordinal, CLASS_ARRAY, making->bytes);
        return result;
    }
    memcpy(&key, handle, sizeof(key));
    bytes = told_bytes(making, key);
    const struct driver_memory record = {.charged = bytes ? driver_memory_cost(bytes) : charged,
                                         .class = CLASS_ARRAY,
                                         .ordinal = making->place.ordinal,
                                         .context = making->place.context};

    driver_memory_adjust(record.ordinal, CLASS_ARRAY, charged, record.charged);
    driver_memory_add(DRIVER_ARRAY, key, &record);
    return result;
}

#define CREATE(descriptor, is_mipmapped, call)                                                               \
    (begin(pHandle, descriptor, is_mipmapped, &making) ? made(call, &making, pHandle)                        \
                                                       : CUDA_ERROR_OUT_OF_MEMORY)

CUresult hook_cuArrayCreate_v2(__typeof__(cuArrayCreate_v2) *next, CUarray *pHandle,
                               const CUDA_ARRAY_DESCRIPTOR *pAllocateArray)
{
    struct making making;

    return CREATE(PLANE(pAllocateArray), false, next(pHandle, pAllocateArray));
}

CUresult hook_cuArrayCreate(__typeof__(cuArrayCreate) *next, CUarray *pHandle,
                            const CUDA_ARRAY_DESCRIPTOR_v1 *pAllocateArray)
{
    struct making making;

    return CREATE(PLANE(pAllocateArray), false, next(pHandle, pAllocateArray));
}

CUresult hook_cuArray3DCreate_v2(__typeof__(cuArray3DCreate_v2) *next, CUarray *pHandle,
                                 const CUDA_ARRAY3D_DESCRIPTOR *pAllocateArray)
{
    struct making making;

    return CREATE(pAllocateArray, false, next(pHandle, pAllocateArray));
}

CUresult hook_cuArray3DCreate(__typeof__(cuArray3DCreate) *next, CUarray *pHandle,
                              const CUDA_ARRAY3D_DESCRIPTOR_v1 *pAllocateArray)
{
    struct making making;

    return CREATE(VOLUME(pAllocateArray), false, next(pHandle, pAllocateArray));
}

CUresult hook_cuMipmappedArrayCreate(__typeof__(cuMipmappedArrayCreate) *next, CUmipmappedArray *pHandle,
                                     const CUDA_ARRAY3D_DESCRIPTOR *pMipmappedArrayDesc,
                                     unsigned int numMipmapLevels)
{
    struct making making;

    return CREATE(pMipmappedArrayDesc, true, next(pHandle, pMipmappedArrayDesc, numMipmapLevels));
}

CUresult hook_cuArrayDestroy(__typeof__(cuArrayDestroy) *next, CUarray hArray)
{
    struct driver_memory record;
    bool known = driver_memory_remove(DRIVER_ARRAY, real_key(hArray), &record);

    return driver_memory_freed(next(hArray), known, DRIVER_ARRAY, real_key(hArray), &record);
}

CUresult hook_cuMipmappedArrayDestroy(__typeof__(cuMipmappedArrayDestroy) *next,
                                      CUmipmappedArray hMipmappedArray)
{
    struct driver_memory record;
    bool known = driver_memory_remove(DRIVER_ARRAY, real_key(hMipmappedArray), &record);

    return driver_memory_freed(next(hMipmappedArray), known, DRIVER_ARRAY, real_key(hMipmappedArray),
                               &record);
}
