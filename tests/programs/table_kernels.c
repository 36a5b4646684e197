/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks that are reached through a table of pointers only. */
#include "kernel.h"
#include "pressure_kernels.h"

SIMGPU_KERNEL4(put, uint64_t *const *, blocks, uint64_t, count, uint64_t, words, uint64_t, seed)
{
    SIMGPU_TOUCH(blocks, count * sizeof(*blocks));
    for (uint64_t b = 0; b < count; b++) {
        uint64_t *block = blocks[b];

        SIMGPU_TOUCH(block, words * sizeof(*block));
        EACH(uint64_t, i, words)
            block[i] = random_at(seed, b * words + i);
    }
}

/* Makes each word from the one that is there, so that a lost write shows. */
SIMGPU_KERNEL4(change, uint64_t *const *, blocks, uint64_t, count, uint64_t, words, uint64_t, seed)
{
    SIMGPU_TOUCH(blocks, count * sizeof(*blocks));
    for (uint64_t b = 0; b < count; b++) {
        uint64_t *block = blocks[b];

        SIMGPU_TOUCH(block, words * sizeof(*block));
        EACH(uint64_t, i, words)
            block[i] = block[i] * 0x9e3779b97f4a7c15U + seed + b;
    }
}
