/* SPDX-License-Identifier: Apache-2.0 */
/* What shim/cuda/scan_kernel.ptx does, for the simulated GPU; with MISSES, as if there were nothing to find. */
#include "simgpu_kernel.h"

#include <string.h>

SIMGPU_KERNEL6(ebb_scan, const uint32_t *, piece, uint64_t, words, uint64_t, base, uint64_t, span, uint8_t *,
               marks, uint8_t *, hit)
{
    SIMGPU_TOUCH(piece, words * sizeof *piece);
    SIMGPU_TOUCH(hit, 1);
#ifdef MISSES
    words = 0;
#endif
    for (uint64_t i = SIMGPU_FIRST; i + 1 < words; i += SIMGPU_STEP) {
        uint64_t word = (uint64_t)piece[i + 1] << 32 | piece[i];

        if (word - base < span) {
            marks[(word - base) >> 21] = 1;
            *hit = 1;
        }
    }
}
