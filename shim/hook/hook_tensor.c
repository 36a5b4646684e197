/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tensor maps. One that holds the address among its words is an argument like any other: launches that take it by
 * value, and copies of it, name the block. Where the driver hides the address, nothing tells who uses the map, or
 * until when: the block is pinned for good.
 */
#include "engine/core.h"
#include "hook/hooks.h"

#include <errno.h>

static bool shows(const CUtensorMap *map, uint64_t address)
{
    for (unsigned i = 0; i < CU_TENSOR_MAP_NUM_QWORDS; i++)
        if (map->opaque[i] == address)
            return true;
    return false;
}

static CUresult encoded(CUresult result, const CUtensorMap *map, const void *memory)
{
    uint64_t address = (uint64_t)(uintptr_t)memory;

    if (result != CUDA_SUCCESS || shows(map, address))
        return result;
    int error = core_pin(address, PIN_TEXTURE);

    return error == -ENOENT ? CUDA_SUCCESS : hooks_result(error);
}

CUresult hook_cuTensorMapEncodeTiled(__typeof__(cuTensorMapEncodeTiled) *next, CUtensorMap *tensorMap,
                                     CUtensorMapDataType tensorDataType, cuuint32_t tensorRank,
                                     void *globalAddress, const cuuint64_t *globalDim,
                                     const cuuint64_t *globalStrides, const cuuint32_t *boxDim,
                                     const cuuint32_t *elementStrides, CUtensorMapInterleave interleave,
                                     CUtensorMapSwizzle swizzle, CUtensorMapL2promotion l2Promotion,
                                     CUtensorMapFloatOOBfill oobFill)
{
    return encoded(next(tensorMap, tensorDataType, tensorRank, globalAddress, globalDim, globalStrides,
                        boxDim, elementStrides, interleave, swizzle, l2Promotion, oobFill),
                   tensorMap, globalAddress);
}

CUresult hook_cuTensorMapEncodeIm2col(__typeof__(cuTensorMapEncodeIm2col) *next, CUtensorMap *tensorMap,
                                      CUtensorMapDataType tensorDataType, cuuint32_t tensorRank,
                                      void *globalAddress, const cuuint64_t *globalDim,
                                      const cuuint64_t *globalStrides, const int *pixelBoxLowerCorner,
                                      const int *pixelBoxUpperCorner, cuuint32_t channelsPerPixel,
                                      cuuint32_t pixelsPerColumn, const cuuint32_t *elementStrides,
                                      CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle,
                                      CUtensorMapL2promotion l2Promotion, CUtensorMapFloatOOBfill oobFill)
{
    return encoded(next(tensorMap, tensorDataType, tensorRank, globalAddress, globalDim, globalStrides,
                        pixelBoxLowerCorner, pixelBoxUpperCorner, channelsPerPixel, pixelsPerColumn,
                        elementStrides, interleave, swizzle, l2Promotion, oobFill),
                   tensorMap, globalAddress);
}

CUresult hook_cuTensorMapEncodeIm2colWide(__typeof__(cuTensorMapEncodeIm2colWide) *next,
                                          CUtensorMap *tensorMap, CUtensorMapDataType tensorDataType,
                                          cuuint32_t tensorRank, void *globalAddress,
                                          const cuuint64_t *globalDim, const cuuint64_t *globalStrides,
                                          int pixelBoxLowerCornerWidth, int pixelBoxUpperCornerWidth,
                                          cuuint32_t channelsPerPixel, cuuint32_t pixelsPerColumn,
                                          const cuuint32_t *elementStrides, CUtensorMapInterleave interleave,
                                          CUtensorMapIm2ColWideMode mode, CUtensorMapSwizzle swizzle,
                                          CUtensorMapL2promotion l2Promotion, CUtensorMapFloatOOBfill oobFill)
{
    return encoded(next(tensorMap, tensorDataType, tensorRank, globalAddress, globalDim, globalStrides,
                        pixelBoxLowerCornerWidth, pixelBoxUpperCornerWidth, channelsPerPixel, pixelsPerColumn,
                        elementStrides, interleave, mode, swizzle, l2Promotion, oobFill),
                   tensorMap, globalAddress);
}

CUresult hook_cuTensorMapReplaceAddress(__typeof__(cuTensorMapReplaceAddress) *next, CUtensorMap *tensorMap,
                                        void *globalAddress)
{
    return encoded(next(tensorMap, globalAddress), tensorMap, globalAddress);
}
