/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels of the preload tests. */
#include "simgpu_kernel.h"

/* A global that a kernel can read a pointer from. */
SIMGPU_EXPORT float *stored;

SIMGPU_KERNEL3(add, float *, out, const float *, in, uint64_t, count)
{
    SIMGPU_TOUCH(out, count * sizeof *out);
    SIMGPU_TOUCH(in, count * sizeof *in);
    for (uint64_t i = SIMGPU_FIRST; i < count; i += SIMGPU_STEP)
        out[i] += in[i];
}

struct pair {
    uint32_t tag;
    float *out;
    const float *in;
};

/* Pointers inside a structure that is passed by value. */
SIMGPU_KERNEL2(add_pair, struct pair, operands, uint64_t, count)
{
    SIMGPU_TOUCH(operands.out, count * sizeof *operands.out);
    SIMGPU_TOUCH(operands.in, count * sizeof *operands.in);
    for (uint64_t i = SIMGPU_FIRST; i < count; i += SIMGPU_STEP)
        operands.out[i] += operands.in[i];
}

/* Pointers that are read from memory: seen by nobody. */
SIMGPU_KERNEL3(add_through, float *const *, out, const float *, in, uint64_t, count)
{
    SIMGPU_TOUCH(*out, count * sizeof **out);
    for (uint64_t i = SIMGPU_FIRST; i < count; i += SIMGPU_STEP)
        (*out)[i] += in[i];
}

/* A tensor map, passed by value as programs do. */
SIMGPU_KERNEL3(add_tensor, float *, out, struct simgpu_tensor, in, uint64_t, count)
{
    const float *from = simgpu_tensor_address(&in);

    SIMGPU_TOUCH(out, count * sizeof *out);
    for (uint64_t i = SIMGPU_FIRST; i < count; i += SIMGPU_STEP)
        out[i] += from[i];
}
