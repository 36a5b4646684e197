/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much of a device's memory there is to have: SIMGPU_MEMORY, for this process alone or, with SIMGPU_SHARED, for all
 * that name the same file. Who has a context on a device is told there, too.
 */
#ifndef SIMGPU_CAPACITY_H
#define SIMGPU_CAPACITY_H

#include "device/device.h"

/* CUDA_ERROR_INVALID_VALUE, with a line, when the file of SIMGPU_SHARED cannot be shared. */
CUresult capacity_start(void);

/* This process holds that many bytes of the device from now on. False: there are not as many; nothing has changed. */
bool capacity_hold(const struct device *device, size_t bytes);

/* Bytes that nobody holds. */
size_t capacity_room(const struct device *device);

/* This process has contexts on the device, or none any more. */
void capacity_note_context(const struct device *device, bool has);

/* Tells how long this process has kept the device at work. */
void capacity_note_busy(const struct device *device);

/* What all who share the device hold, and the most that they ever held. False: it is not shared. */
bool capacity_shared(const struct device *device, size_t *used, size_t *peak);

#endif
