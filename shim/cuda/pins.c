/* SPDX-License-Identifier: Apache-2.0 */
/* pins.c - see pins.h. */
#include "cuda/pins.h"

#include "base/table.h"

int pin_take(uint64_t address, enum pin_reason reason, struct pin *out)
{
    struct block_info block;
    int error = core_find(address, &block);

    if (!error)
        error = core_pin(address, reason);
    if (!error)
        *out = (struct pin){address, block.id};
    return error;
}

void pin_drop(const struct pin *pin, enum pin_reason reason)
{
    struct block_info block;

    if (core_find(pin->address, &block) == 0 && block.id == pin->block_id)
        core_unpin(pin->address, reason);
}

/* ---- textures ----------------------------------------------------------------------------------------------------- */

static struct table textures = TABLE_INIT(struct pin);

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

int textures_pin(const CUDA_RESOURCE_DESC *desc, struct pin *out)
{
    return pin_take(address_of(desc), PIN_TEXTURE, out);
}

CUresult textures_made(CUresult result, const CUtexObject *texture, const struct pin *pin)
{
    if (result != CUDA_SUCCESS)
        pin_drop(pin, PIN_TEXTURE);
    else
        table_put(&textures, *texture, pin);
    return result;
}

CUresult textures_destroy(__typeof__(cuTexObjectDestroy) *next, CUtexObject texture)
{
    struct pin pin;
    bool known = texture && table_take(&textures, texture, &pin);
    CUresult result = next(texture);

    if (known && result == CUDA_SUCCESS)
        pin_drop(&pin, PIN_TEXTURE);
    else if (known)
        table_put(&textures, texture, &pin);
    return result;
}
