/* SPDX-License-Identifier: Apache-2.0 */
/* Objects that hide an address from us: what they name stays on the device. */
#include "base/table.h"
#include "engine/core.h"
#include "hook/hooks.h"

#include <errno.h>

struct texture {
    uint64_t address;
    uint64_t block_id;
};

static struct table textures = TABLE_INIT(struct texture);

/* -ENOENT: no block. */
static int pin(uint64_t address, struct texture *out)
{
    struct block_info block;
    int error = core_find(address, &block);

    if (!error)
        error = core_pin(address, PIN_TEXTURE);
    if (!error)
        *out = (struct texture){address, block.id};
    return error;
}

static void unpin(const struct texture *texture)
{
    struct block_info block;

    /* A block that was freed took its pins along; another may lie there now. */
    if (core_find(texture->address, &block) == 0 && block.id == texture->block_id)
        core_unpin(texture->address, PIN_TEXTURE);
}

static uint64_t address_of(const CUDA_RESOURCE_DESC *desc)
{
    switch (desc->resType) {
    case CU_RESOURCE_TYPE_LINEAR:
        return desc->res.linear.devPtr;
    case CU_RESOURCE_TYPE_PITCH2D:
        return desc->res.pitch2D.devPtr;
    default: /* arrays are never blocks */
        return 0;
    }
}

CUresult hook_cuTexObjectCreate(__typeof__(cuTexObjectCreate) *next, CUtexObject *pTexObject,
                                const CUDA_RESOURCE_DESC *pResDesc, const CUDA_TEXTURE_DESC *pTexDesc,
                                const CUDA_RESOURCE_VIEW_DESC *pResViewDesc)
{
    struct texture texture;
    int error = pTexObject && pResDesc ? pin(address_of(pResDesc), &texture) : -ENOENT;

    if (error && error != -ENOENT)
        return hooks_result(error);
    CUresult result = next(pTexObject, pResDesc, pTexDesc, pResViewDesc);

    if (!error && result != CUDA_SUCCESS)
        unpin(&texture);
    else if (!error) /* without memory for the record the pin stays as long as the block */
        table_put(&textures, *pTexObject, &texture);
    return result;
}

CUresult hook_cuTexObjectDestroy(__typeof__(cuTexObjectDestroy) *next, CUtexObject texObject)
{
    struct texture texture;
    bool known = texObject && table_take(&textures, texObject, &texture);
    CUresult result = next(texObject);

    if (known && result == CUDA_SUCCESS)
        unpin(&texture);
    else if (known)
        table_put(&textures, texObject, &texture);
    return result;
}

/* Pinned for good: nothing tells when the hidden address was last used. */
static CUresult pin_for_good(uint64_t address)
{
    int error = core_pin(address, PIN_TEXTURE);

    return error == -ENOENT ? CUDA_SUCCESS : hooks_result(error);
}

/* Of what was pinned for good and then refused by the driver. */
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
