/* SPDX-License-Identifier: Apache-2.0 */
/* Two- and three-dimensional copies as NVIDIA's structures describe them. Arrays are not implemented. */
#ifndef SIMGPU_RECT_H
#define SIMGPU_RECT_H

#include "stream/copy.h"

/* CUDA_ERROR_INVALID_VALUE for a bad description, NOT_SUPPORTED for one with arrays. Needs the lock for
 * UNIFIED operands. */
CUresult rect_read(const CUDA_MEMCPY3D *rect, struct copy_work *copy);

/* The other way, for graph nodes. */
void rect_write(const struct copy_work *copy, CUDA_MEMCPY3D *rect);

#endif
