/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays and mipmapped arrays, which the runtime describes by bits of channels. */
#include "runtime/array.h"

/* Each format by the kind and the bits of its channels. */
static const struct {
    CUarray_format format;
    enum cudaChannelFormatKind kind;
    int bits;
} formats[] = {
    {CU_AD_FORMAT_UNSIGNED_INT8, cudaChannelFormatKindUnsigned, 8},
    {CU_AD_FORMAT_UNSIGNED_INT16, cudaChannelFormatKindUnsigned, 16},
    {CU_AD_FORMAT_UNSIGNED_INT32, cudaChannelFormatKindUnsigned, 32},
    {CU_AD_FORMAT_SIGNED_INT8, cudaChannelFormatKindSigned, 8},
    {CU_AD_FORMAT_SIGNED_INT16, cudaChannelFormatKindSigned, 16},
    {CU_AD_FORMAT_SIGNED_INT32, cudaChannelFormatKindSigned, 32},
    {CU_AD_FORMAT_HALF, cudaChannelFormatKindFloat, 16},
    {CU_AD_FORMAT_FLOAT, cudaChannelFormatKindFloat, 32},
};

enum {
    FORMATS = sizeof formats / sizeof *formats
};

/* Channels come one after the other, with the same bits: one, two or four of them. 0: they do not. */
static unsigned channels_of(const struct cudaChannelFormatDesc *channels)
{
    const int bits[] = {channels->x, channels->y, channels->z, channels->w};
    unsigned count = 0;

    while (count < 4 && bits[count])
        count++;
    for (unsigned i = 0; i < 4; i++)
        if (bits[i] != (i < count ? bits[0] : 0))
            return 0;
    return count == 3 ? 0 : count;
}

CUresult array_format(const struct cudaChannelFormatDesc *channels, CUarray_format *format, unsigned *count)
{
    *count = channels_of(channels);
    for (unsigned i = 0; *count && i < FORMATS; i++) {
        if (formats[i].kind == channels->f && formats[i].bits == channels->x) {
            *format = formats[i].format;
            return CUDA_SUCCESS;
        }
    }
    return (CUresult)cudaErrorInvalidChannelDescriptor;
}

static CUresult array_describe(const struct cudaChannelFormatDesc *channels, struct cudaExtent extent,
                               unsigned flags, CUDA_ARRAY3D_DESCRIPTOR *desc)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS && !channels)
        result = CUDA_ERROR_INVALID_VALUE;
    *desc = (CUDA_ARRAY3D_DESCRIPTOR){
        .Width = extent.width, .Height = extent.height, .Depth = extent.depth, .Flags = flags};
    return result == CUDA_SUCCESS ? array_format(channels, &desc->Format, &desc->NumChannels) : result;
}

cudaError_t cudaMalloc3DArray(cudaArray_t *array, const struct cudaChannelFormatDesc *channels,
                              struct cudaExtent extent, unsigned int flags)
{
    CUDA_ARRAY3D_DESCRIPTOR desc;
    CUresult result = array_describe(channels, extent, flags, &desc);

    if (result == CUDA_SUCCESS)
        result = driver.cuArray3DCreate_v3020((CUarray *)array, &desc);
    return runtime_finish(result);
}

cudaError_t cudaMallocArray(cudaArray_t *array, const struct cudaChannelFormatDesc *channels, size_t width,
                            size_t height, unsigned int flags)
{
    return cudaMalloc3DArray(array, channels, (struct cudaExtent){width, height, 0}, flags);
}

cudaError_t cudaMallocMipmappedArray(cudaMipmappedArray_t *array,
                                     const struct cudaChannelFormatDesc *channels, struct cudaExtent extent,
                                     unsigned int levels, unsigned int flags)
{
    CUDA_ARRAY3D_DESCRIPTOR desc;
    CUresult result = array_describe(channels, extent, flags, &desc);

    if (result == CUDA_SUCCESS)
        result = driver.cuMipmappedArrayCreate_v5000((CUmipmappedArray *)array, &desc, levels);
    return runtime_finish(result);
}

cudaError_t cudaGetMipmappedArrayLevel(cudaArray_t *level, cudaMipmappedArray_const_t array,
                                       unsigned int number)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = driver.cuMipmappedArrayGetLevel_v5000((CUarray *)level, (CUmipmappedArray)array, number);
    return runtime_finish(result);
}

/* Nothing is freed by a null handle. */
cudaError_t cudaFreeArray(cudaArray_t array)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS && array)
        result = driver.cuArrayDestroy_v2000((CUarray)array);
    return runtime_finish(result);
}

cudaError_t cudaFreeMipmappedArray(cudaMipmappedArray_t array)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS && array)
        result = driver.cuMipmappedArrayDestroy_v5000((CUmipmappedArray)array);
    return runtime_finish(result);
}

bool array_channels(CUarray_format format, unsigned count, struct cudaChannelFormatDesc *channels)
{
    for (unsigned i = 0; i < FORMATS; i++) {
        int bits = formats[i].bits;

        if (formats[i].format != format)
            continue;
        *channels = (struct cudaChannelFormatDesc){.x = bits,
                                                   .y = count > 1 ? bits : 0,
                                                   .z = count > 2 ? bits : 0,
                                                   .w = count > 3 ? bits : 0,
                                                   .f = formats[i].kind};
        return true;
    }
    return false;
}

static CUresult array_ask(cudaArray_const_t array, CUDA_ARRAY3D_DESCRIPTOR *desc,
                          struct cudaChannelFormatDesc *channels)
{
    CUresult result = driver.cuArray3DGetDescriptor_v3020(desc, (CUarray)array);

    if (result == CUDA_SUCCESS && !array_channels(desc->Format, desc->NumChannels, channels))
        return CUDA_ERROR_NOT_SUPPORTED;
    return result;
}

CUresult array_element_bytes(cudaArray_const_t array, size_t *bytes)
{
    struct cudaChannelFormatDesc channels;
    CUDA_ARRAY3D_DESCRIPTOR desc;
    CUresult result = array_ask(array, &desc, &channels);

    if (result == CUDA_SUCCESS)
        *bytes = (size_t)channels.x / 8 * desc.NumChannels;
    return result;
}

cudaError_t cudaArrayGetInfo(struct cudaChannelFormatDesc *channels, struct cudaExtent *extent,
                             unsigned int *flags, cudaArray_t array)
{
    struct cudaChannelFormatDesc found;
    CUDA_ARRAY3D_DESCRIPTOR desc;
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = array_ask(array, &desc, &found);
    if (result != CUDA_SUCCESS)
        return runtime_finish(result);
    if (channels)
        *channels = found;
    if (extent)
        *extent = (struct cudaExtent){desc.Width, desc.Height, desc.Depth};
    if (flags)
        *flags = desc.Flags;
    return cudaSuccess;
}

cudaError_t cudaGetChannelDesc(struct cudaChannelFormatDesc *channels, cudaArray_const_t array)
{
    CUDA_ARRAY3D_DESCRIPTOR desc;
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS && !channels)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        result = array_ask(array, &desc, channels);
    return runtime_finish(result);
}
