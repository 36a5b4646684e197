/* SPDX-License-Identifier: Apache-2.0 */
/* Objects that remember an address: textures, and tensor maps that do not show it. The block stays on the device. */
#include <errno.h>

#include "cuda/textures.h"
#include "engine/core.h"
#include "hook/hooks.h"

CUresult hook_cuTexObjectCreate(__typeof__(cuTexObjectCreate) *next, CUtexObject *pTexObject,
                                const CUDA_RESOURCE_DESC *pResDesc, const CUDA_TEXTURE_DESC *pTexDesc,
                                const CUDA_RESOURCE_VIEW_DESC *pResViewDesc)
{
    struct pin pin;
    int error = pTexObject && pResDesc ? textures_pin(pResDesc, &pin) : -ENOENT;

    if (error && error != -ENOENT)
        return hooks_result(error);
    CUresult result = next(pTexObject, pResDesc, pTexDesc, pResViewDesc);

    return error ? result : textures_made(result, pTexObject, &pin);
}

CUresult hook_cuTexObjectDestroy(__typeof__(cuTexObjectDestroy) *next, CUtexObject texObject)
{
    return textures_destroy(next, texObject);
}

/* Pinned for good: nothing tells when the hidden address was last used. */
static CUresult pin_for_good(uint64_t address)
{
    int error = core_pin(address, PIN_TEXTURE);

    return error == -ENOENT ? CUDA_SUCCESS : hooks_result(error);
}

/* A pin for good goes again when the driver refuses the object. */
static CUresult made(CUresult result, uint64_t address)
{
    if (result != CUDA_SUCCESS)
        core_unpin(address, PIN_TEXTURE);
    return result;
}

CUresult hook_cuTexRefSetAddress_v2(__typeof__(cuTexRefSetAddress_v2) *next, size_t *ByteOffset,
                                    CUtexref hTexRef, CUdeviceptr dptr, size_t bytes)
{
    CUresult result = pin_for_good(dptr);

    return result == CUDA_SUCCESS ? made(next(ByteOffset, hTexRef, dptr, bytes), dptr) : result;
}

CUresult hook_cuTexRefSetAddress2D_v2(__typeof__(cuTexRefSetAddress2D_v2) *next, CUtexref hTexRef,
                                      const CUDA_ARRAY_DESCRIPTOR *desc, CUdeviceptr dptr, size_t Pitch)
{
    CUresult result = pin_for_good(dptr);

    return result == CUDA_SUCCESS ? made(next(hTexRef, desc, dptr, Pitch), dptr) : result;
}

CUresult hook_cuMulticastBindAddr(__typeof__(cuMulticastBindAddr) *next,
                                  CUmemGenericAllocationHandle mcHandle, size_t mcOffset, CUdeviceptr memptr,
                                  size_t size, unsigned long long flags)
{
    CUresult result = pin_for_good(memptr);

    return result == CUDA_SUCCESS ? made(next(mcHandle, mcOffset, memptr, size, flags), memptr) : result;
}

/*
 * Tensor maps. One that holds the address among its words is an argument like any other: launches that take it by
 * value, and copies of it, name the block. Where the driver hides the address, nothing tells who uses the map, or
 * until when: the block is pinned for good.
 */

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
    return pin_for_good(address);
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
