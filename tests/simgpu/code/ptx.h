/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PTX is text for a compiler that the simulation has not got. SIMGPU_PTX names a shared object whose kernels stand
 * for the entries of all PTX that is loaded; their parameters must be the entries' own.
 */
#ifndef SIMGPU_PTX_H
#define SIMGPU_PTX_H

#include "code/image.h"

/*
 * The image that stands for PTX text, which stays the caller's. Without the lock. JIT_COMPILER_NOT_FOUND without SIMGPU_PTX, or when the object
 * lacks an entry; else as image_read_file.
 */
CUresult ptx_read(const char *text, struct image **image);

#endif
