/* SPDX-License-Identifier: Apache-2.0 */
/* Texture and surface objects, which the runtime describes by its own words and arrays by bits of channels. */
#include "runtime/array.h"

_Static_assert((int)cudaResourceTypePitch2D == CU_RESOURCE_TYPE_PITCH2D, "resources have one number");
_Static_assert((int)cudaAddressModeBorder == CU_TR_ADDRESS_MODE_BORDER, "ways to address have one number");
_Static_assert((int)cudaFilterModeLinear == CU_TR_FILTER_MODE_LINEAR, "filters have one number");
_Static_assert((int)cudaResViewFormatUnsignedBlockCompressed7 == CU_RES_VIEW_FORMAT_UNSIGNED_BC7,
               "formats of views have one number");

static CUresult resource_to(const struct cudaResourceDesc *from, CUDA_RESOURCE_DESC *to)
{
    *to = (CUDA_RESOURCE_DESC){.resType = (CUresourcetype)from->resType};
#ifndef CUDART_TWELVE /* where there are none */
    to->flags = from->flags;
#endif
    switch (from->resType) {
    case cudaResourceTypeArray:
        to->res.array.hArray = (CUarray)from->res.array.array;
        return CUDA_SUCCESS;
    case cudaResourceTypeMipmappedArray:
        to->res.mipmap.hMipmappedArray = (CUmipmappedArray)from->res.mipmap.mipmap;
        return CUDA_SUCCESS;
    case cudaResourceTypeLinear:
        to->res.linear.devPtr = (CUdeviceptr)from->res.linear.devPtr;
        to->res.linear.sizeInBytes = from->res.linear.sizeInBytes;
        return array_format(&from->res.linear.desc, &to->res.linear.format, &to->res.linear.numChannels);
    case cudaResourceTypePitch2D:
        to->res.pitch2D.devPtr = (CUdeviceptr)from->res.pitch2D.devPtr;
        to->res.pitch2D.width = from->res.pitch2D.width;
        to->res.pitch2D.height = from->res.pitch2D.height;
        to->res.pitch2D.pitchInBytes = from->res.pitch2D.pitchInBytes;
        return array_format(&from->res.pitch2D.desc, &to->res.pitch2D.format, &to->res.pitch2D.numChannels);
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
}

/* Member by member: the structure of 12 ends before that of 13. */
static CUresult resource_from(const CUDA_RESOURCE_DESC *from, struct cudaResourceDesc *to)
{
    bool is_known = true;

    to->resType = (enum cudaResourceType)from->resType;
#ifndef CUDART_TWELVE
    to->flags = from->flags;
#endif
    switch (from->resType) {
    case CU_RESOURCE_TYPE_ARRAY:
        to->res.array.array = (cudaArray_t)from->res.array.hArray;
        break;
    case CU_RESOURCE_TYPE_MIPMAPPED_ARRAY:
        to->res.mipmap.mipmap = (cudaMipmappedArray_t)from->res.mipmap.hMipmappedArray;
        break;
    case CU_RESOURCE_TYPE_LINEAR:
        to->res.linear.devPtr = (void *)from->res.linear.devPtr;
        to->res.linear.sizeInBytes = from->res.linear.sizeInBytes;
        is_known =
            array_channels(from->res.linear.format, from->res.linear.numChannels, &to->res.linear.desc);
        break;
    default:
        to->res.pitch2D.devPtr = (void *)from->res.pitch2D.devPtr;
        to->res.pitch2D.width = from->res.pitch2D.width;
        to->res.pitch2D.height = from->res.pitch2D.height;
        to->res.pitch2D.pitchInBytes = from->res.pitch2D.pitchInBytes;
        is_known =
            array_channels(from->res.pitch2D.format, from->res.pitch2D.numChannels, &to->res.pitch2D.desc);
    }
    return is_known ? CUDA_SUCCESS : CUDA_ERROR_NOT_SUPPORTED;
}

static CUDA_TEXTURE_DESC sampling_to(const struct cudaTextureDesc *from)
{
    CUDA_TEXTURE_DESC to = {
        .filterMode = (CUfilter_mode)from->filterMode,
        .flags = (from->readMode == cudaReadModeElementType ? CU_TRSF_READ_AS_INTEGER : 0) |
                 (from->sRGB ? CU_TRSF_SRGB : 0) |
                 (from->normalizedCoords ? CU_TRSF_NORMALIZED_COORDINATES : 0) |
                 (from->disableTrilinearOptimization ? CU_TRSF_DISABLE_TRILINEAR_OPTIMIZATION : 0) |
                 (from->seamlessCubemap ? CU_TRSF_SEAMLESS_CUBEMAP : 0),
        .maxAnisotropy = from->maxAnisotropy,
        .mipmapFilterMode = (CUfilter_mode)from->mipmapFilterMode,
        .mipmapLevelBias = from->mipmapLevelBias,
        .minMipmapLevelClamp = from->minMipmapLevelClamp,
        .maxMipmapLevelClamp = from->maxMipmapLevelClamp};

    for (unsigned i = 0; i < 3; i++)
        to.addressMode[i] = (CUaddress_mode)from->addressMode[i];
    for (unsigned i = 0; i < 4; i++)
        to.borderColor[i] = from->borderColor[i];
    return to;
}

static struct cudaTextureDesc sampling_from(const CUDA_TEXTURE_DESC *from)
{
    struct cudaTextureDesc to = {
        .filterMode = (enum cudaTextureFilterMode)from->filterMode,
        .readMode =
            from->flags & CU_TRSF_READ_AS_INTEGER ? cudaReadModeElementType : cudaReadModeNormalizedFloat,
        .sRGB = !!(from->flags & CU_TRSF_SRGB),
        .normalizedCoords = !!(from->flags & CU_TRSF_NORMALIZED_COORDINATES),
        .maxAnisotropy = from->maxAnisotropy,
        .mipmapFilterMode = (enum cudaTextureFilterMode)from->mipmapFilterMode,
        .mipmapLevelBias = from->mipmapLevelBias,
        .minMipmapLevelClamp = from->minMipmapLevelClamp,
        .maxMipmapLevelClamp = from->maxMipmapLevelClamp,
        .disableTrilinearOptimization = !!(from->flags & CU_TRSF_DISABLE_TRILINEAR_OPTIMIZATION),
        .seamlessCubemap = !!(from->flags & CU_TRSF_SEAMLESS_CUBEMAP)};

    for (unsigned i = 0; i < 3; i++)
        to.addressMode[i] = (enum cudaTextureAddressMode)from->addressMode[i];
    for (unsigned i = 0; i < 4; i++)
        to.borderColor[i] = from->borderColor[i];
    return to;
}

static CUDA_RESOURCE_VIEW_DESC view_to(const struct cudaResourceViewDesc *from)
{
    return (CUDA_RESOURCE_VIEW_DESC){.format = (CUresourceViewFormat)from->format,
                                     .width = from->width,
                                     .height = from->height,
                                     .depth = from->depth,
                                     .firstMipmapLevel = from->firstMipmapLevel,
                                     .lastMipmapLevel = from->lastMipmapLevel,
                                     .firstLayer = from->firstLayer,
                                     .lastLayer = from->lastLayer};
}

cudaError_t cudaCreateTextureObject(cudaTextureObject_t *texture, const struct cudaResourceDesc *resource,
                                    const struct cudaTextureDesc *sampling,
                                    const struct cudaResourceViewDesc *view)
{
    CUDA_RESOURCE_VIEW_DESC own_view;
    CUDA_RESOURCE_DESC own;
    CUDA_TEXTURE_DESC own_sampling;
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS && (!resource || !sampling))
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        result = resource_to(resource, &own);
    if (result != CUDA_SUCCESS)
        return runtime_finish(result);
    own_sampling = sampling_to(sampling);
    if (view)
        own_view = view_to(view);
    result =
        driver.cuTexObjectCreate_v5000((CUtexObject *)texture, &own, &own_sampling, view ? &own_view : NULL);
    return runtime_finish(result);
}

/* Nothing is destroyed by a null handle. */
cudaError_t cudaDestroyTextureObject(cudaTextureObject_t texture)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS && texture)
        result = driver.cuTexObjectDestroy_v5000(texture);
    return runtime_finish(result);
}

cudaError_t cudaGetTextureObjectResourceDesc(struct cudaResourceDesc *resource, cudaTextureObject_t texture)
{
    CUresult result = runtime_enter();
    CUDA_RESOURCE_DESC own;

    if (result == CUDA_SUCCESS && !resource)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        result = driver.cuTexObjectGetResourceDesc_v5000(&own, texture);
    if (result == CUDA_SUCCESS)
        result = resource_from(&own, resource);
    return runtime_finish(result);
}

cudaError_t cudaGetTextureObjectTextureDesc(struct cudaTextureDesc *sampling, cudaTextureObject_t texture)
{
    CUresult result = runtime_enter();
    CUDA_TEXTURE_DESC own;

    if (result == CUDA_SUCCESS && !sampling)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        result = driver.cuTexObjectGetTextureDesc_v5000(&own, texture);
    if (result == CUDA_SUCCESS)
        *sampling = sampling_from(&own);
    return runtime_finish(result);
}

cudaError_t cudaGetTextureObjectResourceViewDesc(struct cudaResourceViewDesc *view,
                                                 cudaTextureObject_t texture)
{
    CUresult result = runtime_enter();
    CUDA_RESOURCE_VIEW_DESC own;

    if (result == CUDA_SUCCESS && !view)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        result = driver.cuTexObjectGetResourceViewDesc_v5000(&own, texture);
    if (result != CUDA_SUCCESS)
        return runtime_finish(result);
    view->format = (enum cudaResourceViewFormat)own.format;
    view->width = own.width;
    view->height = own.height;
    view->depth = own.depth;
    view->firstMipmapLevel = own.firstMipmapLevel;
    view->lastMipmapLevel = own.lastMipmapLevel;
    view->firstLayer = own.firstLayer;
    view->lastLayer = own.lastLayer;
    return cudaSuccess;
}

cudaError_t cudaCreateSurfaceObject(cudaSurfaceObject_t *surface, const struct cudaResourceDesc *resource)
{
    CUresult result = runtime_enter();
    CUDA_RESOURCE_DESC own;

    if (result == CUDA_SUCCESS && !resource)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        result = resource_to(resource, &own);
    if (result == CUDA_SUCCESS)
        result = driver.cuSurfObjectCreate_v5000((CUsurfObject *)surface, &own);
    return runtime_finish(result);
}

cudaError_t cudaDestroySurfaceObject(cudaSurfaceObject_t surface)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS && surface)
        result = driver.cuSurfObjectDestroy_v5000(surface);
    return runtime_finish(result);
}

cudaError_t cudaGetSurfaceObjectResourceDesc(struct cudaResourceDesc *resource, cudaSurfaceObject_t surface)
{
    CUresult result = runtime_enter();
    CUDA_RESOURCE_DESC own;

    if (result == CUDA_SUCCESS && !resource)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        result = driver.cuSurfObjectGetResourceDesc_v5000(&own, surface);
    if (result == CUDA_SUCCESS)
        result = resource_from(&own, resource);
    return runtime_finish(result);
}
