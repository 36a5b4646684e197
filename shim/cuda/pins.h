/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pins.h - a block that stays where it is because something of the driver's remembers its address.
 *
 * Threads  any.
 */
#ifndef EBB_PINS_H
#define EBB_PINS_H

#include "cuda/real.h"
#include "engine/core.h"

struct pin {
    uint64_t address;
    uint64_t block_id;
};

/** Pin the block at an address. 0; -ENOENT no block, -ENOMEM refused. */
int pin_take(uint64_t address, enum pin_reason reason, struct pin *out);

/** Unpin it. A block that was freed took its pins along; another may lie there now. */
void pin_drop(const struct pin *pin, enum pin_reason reason);

/* ---- texture objects that live ------------------------------------------------------------------------------------ */

/** Nothing says which kernels read a texture. */
struct texture_pin {
    struct pin pin;
    enum pin_reason
        reason; /**< PIN_REFERENCED: the device has no room, and reads it at its address in host memory */
};

/** Pin the block that a texture is to be made of. 0; -ENOENT none, -ENOMEM refused. */
int textures_pin(const CUDA_RESOURCE_DESC *desc, struct texture_pin *out);

/** The real create answered `result`, which is returned. Without memory for the record the pin stays as long as the
 *  block. */
CUresult textures_made(CUresult result, const CUtexObject *texture, const struct texture_pin *pin);

/** Destroy it by the real function. */
CUresult textures_destroy(__typeof__(cuTexObjectDestroy) *next, CUtexObject texture);

#endif
