/* SPDX-License-Identifier: Apache-2.0 */
/* The work in a plugin, through the runtime that it is linked to; that one alone knows of a refusal. */
#include "way.h"

#include <cuda_runtime_api.h>
#include <stdint.h>

__attribute__((visibility("default"))) const char *way_plugin(void);

const char *way_plugin(void)
{
    const char *complaint = way_runtime();
    void *memory;

    if (complaint)
        return complaint;
    if (cudaMalloc(&memory, SIZE_MAX / 2) == cudaSuccess)
        return "more memory than there is";
    return cudaGetLastError() == cudaErrorMemoryAllocation ? NULL : "a refusal of another runtime's";
}
