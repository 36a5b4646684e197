/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIMGPU_SET_H
#define SIMGPU_SET_H

#include "stream/submit.h"

/* CUDA_ERROR_INVALID_VALUE for a misaligned set, or one of what the device may not write. */
CUresult set_check(const struct context *context, const struct set_work *set);

#endif
