/* SPDX-License-Identifier: Apache-2.0 */
/* Stages of a pipeline: each mixes what is there with what it is given. */
#include "kernel.h"
#include "random.h"

SIMGPU_KERNEL4(fill, uint64_t *, out, uint64_t, words, uint64_t, seed, uint64_t, number)
{
    SIMGPU_TOUCH(out, words * sizeof(*out));
    EACH(uint64_t, i, words) {
        out[i] = random_at(seed, number * words + i);
    }
}

SIMGPU_KERNEL4(mix, uint64_t *, out, const uint64_t *, first, const uint64_t *, second, uint64_t, words)
{
    SIMGPU_TOUCH(out, words * sizeof(*out));
    SIMGPU_TOUCH(first, words * sizeof(*first));
    SIMGPU_TOUCH(second, words * sizeof(*second));
    EACH(uint64_t, i, words) {
        out[i] = first[i] * 0x9e3779b97f4a7c15U + second[words - 1 - i];
    }
}

SIMGPU_KERNEL3(fold, uint64_t *, out, const uint64_t *, in, uint64_t, words)
{
    SIMGPU_TOUCH(out, words * sizeof(*out));
    SIMGPU_TOUCH(in, words * sizeof(*in));
    EACH(uint64_t, i, words) {
        out[i] = (out[i] ^ in[i]) + (in[i] >> 29);
    }
}
