/* SPDX-License-Identifier: Apache-2.0 */
/* Physical bytes at an address of their own, readable and writable by the driver's copies and kernels. */
#ifndef SIMGPU_EXTENT_H
#define SIMGPU_EXTENT_H

#include "device/device.h"

/* A multiple of the granule. Managed ones count where their pages are held, others on the device: pools give it what
 * they keep, if need be. CUDA_ERROR_OUT_OF_MEMORY. */
CUresult extent_take(struct device *device, enum store store, size_t bytes, uintptr_t *start,
                     uint64_t *place);

void extent_give(struct device *device, enum store store, size_t bytes, uintptr_t start, uint64_t place);

#endif
