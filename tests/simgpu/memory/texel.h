/* SPDX-License-Identifier: Apache-2.0 */
/* Elements of arrays, textures and surfaces: one, two or four channels of the same format. */
#ifndef SIMGPU_TEXEL_H
#define SIMGPU_TEXEL_H

#include <cuda.h>
#include <stdbool.h>
#include <stddef.h>

/* Bytes of a channel; 0: a format that is not implemented. */
size_t channel_bytes(CUarray_format format);

/* Whether its channels are whole numbers of 8 or 16 bits, which a texture may read as parts of one. */
bool channel_is_small(CUarray_format format);

/* Whether its channels are floats. */
bool channel_is_float(CUarray_format format);

/* One, two or four of a format that is implemented. */
bool texel_is_known(CUarray_format format, unsigned channels);

#endif
