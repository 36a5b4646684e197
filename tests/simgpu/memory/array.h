/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arrays and mipmapped arrays: rows without gaps, one behind the other, at an address that no program is told. A level of
 * a mipmapped one is an array of its own while that lives.
 */
#ifndef SIMGPU_ARRAY_H
#define SIMGPU_ARRAY_H

#include "device/context.h"

/* Frees the arrays of a context. */
void array_clear(struct context *context);

/* Arrays and mipmapped arrays that are alive; levels do not count. */
size_t array_count(void);

/* Where an array's bytes are: rows of so many bytes, rows in a slice (1 without a height), slices or layers. */
struct array_shape {
    uintptr_t start;
    size_t row_bytes, rows, slices;
};

/* False: the handle is none of an array. */
bool array_shape(CUarray handle, struct array_shape *shape);

/*
 * The same for a level of a mipmapped array, or for an array, which has level 0 alone; desc says what the level is in the
 * words of an array. False: there is no such handle, or level.
 */
bool array_level(const void *handle, bool mipmapped, unsigned level, CUDA_ARRAY3D_DESCRIPTOR *desc,
                 struct array_shape *shape);

/* The array whose byte lies at an address. NULL: it is none of an array's. */
CUarray array_at(uintptr_t address);

#endif
