/* SPDX-License-Identifier: Apache-2.0 */
/* How long devices have been at work, with kernels and with moving memory: what NVML's utilization is made of. */
#ifndef SIMGPU_BUSY_H
#define SIMGPU_BUSY_H

#include "device/device.h"
#include "stream/work.h"

/* A piece of work begins on the device, and has ended, whatever came of it. */
void busy_begin(struct device *device, const struct work *work);
void busy_end(struct device *device, const struct work *work);

/* Until then, a time that has just been, for each kind of it. What runs at the same time counts once. */
void busy_read(const struct device *device, uint64_t at_ns, uint64_t total_ns[BUSY_KINDS]);

#endif
