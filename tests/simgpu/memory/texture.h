/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Texture and surface objects: what they were made of, and where their texels lie. Nothing is held by one: what it was made
 * of may be freed, and then kernels find no memory there.
 */
#ifndef SIMGPU_TEXTURE_H
#define SIMGPU_TEXTURE_H

#include "driver/sim.h"

enum {
    TEXTURE_LEVELS = 32
};

struct texture_level {
    uintptr_t start;
    size_t pitch, slice;         /* bytes from a row to the next, from a slice or layer */
    size_t width, height, depth; /* in texels, rows, slices or layers; none is 0 */
};

/* A CUtexObject or CUsurfObject is the address of one. Read-only once made. */
struct texture {
    bool is_surface, has_view;
    CUDA_RESOURCE_DESC resource;
    CUDA_TEXTURE_DESC sampling; /* a surface has none */
    CUDA_RESOURCE_VIEW_DESC view;
    CUarray_format format;
    unsigned channels;
    size_t bytes;     /* of a texel */
    bool is_layered;  /* depth counts layers; of a cube map, faces */
    bool is_promoted; /* its whole numbers are read as parts of one */
    unsigned level_count;
    struct texture_level levels[TEXTURE_LEVELS];
};

/* A copy of what the handle names; false: none of that kind is alive. Takes the lock. */
bool texture_find(uint64_t handle, bool is_surface, struct texture *copy);

#endif
