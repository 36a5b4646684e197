/* SPDX-License-Identifier: Apache-2.0 */
/* Texture objects over linear memory. Kernels here cannot sample them: an object says what it was made of. */
#include "device/context.h"
#include "driver/handle.h"
#include "memory/memory.h"

#include <stdlib.h>

/* A CUtexObject is the address of one. */
struct texture {
    CUDA_RESOURCE_DESC resource;
    CUDA_TEXTURE_DESC sampling;
};

/* The memory that it reads: [start, start + bytes). */
static CUresult extent(const CUDA_RESOURCE_DESC *desc, uintptr_t *start, size_t *bytes)
{
    switch (desc->resType) {
    case CU_RESOURCE_TYPE_LINEAR:
        *start = desc->res.linear.devPtr;
        *bytes = desc->res.linear.sizeInBytes;
        return *bytes ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
    case CU_RESOURCE_TYPE_PITCH2D:
        *start = desc->res.pitch2D.devPtr;
        return __builtin_mul_overflow(desc->res.pitch2D.pitchInBytes, desc->res.pitch2D.height, bytes) ||
                       !*bytes
                   ? CUDA_ERROR_INVALID_VALUE
                   : CUDA_SUCCESS;
    default:
        return CUDA_ERROR_NOT_SUPPORTED;
    }
}

static struct texture *texture_of(CUtexObject handle)
{
    struct texture *texture = (struct texture *)(uintptr_t)handle;

    return handle_is(texture, HANDLE_TEXTURE) ? texture : NULL;
}

CUresult sim_cuTexObjectCreate(CUtexObject *created, const CUDA_RESOURCE_DESC *desc,
                               const CUDA_TEXTURE_DESC *sampling, const CUDA_RESOURCE_VIEW_DESC *view)
{
    struct texture *texture;
    uintptr_t start;
    size_t bytes;
    CUresult result =
        created && desc && sampling && !view ? extent(desc, &start, &bytes) : CUDA_ERROR_INVALID_VALUE;

    if (result != CUDA_SUCCESS)
        return result;
    texture = malloc(sizeof *texture);
    if (!texture)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *texture = (struct texture){*desc, *sampling};
    sim_lock();
    result = memory_check(context_current()->device, start, bytes, false, false);
    if (result == CUDA_SUCCESS && !handle_add(texture, HANDLE_TEXTURE))
        result = CUDA_ERROR_OUT_OF_MEMORY;
    if (result != CUDA_SUCCESS)
        free(texture);
    else
        *created = (CUtexObject)(uintptr_t)texture;
    return sim_leave(result);
}

CUresult sim_cuTexObjectDestroy(CUtexObject handle)
{
    struct texture *texture;

    sim_lock();
    texture = texture_of(handle);
    if (!texture)
        return sim_leave(CUDA_ERROR_INVALID_VALUE);
    handle_remove(texture);
    free(texture);
    return sim_leave(CUDA_SUCCESS);
}

CUresult sim_cuTexObjectGetResourceDesc(CUDA_RESOURCE_DESC *desc, CUtexObject handle)
{
    const struct texture *texture;

    sim_lock();
    texture = texture_of(handle);
    if (texture && desc)
        *desc = texture->resource;
    return sim_leave(texture && desc ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE);
}

CUresult sim_cuTexObjectGetTextureDesc(CUDA_TEXTURE_DESC *sampling, CUtexObject handle)
{
    const struct texture *texture;

    sim_lock();
    texture = texture_of(handle);
    if (texture && sampling)
        *sampling = texture->sampling;
    return sim_leave(texture && sampling ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE);
}
