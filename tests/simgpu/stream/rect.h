/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of rows and slices, and of arrays, as NVIDIA's structures describe them. */
#ifndef SIMGPU_RECT_H
#define SIMGPU_RECT_H

#include "stream/copy.h"

/* CUDA_ERROR_INVALID_VALUE for a bad description or what lies outside of an array, INVALID_HANDLE for none. With the
 * lock held. */
CUresult rect_read(const CUDA_MEMCPY3D *rect, struct copy_work *copy);

/* copy_submit of what was read, whose sides are known. Without the lock. */
CUresult rect_submit(struct copy_work *copy, CUstream stream, bool asynchronous);

/* The other way, for graph nodes. */
void rect_write(const struct copy_work *copy, CUDA_MEMCPY3D *rect);

#endif
