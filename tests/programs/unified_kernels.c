/* SPDX-License-Identifier: Apache-2.0 */
/* Sums over memory that the CPU shares, by arguments and by a table of pointers. */
#include "kernel.h"

SIMGPU_KERNEL4(fill, uint64_t *, out, uint64_t, words, uint64_t, seed, uint64_t, number)
{
    SIMGPU_TOUCH(out, words * sizeof(*out));
    EACH(uint64_t, i, words)
        out[i] = random_at(seed, number * words + i);
}

SIMGPU_KERNEL3(blend, uint64_t *, out, const uint64_t *, in, uint64_t, words)
{
    SIMGPU_TOUCH(out, words * sizeof(*out));
    SIMGPU_TOUCH(in, words * sizeof(*in));
    EACH(uint64_t, i, words)
        out[i] = out[i] * 0x9e3779b97f4a7c15U + in[words - 1 - i];
}

SIMGPU_KERNEL4(gather, uint64_t *, out, uint64_t *const *, table, uint64_t, count, uint64_t, words)
{
    SIMGPU_TOUCH(table, count * sizeof(*table));
    SIMGPU_TOUCH(out, words * sizeof(*out));
#ifndef __CUDACC__
    EACH(uint64_t, t, count)
        SIMGPU_TOUCH(table[t], words * sizeof(**table));
#endif
    EACH(uint64_t, i, words) {
        for (uint64_t t = 0; t < count; t++)
            out[i] = (out[i] ^ table[t][i]) + (out[i] >> 31);
    }
}
