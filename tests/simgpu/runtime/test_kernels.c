/* SPDX-License-Identifier: Apache-2.0 */
#include "simgpu_kernel.h"

SIMGPU_EXPORT extern uint32_t factor;
uint32_t factor = 1;

SIMGPU_KERNEL3(add, uint32_t *, out, uint32_t, value, uint64_t, count)
{
    SIMGPU_TOUCH(out, count * sizeof(*out));
    for (uint64_t i = SIMGPU_FIRST; i < count; i += SIMGPU_STEP)
        out[i] += value * factor;
}
