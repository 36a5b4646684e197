/* SPDX-License-Identifier: Apache-2.0 */
/* Copies and sets of volumes, and of arrays. Built once per flavour of the default stream. */
#include "runtime/array.h"
#include "runtime/node.h"

static CUresult volume_enter(const struct cudaMemcpy3DParms *parameters, CUDA_MEMCPY3D *copy)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS && !parameters)
        result = CUDA_ERROR_INVALID_VALUE;
    return result == CUDA_SUCCESS ? volume_describe(parameters, copy) : result;
}

cudaError_t cudaMemcpy3D(const struct cudaMemcpy3DParms *parameters)
{
    CUDA_MEMCPY3D copy;
    CUresult result = volume_enter(parameters, &copy);

    if (result == CUDA_SUCCESS)
        result = STREAM(cuMemcpy3D)(&copy);
    return runtime_finish(result);
}

cudaError_t cudaMemcpy3DAsync(const struct cudaMemcpy3DParms *parameters, cudaStream_t stream)
{
    CUDA_MEMCPY3D copy;
    CUresult result = volume_enter(parameters, &copy);

    if (result == CUDA_SUCCESS)
        result = STREAM(cuMemcpy3DAsync)(&copy, stream);
    return runtime_finish(result);
}

/* One side of a rectangle: an array and where in it, or rows of memory. */
struct side {
    cudaArray_const_t array;
    size_t x, y; /* x in bytes, of whole elements */
    const void *memory;
    size_t pitch;
};

static void put_side(const struct side *side, size_t element, cudaArray_t *array, struct cudaPos *position,
                     struct cudaPitchedPtr *memory)
{
    *array = (cudaArray_t)side->array;
    *position = (struct cudaPos){side->array ? side->x / element : 0, side->y, 0};
    *memory = (struct cudaPitchedPtr){(void *)side->memory, side->pitch, side->pitch, 0};
}

/* A rectangle of width bytes of which one side or both are in arrays. */
static CUresult rectangle_describe(const struct side *to, const struct side *from, size_t width,
                                   size_t height, enum cudaMemcpyKind kind, CUDA_MEMCPY3D *copy)
{
    struct cudaMemcpy3DParms volume = {.kind = kind};
    size_t element = 1;
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = array_element_bytes(to->array ? to->array : from->array, &element);
    if (result == CUDA_SUCCESS && (to->x % element || from->x % element || width % element))
        result = CUDA_ERROR_INVALID_VALUE;
    if (result != CUDA_SUCCESS)
        return result;
    put_side(to, element, &volume.dstArray, &volume.dstPos, &volume.dstPtr);
    put_side(from, element, &volume.srcArray, &volume.srcPos, &volume.srcPtr);
    volume.extent = (struct cudaExtent){width / element, height, 1};
    return volume_describe(&volume, copy);
}

cudaError_t cudaMemcpy2DToArray(cudaArray_t to, size_t x, size_t y, const void *from, size_t pitch,
                                size_t width, size_t height, enum cudaMemcpyKind kind)
{
    CUDA_MEMCPY3D copy;
    CUresult result =
        rectangle_describe(&(struct side){.array = to, .x = x, .y = y},
                           &(struct side){.memory = from, .pitch = pitch}, width, height, kind, &copy);

    if (result == CUDA_SUCCESS)
        result = STREAM(cuMemcpy3D)(&copy);
    return runtime_finish(result);
}

cudaError_t cudaMemcpy2DToArrayAsync(cudaArray_t to, size_t x, size_t y, const void *from, size_t pitch,
                                     size_t width, size_t height, enum cudaMemcpyKind kind,
                                     cudaStream_t stream)
{
    CUDA_MEMCPY3D copy;
    CUresult result =
        rectangle_describe(&(struct side){.array = to, .x = x, .y = y},
                           &(struct side){.memory = from, .pitch = pitch}, width, height, kind, &copy);

    if (result == CUDA_SUCCESS)
        result = STREAM(cuMemcpy3DAsync)(&copy, stream);
    return runtime_finish(result);
}

cudaError_t cudaMemcpy2DFromArray(void *to, size_t pitch, cudaArray_const_t from, size_t x, size_t y,
                                  size_t width, size_t height, enum cudaMemcpyKind kind)
{
    CUDA_MEMCPY3D copy;
    CUresult result =
        rectangle_describe(&(struct side){.memory = to, .pitch = pitch},
                           &(struct side){.array = from, .x = x, .y = y}, width, height, kind, &copy);

    if (result == CUDA_SUCCESS)
        result = STREAM(cuMemcpy3D)(&copy);
    return runtime_finish(result);
}

cudaError_t cudaMemcpy2DFromArrayAsync(void *to, size_t pitch, cudaArray_const_t from, size_t x, size_t y,
                                       size_t width, size_t height, enum cudaMemcpyKind kind,
                                       cudaStream_t stream)
{
    CUDA_MEMCPY3D copy;
    CUresult result =
        rectangle_describe(&(struct side){.memory = to, .pitch = pitch},
                           &(struct side){.array = from, .x = x, .y = y}, width, height, kind, &copy);

    if (result == CUDA_SUCCESS)
        result = STREAM(cuMemcpy3DAsync)(&copy, stream);
    return runtime_finish(result);
}

cudaError_t cudaMemcpy2DArrayToArray(cudaArray_t to, size_t to_x, size_t to_y, cudaArray_const_t from,
                                     size_t from_x, size_t from_y, size_t width, size_t height,
                                     enum cudaMemcpyKind kind)
{
    CUDA_MEMCPY3D copy;
    CUresult result = rectangle_describe(&(struct side){.array = to, .x = to_x, .y = to_y},
                                         &(struct side){.array = from, .x = from_x, .y = from_y}, width,
                                         height, kind, &copy);

    if (result == CUDA_SUCCESS)
        result = STREAM(cuMemcpy3D)(&copy);
    return runtime_finish(result);
}

/* Slices lie ysize rows apart. */
cudaError_t cudaMemset3D(struct cudaPitchedPtr memory, int value, struct cudaExtent extent)
{
    CUresult result = runtime_enter();

    for (size_t z = 0; z < extent.depth && extent.width && extent.height && result == CUDA_SUCCESS; z++)
        result = STREAM(cuMemsetD2D8)((CUdeviceptr)memory.ptr + z * memory.pitch * memory.ysize, memory.pitch,
                                      (unsigned char)value, extent.width, extent.height);
    return runtime_finish(result);
}

cudaError_t cudaMemset3DAsync(struct cudaPitchedPtr memory, int value, struct cudaExtent extent,
                              cudaStream_t stream)
{
    CUresult result = runtime_enter();

    for (size_t z = 0; z < extent.depth && extent.width && extent.height && result == CUDA_SUCCESS; z++)
        result =
            STREAM(cuMemsetD2D8Async)((CUdeviceptr)memory.ptr + z * memory.pitch * memory.ysize, memory.pitch,
                                      (unsigned char)value, extent.width, extent.height, stream);
    return runtime_finish(result);
}
