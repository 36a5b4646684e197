/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What shim/cuda/scan_kernel.ptx does, for the simulated GPU; first, once, the test's own function is called. The library
 * runs it in the pause in which a device's first block leaves.
 */
#include "simgpu_kernel.h"

/** The test's, exported. */
void meet(void);

SIMGPU_KERNEL6(ebb_scan, const uint32_t *, piece, uint64_t, words, uint64_t, before, uint64_t, span,
               uint8_t *, marks, uint8_t *, hit)
{
    const uint64_t base = before + 1;

    SIMGPU_TOUCH(piece, words * sizeof *piece);
    SIMGPU_TOUCH(hit, 1);
    if (SIMGPU_FIRST == 0)
        meet();
    for (uint64_t i = SIMGPU_FIRST; i + 1 < words; i += SIMGPU_STEP) {
        uint64_t word = (uint64_t)piece[i + 1] << 32 | piece[i];

        if (word - base < span) {
            marks[(word - base) >> 21] = 1;
            *hit = 1;
        }
    }
}
