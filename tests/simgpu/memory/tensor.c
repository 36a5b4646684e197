/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tensor maps: the rules of cuda.h for what all forms share (address, dimensions, strides, steps), and a value that
 * kernels here can read (struct simgpu_tensor). Like the driver's own it is opaque to programs: SIMGPU_HIDE_TENSORS
 * decides whether the address is among its words.
 */
#include "device/context.h"

#include "simgpu.h"

#include <stddef.h>
#include <string.h>

enum {
    RANK_MAX = 5,
    IM2COL_RANK_MIN = 3,
    BOX_MAX = 256,
    STEP_MAX = 8
};

_Static_assert(sizeof(struct simgpu_tensor) == sizeof(CUtensorMap), "passed in its place");

struct tensor {
    CUtensorMapDataType type;
    unsigned rank;
    const void *address;
    const cuuint64_t *dim, *stride;
    const cuuint32_t *step;
    CUtensorMapInterleave interleave;
};

/* Bytes of an element; the packed types, which have fractions, are left out. 0: not known. */
static unsigned element_bytes(CUtensorMapDataType type)
{
    static const unsigned char bytes[] = {1, 2, 4, 4, 8, 8, 2, 4, 8, 2, 4, 4, 4};

    return (unsigned)type < sizeof bytes ? bytes[type] : 0;
}

static bool is_aligned(const void *address, const struct tensor *tensor)
{
    return (uintptr_t)address % (tensor->interleave == CU_TENSOR_MAP_INTERLEAVE_32B ? 32 : 16) == 0;
}

static bool is_right(const struct tensor *tensor)
{
    if (!tensor->dim || !tensor->step || (tensor->rank > 1 && !tensor->stride) || !tensor->rank ||
        tensor->rank > RANK_MAX || !is_aligned(tensor->address, tensor))
        return false;
    for (unsigned i = 0; i < tensor->rank; i++) {
        if (!tensor->dim[i] || tensor->dim[i] > UINT64_C(1) << 32 || !tensor->step[i] ||
            tensor->step[i] > STEP_MAX)
            return false;
        if (i + 1 < tensor->rank && (tensor->stride[i] % 16 || tensor->stride[i] >= UINT64_C(1) << 40))
            return false;
    }
    return tensor->interleave == CU_TENSOR_MAP_INTERLEAVE_NONE || tensor->rank >= IM2COL_RANK_MIN;
}

static void put_address(struct simgpu_tensor *out, const void *address)
{
    out->word[SIMGPU_TENSOR_ADDRESS] =
        options.hide_tensors ? ~(uint64_t)(uintptr_t)address : (uint64_t)(uintptr_t)address;
}

static CUresult encode(CUtensorMap *map, const struct tensor *tensor)
{
    struct simgpu_tensor made = {{0}};
    unsigned each = element_bytes(tensor->type), last = tensor->rank - 1;

    if (!map || (uintptr_t)map % 64 || !is_right(tensor))
        return CUDA_ERROR_INVALID_VALUE;
    if (!each)
        return CUDA_ERROR_NOT_SUPPORTED;
    put_address(&made, tensor->address);
    made.word[SIMGPU_TENSOR_BYTES] =
        last ? tensor->stride[last - 1] * tensor->dim[last] : each * *tensor->dim;
    made.word[SIMGPU_TENSOR_FORM] = options.hide_tensors ? SIMGPU_TENSOR_HIDDEN : SIMGPU_TENSOR_PLAIN;
    memcpy(map, &made, sizeof made);
    return CUDA_SUCCESS;
}

CUresult sim_cuTensorMapEncodeTiled(CUtensorMap *map, CUtensorMapDataType type, cuuint32_t rank,
                                    void *address, const cuuint64_t *dim, const cuuint64_t *stride,
                                    const cuuint32_t *box, const cuuint32_t *step,
                                    CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle,
                                    CUtensorMapL2promotion promotion, CUtensorMapFloatOOBfill fill)
{
    const struct tensor tensor = {type, rank, address, dim, stride, step, interleave};

    (void)swizzle, (void)promotion, (void)fill;
    for (unsigned i = 0; i < rank && i < RANK_MAX; i++)
        if (!box || !box[i] || box[i] > BOX_MAX)
            return CUDA_ERROR_INVALID_VALUE;
    return encode(map, &tensor);
}

CUresult sim_cuTensorMapEncodeIm2col(CUtensorMap *map, CUtensorMapDataType type, cuuint32_t rank,
                                     void *address, const cuuint64_t *dim, const cuuint64_t *stride,
                                     const int *lower, const int *upper, cuuint32_t channels,
                                     cuuint32_t pixels, const cuuint32_t *step,
                                     CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle,
                                     CUtensorMapL2promotion promotion, CUtensorMapFloatOOBfill fill)
{
    const struct tensor tensor = {type, rank, address, dim, stride, step, interleave};

    (void)swizzle, (void)promotion, (void)fill;
    if (!lower || !upper || rank < IM2COL_RANK_MIN || !channels || channels > BOX_MAX || pixels > 1024)
        return CUDA_ERROR_INVALID_VALUE;
    return encode(map, &tensor);
}

CUresult sim_cuTensorMapEncodeIm2colWide(CUtensorMap *map, CUtensorMapDataType type, cuuint32_t rank,
                                         void *address, const cuuint64_t *dim, const cuuint64_t *stride,
                                         int lower, int upper, cuuint32_t channels, cuuint32_t pixels,
                                         const cuuint32_t *step, CUtensorMapInterleave interleave,
                                         CUtensorMapIm2ColWideMode mode, CUtensorMapSwizzle swizzle,
                                         CUtensorMapL2promotion promotion, CUtensorMapFloatOOBfill fill)
{
    const struct tensor tensor = {type, rank, address, dim, stride, step, interleave};

    (void)lower, (void)upper, (void)mode, (void)swizzle, (void)promotion, (void)fill;
    if (rank < IM2COL_RANK_MIN || !channels || channels > BOX_MAX || pixels > 1024)
        return CUDA_ERROR_INVALID_VALUE;
    return encode(map, &tensor);
}

CUresult sim_cuTensorMapReplaceAddress(CUtensorMap *map, void *address)
{
    struct simgpu_tensor now;

    if (!map || (uintptr_t)map % 64 || (uintptr_t)address % 16)
        return CUDA_ERROR_INVALID_VALUE;
    memcpy(&now, map, sizeof now);
    if (now.word[SIMGPU_TENSOR_FORM] != SIMGPU_TENSOR_PLAIN &&
        now.word[SIMGPU_TENSOR_FORM] != SIMGPU_TENSOR_HIDDEN)
        return CUDA_ERROR_INVALID_VALUE;
    put_address(&now, address);
    memcpy(map, &now, sizeof now);
    return CUDA_SUCCESS;
}
