/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a texture gives for coordinates, by the formulas of the CUDA programming guide: fractions of linear filtering have 8
 * bits, rounded to nearest; what they weigh is summed with more precision than hardware has. Channels that a texture does
 * not have read as 0, 0 and 1. A cube map is filtered within a face.
 */
#ifndef SIMGPU_PTX_SAMPLE_H
#define SIMGPU_PTX_SAMPLE_H

#include "memory/texture.h"
#include "ptx/device/all.h"

/* Where the texel at an address can be read, once it is known that the kernel may. */
typedef const u8 *sample_reach(void *who, uintptr_t address, size_t bytes);

/* Floats' bits, or whole numbers where the texture is read as such. No lock; reach may leave. */
void sample_fetch(const struct texture *texture, const struct ptx_fetch *fetch, sample_reach *reach,
                  void *who, u32 texel[4]);

/* The address of a place in a surface, or 0 where it is outside of it. */
uintptr_t sample_place(const struct texture *surface, const struct ptx_place *place);

/* Turns words, which are whole numbers or bits of floats, into a texel of the surface. Numbers that are too large become
 * the largest. */
void sample_pack(const struct texture *surface, const u32 words[4], u8 texel[16]);

u32 sample_answer(const struct texture *texture, enum ptx_question question, u32 level);

#endif
