/* SPDX-License-Identifier: Apache-2.0 */
/* What work does to pages of managed memory. What a CPU does to them is not seen. */
#ifndef SIMGPU_MANAGED_H
#define SIMGPU_MANAGED_H

#include "stream/op.h"

/* The pages of a range that lies in one managed allocation; none where it does not. */
struct page_run managed_find(CUdeviceptr start, size_t bytes);

/*
 * Where a location that a program gives lies, with the host's forms made exact. CUDA_ERROR_INVALID_VALUE for no
 * location, CUDA_ERROR_INVALID_DEVICE for no device, or one without concurrent managed access.
 */
CUresult managed_location(CUmemLocation *location);

/* The location of a CUdevice of the older entries: CU_DEVICE_CPU is the host. */
CUmemLocation managed_location_of(CUdevice device);

/* The processor that holds an object at an address: for managed memory, its page. */
int managed_holder(const struct memory *memory, uintptr_t at);

/* The device uses the part of an object. *until_ns grows to when the link has carried what it must. */
void managed_use(const struct name *name, struct device *device, uint64_t *until_ns);

/*
 * Before the node of an operation runs: it uses what it names exactly. After a kernel has ended: it has used what it
 * got by parameter and declared nothing in. Waits for the link. Without the lock.
 */
void managed_before(const struct op *op);
void managed_after(const struct op *op);

/* Runs a prefetch, and waits for the link. Without the lock. */
void managed_prefetch(const struct prefetch_work *prefetch);

#endif
