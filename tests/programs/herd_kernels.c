/* SPDX-License-Identifier: Apache-2.0 */
/* Buffers of words, each made from its own and another's. */
#include "kernel.h"

SIMGPU_KERNEL3(fill, uint64_t *, buffer, uint64_t, words, uint64_t, seed)
{
    SIMGPU_TOUCH(buffer, words * sizeof(*buffer));
    EACH(uint64_t, i, words)
        buffer[i] = random_at(seed, i);
}

SIMGPU_KERNEL4(mix, uint64_t *, to, uint64_t, words, const uint64_t *, from, uint64_t, from_words)
{
    SIMGPU_TOUCH(to, words * sizeof(*to));
    SIMGPU_TOUCH(from, from_words * sizeof(*from));
    EACH(uint64_t, i, words)
        to[i] = to[i] * 0x9e3779b97f4a7c15U + from[i % from_words];
}
