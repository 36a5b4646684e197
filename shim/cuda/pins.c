/* SPDX-License-Identifier: Apache-2.0 */
/* pins.c - see pins.h. */
#include "cuda/pins.h"

#include <errno.h>

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

static struct table textures = TABLE_INIT(struct texture_pin);

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

int textures_pin(const CUDA_RESOURCE_DESC *desc, struct texture_pin *out)
{
    int error;

    out->reason = PIN_TEXTURE;
    error = pin_take(address_of(desc), out->reason, &out->pin);
    if (error != -ENOMEM)
        return error;
    out->reason = PIN_REFERENCED;
    return pin_take(address_of(desc), out->reason, &out->pin);
}

CUresult textures_made(CUresult result, const CUtexObject *texture, const struct texture_pin *pin)
{
    if (result != CUDA_SUCCESS)
        pin_drop(&pin->pin, pin->reason);
    else
        table_put(&textures, *texture, pin);
    return result;
}

CUresult textures_destroy(__typeof__(cuTexObjectDestroy) *next, CUtexObject texture)
{
    struct texture_pin pin;
    bool known = texture && table_take(&textures, texture, &pin);
    CUresult result = next(texture);

    if (known && result == CUDA_SUCCESS)
        pin_drop(&pin.pin, pin.reason);
    else if (known)
        table_put(&textures, texture, &pin);
    return result;
}
