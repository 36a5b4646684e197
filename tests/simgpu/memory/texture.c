/* SPDX-License-Identifier: Apache-2.0 */
#include "memory/texture.h"

#include "device/context.h"
#include "driver/handle.h"
#include "memory/array.h"
#include "memory/memory.h"
#include "memory/texel.h"

#include <stdlib.h>

enum {
    /* CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT and _TEXTURE_PITCH_ALIGNMENT */
    ALIGNMENT = 512,
    PITCH_ALIGNMENT = 32
};

/* The memory that a texture of no array reads, checked; it becomes the only level. */
static CUresult read_memory(struct texture *texture, uintptr_t start, size_t bytes)
{
    if (!texel_is_known(texture->format, texture->channels) || start % ALIGNMENT || !bytes)
        return CUDA_ERROR_INVALID_VALUE;
    texture->level_count = 1;
    texture->levels[0].start = start;
    texture->levels[0].depth = 1;
    texture->bytes = channel_bytes(texture->format) * texture->channels;
    return memory_check(context_current()->device, start, bytes, false, false);
}

static CUresult read_linear(struct texture *texture)
{
    size_t bytes = texture->resource.res.linear.sizeInBytes;
    CUresult result;

    texture->format = texture->resource.res.linear.format;
    texture->channels = texture->resource.res.linear.numChannels;
    result = read_memory(texture, texture->resource.res.linear.devPtr, bytes);
    if (result != CUDA_SUCCESS)
        return result;
    texture->levels[0].width = bytes / texture->bytes;
    texture->levels[0].height = 1;
    texture->levels[0].pitch = texture->levels[0].slice = bytes;
    return texture->levels[0].width ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult read_pitched(struct texture *texture)
{
    size_t pitch = texture->resource.res.pitch2D.pitchInBytes, bytes, row;
    struct texture_level *level = &texture->levels[0];
    CUresult result;

    level->width = texture->resource.res.pitch2D.width;
    level->height = texture->resource.res.pitch2D.height;
    level->pitch = pitch;
    texture->format = texture->resource.res.pitch2D.format;
    texture->channels = texture->resource.res.pitch2D.numChannels;
    if (!level->width || !level->height || pitch % PITCH_ALIGNMENT ||
        __builtin_mul_overflow(level->width, channel_bytes(texture->format) * texture->channels, &row) ||
        row > pitch || __builtin_mul_overflow(pitch, level->height - 1, &bytes) ||
        __builtin_add_overflow(bytes, row, &bytes))
        return CUDA_ERROR_INVALID_VALUE;
    result = read_memory(texture, texture->resource.res.pitch2D.devPtr, bytes);
    level->slice = bytes;
    return result;
}

/* The format of a view is one of these, with one, two or four channels. */
static CUresult view_format(const CUDA_RESOURCE_VIEW_DESC *view, CUarray_format *format, unsigned *channels)
{
    static const CUarray_format formats[] = {CU_AD_FORMAT_UNSIGNED_INT8,  CU_AD_FORMAT_SIGNED_INT8,
                                             CU_AD_FORMAT_UNSIGNED_INT16, CU_AD_FORMAT_SIGNED_INT16,
                                             CU_AD_FORMAT_UNSIGNED_INT32, CU_AD_FORMAT_SIGNED_INT32,
                                             CU_AD_FORMAT_HALF,           CU_AD_FORMAT_FLOAT};
    unsigned number = (unsigned)view->format - CU_RES_VIEW_FORMAT_UINT_1X8;

    if (view->format == CU_RES_VIEW_FORMAT_NONE)
        return CUDA_SUCCESS;
    if (number >= 3 * sizeof formats / sizeof *formats)
        return CUDA_ERROR_NOT_SUPPORTED; /* blocks that are compressed */
    *format = formats[number / 3];
    *channels = 1u << number % 3;
    return CUDA_SUCCESS;
}

static CUresult see_layers(const CUDA_RESOURCE_VIEW_DESC *view, struct texture *texture)
{
    if (!texture->is_layered)
        return view->firstLayer || view->lastLayer ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
    for (unsigned i = 0; i < texture->level_count; i++) {
        struct texture_level *level = &texture->levels[i];

        if (view->firstLayer > view->lastLayer || view->lastLayer >= level->depth)
            return CUDA_ERROR_INVALID_VALUE;
        level->start += view->firstLayer * level->slice;
        level->depth = view->lastLayer - view->firstLayer + 1;
    }
    return CUDA_SUCCESS;
}

/* What of an array a view shows. */
static CUresult see(struct texture *texture)
{
    const CUDA_RESOURCE_VIEW_DESC *view = &texture->view;
    unsigned first = view->firstMipmapLevel, last = view->lastMipmapLevel;
    CUresult result = view_format(view, &texture->format, &texture->channels);

    if (result != CUDA_SUCCESS)
        return result;
    if (channel_bytes(texture->format) * texture->channels != texture->bytes || first > last ||
        last >= texture->level_count || view->width != texture->levels[0].width ||
        (view->height ? view->height : 1) != texture->levels[0].height ||
        (view->depth ? view->depth : 1) != texture->levels[0].depth)
        return CUDA_ERROR_INVALID_VALUE;
    texture->level_count = last - first + 1;
    for (unsigned i = 0; i < texture->level_count; i++)
        texture->levels[i] = texture->levels[first + i];
    return see_layers(view, texture);
}

static CUresult read_array(struct texture *texture, const void *handle, bool mipmapped)
{
    CUDA_ARRAY3D_DESCRIPTOR desc;
    struct array_shape shape;

    while (texture->level_count < TEXTURE_LEVELS &&
           array_level(handle, mipmapped, texture->level_count, &desc, &shape)) {
        texture->levels[texture->level_count++] =
            (struct texture_level){.start = shape.start,
                                   .pitch = shape.row_bytes,
                                   .slice = shape.row_bytes * shape.rows,
                                   .width = desc.Width,
                                   .height = shape.rows,
                                   .depth = shape.slices};
    }
    if (!texture->level_count)
        return CUDA_ERROR_INVALID_HANDLE;
    texture->format = desc.Format;
    texture->channels = desc.NumChannels;
    texture->bytes = channel_bytes(desc.Format) * desc.NumChannels;
    texture->is_layered = desc.Flags & (CUDA_ARRAY3D_LAYERED | CUDA_ARRAY3D_CUBEMAP);
    if (texture->is_surface && !(desc.Flags & CUDA_ARRAY3D_SURFACE_LDST))
        return CUDA_ERROR_INVALID_VALUE;
    return texture->has_view ? see(texture) : CUDA_SUCCESS;
}

/* With the lock. */
static CUresult read_resource(struct texture *texture)
{
    CUresourcetype type = texture->resource.resType;

    if (texture->resource.flags ||
        (type != CU_RESOURCE_TYPE_ARRAY &&
         (texture->is_surface || (type != CU_RESOURCE_TYPE_MIPMAPPED_ARRAY && texture->has_view))))
        return CUDA_ERROR_INVALID_VALUE;
    switch (type) {
    case CU_RESOURCE_TYPE_ARRAY:
        return read_array(texture, texture->resource.res.array.hArray, false);
    case CU_RESOURCE_TYPE_MIPMAPPED_ARRAY:
        return read_array(texture, texture->resource.res.mipmap.hMipmappedArray, true);
    case CU_RESOURCE_TYPE_LINEAR:
        return read_linear(texture);
    case CU_RESOURCE_TYPE_PITCH2D:
        return read_pitched(texture);
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
}

/* Whole numbers that stay whole cannot be mixed. */
static CUresult read_sampling(struct texture *texture)
{
    const unsigned known = CU_TRSF_READ_AS_INTEGER | CU_TRSF_NORMALIZED_COORDINATES | CU_TRSF_SRGB |
                           CU_TRSF_DISABLE_TRILINEAR_OPTIMIZATION | CU_TRSF_SEAMLESS_CUBEMAP;
    const CUDA_TEXTURE_DESC *sampling = &texture->sampling;
    bool mixes = sampling->filterMode == CU_TR_FILTER_MODE_LINEAR ||
                 (texture->level_count > 1 && sampling->mipmapFilterMode == CU_TR_FILTER_MODE_LINEAR);

    texture->is_promoted = channel_is_small(texture->format) && !(sampling->flags & CU_TRSF_READ_AS_INTEGER);
    for (unsigned i = 0; i < 3; i++)
        if ((unsigned)sampling->addressMode[i] > CU_TR_ADDRESS_MODE_BORDER)
            return CUDA_ERROR_INVALID_VALUE;
    return sampling->flags & ~known || (unsigned)sampling->filterMode > CU_TR_FILTER_MODE_LINEAR ||
                   (unsigned)sampling->mipmapFilterMode > CU_TR_FILTER_MODE_LINEAR ||
                   (mixes && texture->resource.resType != CU_RESOURCE_TYPE_LINEAR && !texture->is_promoted &&
                    !channel_is_float(texture->format))
               ? CUDA_ERROR_INVALID_VALUE
               : CUDA_SUCCESS;
}

/* Takes the texture, which is the caller's no more. */
static CUresult create(uint64_t *created, struct texture *texture)
{
    CUresult result;

    sim_lock();
    result = read_resource(texture);
    if (result == CUDA_SUCCESS && !texture->is_surface)
        result = read_sampling(texture);
    if (result == CUDA_SUCCESS && !handle_add(texture, texture->is_surface ? HANDLE_SURFACE : HANDLE_TEXTURE))
        result = CUDA_ERROR_OUT_OF_MEMORY;
    if (result == CUDA_SUCCESS)
        *created = (uintptr_t)texture;
    else
        free(texture);
    return sim_leave(result);
}

/* With the lock. NULL: none of that kind is alive. */
static struct texture *texture_of(uint64_t handle, bool is_surface)
{
    struct texture *texture = (struct texture *)(uintptr_t)handle;

    return handle_is(texture, is_surface ? HANDLE_SURFACE : HANDLE_TEXTURE) ? texture : NULL;
}

static CUresult destroy(uint64_t handle, bool is_surface)
{
    struct texture *texture;

    sim_lock();
    texture = texture_of(handle, is_surface);
    if (!texture)
        return sim_leave(CUDA_ERROR_INVALID_VALUE);
    handle_remove(texture);
    free(texture);
    return sim_leave(CUDA_SUCCESS);
}

bool texture_find(uint64_t handle, bool is_surface, struct texture *copy)
{
    const struct texture *texture;

    sim_lock();
    texture = texture_of(handle, is_surface);
    if (texture)
        *copy = *texture;
    sim_unlock();
    return texture;
}

CUresult sim_cuTexObjectCreate(CUtexObject *created, const CUDA_RESOURCE_DESC *resource,
                               const CUDA_TEXTURE_DESC *sampling, const CUDA_RESOURCE_VIEW_DESC *view)
{
    struct texture *texture;

    if (!created || !resource || !sampling)
        return CUDA_ERROR_INVALID_VALUE;
    texture = calloc(1, sizeof *texture);
    if (!texture)
        return CUDA_ERROR_OUT_OF_MEMORY;
    texture->resource = *resource;
    texture->sampling = *sampling;
    texture->has_view = view;
    if (view)
        texture->view = *view;
    return create((uint64_t *)created, texture);
}

CUresult sim_cuTexObjectDestroy(CUtexObject handle)
{
    return destroy(handle, false);
}

CUresult sim_cuSurfObjectCreate(CUsurfObject *created, const CUDA_RESOURCE_DESC *resource)
{
    struct texture *texture;

    if (!created || !resource)
        return CUDA_ERROR_INVALID_VALUE;
    texture = calloc(1, sizeof *texture);
    if (!texture)
        return CUDA_ERROR_OUT_OF_MEMORY;
    texture->is_surface = true;
    texture->resource = *resource;
    return create((uint64_t *)created, texture);
}

CUresult sim_cuSurfObjectDestroy(CUsurfObject handle)
{
    return destroy(handle, true);
}

static CUresult ask_resource(CUDA_RESOURCE_DESC *resource, uint64_t handle, bool is_surface)
{
    struct texture texture;

    if (!resource || !texture_find(handle, is_surface, &texture))
        return CUDA_ERROR_INVALID_VALUE;
    *resource = texture.resource;
    return CUDA_SUCCESS;
}

CUresult sim_cuTexObjectGetResourceDesc(CUDA_RESOURCE_DESC *resource, CUtexObject handle)
{
    return ask_resource(resource, handle, false);
}

CUresult sim_cuSurfObjectGetResourceDesc(CUDA_RESOURCE_DESC *resource, CUsurfObject handle)
{
    return ask_resource(resource, handle, true);
}

CUresult sim_cuTexObjectGetTextureDesc(CUDA_TEXTURE_DESC *sampling, CUtexObject handle)
{
    struct texture texture;

    if (!sampling || !texture_find(handle, false, &texture))
        return CUDA_ERROR_INVALID_VALUE;
    *sampling = texture.sampling;
    return CUDA_SUCCESS;
}

CUresult sim_cuTexObjectGetResourceViewDesc(CUDA_RESOURCE_VIEW_DESC *view, CUtexObject handle)
{
    struct texture texture;

    if (!view || !texture_find(handle, false, &texture) || !texture.has_view)
        return CUDA_ERROR_INVALID_VALUE;
    *view = texture.view;
    return CUDA_SUCCESS;
}
