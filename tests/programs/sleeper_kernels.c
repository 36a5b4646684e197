/* SPDX-License-Identifier: Apache-2.0 */
/* Weights of models that sleep: each is mixed with others. */
#include "kernel.h"
#include "random.h"

SIMGPU_KERNEL4(fill, uint64_t *, out, uint64_t, words, uint64_t, seed, uint64_t, number)
{
    SIMGPU_TOUCH(out, words * sizeof(*out));
    EACH(uint64_t, i, words) {
        out[i] = random_at(seed, (number << 32) + i);
    }
}

SIMGPU_KERNEL5(mix, uint64_t *, out, const uint64_t *, first, const uint64_t *, second, uint64_t, words,
               uint64_t, second_words)
{
    SIMGPU_TOUCH(out, words * sizeof(*out));
    SIMGPU_TOUCH(first, words * sizeof(*first));
    SIMGPU_TOUCH(second, second_words * sizeof(*second));
    EACH(uint64_t, i, words) {
        out[i] = first[i] * 0x9e3779b97f4a7c15U + second[i % second_words];
    }
}

SIMGPU_KERNEL3(fold, uint64_t *, out, const uint64_t *, in, uint64_t, words)
{
    SIMGPU_TOUCH(out, words * sizeof(*out));
    SIMGPU_TOUCH(in, words * sizeof(*in));
    EACH(uint64_t, i, words) {
        out[i] = (out[i] ^ in[i]) + (in[i] >> 31);
    }
}
