/* SPDX-License-Identifier: Apache-2.0 */
#include "link.h"

double link_rate(size_t bytes, CUdeviceptr words, enum link_direction direction)
{
    double samples[MEASURE_REPETITIONS];
    void *pinned;

    MUST(cuMemAllocHost, (&pinned, bytes));
    for (unsigned i = 0; i <= MEASURE_REPETITIONS; i++) {
        uint64_t started_ns = measure_now_ns();

        if (direction == LINK_IN)
            MUST(cuMemcpyHtoDAsync, (words, pinned, bytes, NULL));
        else
            MUST(cuMemcpyDtoHAsync, (pinned, words, bytes, NULL));
        MUST(cuCtxSynchronize, ());
        /* The first is not counted: its sample is overwritten. */
        samples[i ? i - 1 : 0] = (double)bytes / (double)(measure_now_ns() - started_ns);
    }
    MUST(cuMemFreeHost, (pinned));
    return measure_samples(direction == LINK_IN ? "pinned_copy_in" : "pinned_copy_out", samples,
                           MEASURE_REPETITIONS, "GB/s");
}
