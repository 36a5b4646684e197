/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel that pressure_callback.c needs; a program that uses it includes this once among its kernels. */
#include "kernel.h"

SIMGPU_KERNEL3(pressure_fill, uint64_t *RESTRICT, block, uint64_t, words, uint64_t, seed)
{
    SIMGPU_TOUCH(block, words * sizeof(*block));
    EACH(uint64_t, i, words)
        block[i] = seed ^ i * 0x9e3779b97f4a7c15U;
}
