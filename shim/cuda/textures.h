/* SPDX-License-Identifier: Apache-2.0 */
/*
 * textures.h - the texture objects that live, and the blocks that stay on the device for them.
 *
 * Threads  any.
 */
#ifndef EBB_TEXTURES_H
#define EBB_TEXTURES_H

#include "cuda/pins.h"
#include "cuda/real.h"

/** Pin the block that a texture is to be made of. 0; -ENOENT none, -ENOMEM refused. */
int textures_pin(const CUDA_RESOURCE_DESC *desc, struct pin *out);

/** The real create answered `result`, which is returned. Without memory for the record the pin stays as long as the
 *  block. */
CUresult textures_made(CUresult result, const CUtexObject *texture, const struct pin *pin);

/** Destroy it by the real function. */
CUresult textures_destroy(__typeof__(cuTexObjectDestroy) *next, CUtexObject texture);

#endif
