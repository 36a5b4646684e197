/* SPDX-License-Identifier: Apache-2.0 */
/* Objects that remember an address: textures, and tensor maps that do not show it. The block stays on the device. */
#include <errno.h>

#include "hook/hook_words.h"

CUresult hook_cuTexObjectCreate(__typeof__(cuTexObjectCreate) *next, CUtexObject *pTexObject,
                                const CUDA_RESOURCE_DESC *pResDesc, const CUDA_TEXTURE_DESC *pTexDesc,
                                const CUDA_RESOURCE_VIEW_DESC *pResViewDesc)
{
    struct texture_pin pin;
    int error = pTexObject && pResDesc ? textures_pin(pResDesc, &pin) : -ENOENT;

    if (error && error != -ENOENT)
        return hooks_result(error);
    CUresult result = next(pTexObject, pResDesc, pTexDesc, pResViewDesc);

    return error ? result : textures_made(result, pTexObject, &pin);
}

CUresult hook_texture_pin(uint64_t address)
{
    int error = core_pin(address, PIN_TEXTURE);

    return error == -ENOENT ? CUDA_SUCCESS : hooks_result(error);
}

CUresult hook_texture_made(CUresult result, uint64_t address)
{
    if (result != CUDA_SUCCESS)
        core_unpin(address, PIN_TEXTURE);
    return result;
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

CUresult hook_texture_encoded(CUresult result, const CUtensorMap *map, const void *memory)
{
    uint64_t address = (uint64_t)(uintptr_t)memory;

    if (result != CUDA_SUCCESS || shows(map, address))
        return result;
    return hook_texture_pin(address);
}
