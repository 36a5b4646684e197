/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays and mipmaps: opaque layouts in device memory, never moved. */
#include "contexts.h"
#include "core.h"
#include "hooks.h"
#include "native.h"
#include "site.h"

static uint64_t key_of(const void *handle)
{
    return (uint64_t)(uintptr_t)handle;
}

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
static uint64_t descriptor_bytes(const CUDA_ARRAY3D_DESCRIPTOR *desc, bool mipmapped)
{
    uint64_t height = desc->Height ? desc->Height : 1;
    uint64_t depth = desc->Depth ? desc->Depth : 1;
    uint64_t bytes = desc->Width * height * depth * desc->NumChannels * format_bytes(desc->Format);

    return mipmapped ? bytes + bytes / 3 + 1 : bytes;
}

/* What the driver says that the array takes; what was charged where it does not say. */
static void note(const struct place *place, const void *handle, uint64_t charged, CUresult told,
                 const CUDA_ARRAY_MEMORY_REQUIREMENTS *needs)
{
    uint64_t exact = told == CUDA_SUCCESS && needs->size ? native_cost(needs->size) : charged;
    struct native record = {.class = CLASS_ARRAY, .ordinal = place->ordinal, .context = place->context};

    if (exact > charged)
        exact = core_charge(place->ordinal, CLASS_ARRAY, exact - charged, NULL) ? charged : exact;
    else if (exact < charged)
        core_credit(place->ordinal, CLASS_ARRAY, charged - exact);
    record.charged = exact;
    native_add(NATIVE_ARRAY, key_of(handle), &record);
}

static void note_array(const struct place *place, CUarray array, uint64_t charged)
{
    CUDA_ARRAY_MEMORY_REQUIREMENTS needs = {0};
    CUresult told = real.cuArrayGetMemoryRequirements
                        ? real.cuArrayGetMemoryRequirements(&needs, array, contexts_device(place->ordinal))
                        : CUDA_ERROR_NOT_SUPPORTED;

    note(place, array, charged, told, &needs);
}

CUresult hook_cuArrayCreate_v2(__typeof__(cuArrayCreate_v2) *next, const void *call_site, CUarray *pHandle,
                               const CUDA_ARRAY_DESCRIPTOR *pAllocateArray)
{
    struct place place;

    if (!pHandle || !pAllocateArray || !contexts_here(&place))
        return next(pHandle, pAllocateArray);
    const CUDA_ARRAY3D_DESCRIPTOR desc = {.Width = pAllocateArray->Width,
                                          .Height = pAllocateArray->Height,
                                          .Format = pAllocateArray->Format,
                                          .NumChannels = pAllocateArray->NumChannels};
    uint64_t bytes = descriptor_bytes(&desc, false);

    if (native_charge(place.ordinal, CLASS_ARRAY, bytes, site_of(call_site)))
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUresult result = next(pHandle, pAllocateArray);

    if (result == CUDA_SUCCESS)
        note_array(&place, *pHandle, native_cost(bytes));
    else
        native_refund(place.ordinal, CLASS_ARRAY, bytes);
    return result;
}

CUresult hook_cuArray3DCreate_v2(__typeof__(cuArray3DCreate_v2) *next, const void *call_site,
                                 CUarray *pHandle, const CUDA_ARRAY3D_DESCRIPTOR *pAllocateArray)
{
    struct place place;

    if (!pHandle || !pAllocateArray || !contexts_here(&place))
        return next(pHandle, pAllocateArray);
    uint64_t bytes =
        pAllocateArray->Flags & CUDA_ARRAY3D_DEFERRED_MAPPING ? 0 : descriptor_bytes(pAllocateArray, false);

    if (native_charge(place.ordinal, CLASS_ARRAY, bytes, site_of(call_site)))
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUresult result = next(pHandle, pAllocateArray);

    if (result == CUDA_SUCCESS && bytes)
        note_array(&place, *pHandle, native_cost(bytes));
    else if (result != CUDA_SUCCESS)
        native_refund(place.ordinal, CLASS_ARRAY, bytes);
    return result;
}

CUresult hook_cuMipmappedArrayCreate(__typeof__(cuMipmappedArrayCreate) *next, const void *call_site,
                                     CUmipmappedArray *pHandle,
                                     const CUDA_ARRAY3D_DESCRIPTOR *pMipmappedArrayDesc,
                                     unsigned int numMipmapLevels)
{
    CUDA_ARRAY_MEMORY_REQUIREMENTS needs = {0};
    struct place place;

    if (!pHandle || !pMipmappedArrayDesc || !contexts_here(&place))
        return next(pHandle, pMipmappedArrayDesc, numMipmapLevels);
    uint64_t bytes = pMipmappedArrayDesc->Flags & CUDA_ARRAY3D_DEFERRED_MAPPING
                         ? 0
                         : descriptor_bytes(pMipmappedArrayDesc, true);

    if (native_charge(place.ordinal, CLASS_ARRAY, bytes, site_of(call_site)))
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUresult result = next(pHandle, pMipmappedArrayDesc, numMipmapLevels);

    if (result != CUDA_SUCCESS) {
        native_refund(place.ordinal, CLASS_ARRAY, bytes);
    } else if (bytes) {
        CUresult told =
            real.cuMipmappedArrayGetMemoryRequirements
                ? real.cuMipmappedArrayGetMemoryRequirements(&needs, *pHandle, contexts_device(place.ordinal))
                : CUDA_ERROR_NOT_SUPPORTED;

        note(&place, *pHandle, native_cost(bytes), told, &needs);
    }
    return result;
}

CUresult hook_cuArrayDestroy(__typeof__(cuArrayDestroy) *next, CUarray hArray)
{
    struct native record;
    bool known = native_remove(NATIVE_ARRAY, key_of(hArray), &record);
    CUresult result = next(hArray);

    if (known && result != CUDA_SUCCESS)
        native_restore(NATIVE_ARRAY, key_of(hArray), &record);
    return result;
}

CUresult hook_cuMipmappedArrayDestroy(__typeof__(cuMipmappedArrayDestroy) *next,
                                      CUmipmappedArray hMipmappedArray)
{
    struct native record;
    bool known = native_remove(NATIVE_ARRAY, key_of(hMipmappedArray), &record);
    CUresult result = next(hMipmappedArray);

    if (known && result != CUDA_SUCCESS)
        native_restore(NATIVE_ARRAY, key_of(hMipmappedArray), &record);
    return result;
}
