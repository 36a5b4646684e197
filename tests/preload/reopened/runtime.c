/* SPDX-License-Identifier: Apache-2.0 */
/* What a plugin is linked to, or stands in for the driver: it answers with its number. */
#include <cuda.h>
#include <cuda_runtime_api.h>

__attribute__((visibility("default"))) cudaError_t cudaMalloc(void **memory, size_t bytes)
{
    *memory = NULL;
    return (cudaError_t)(bytes ? RUNTIME_NUMBER : 0);
}

#ifdef RUNTIME_STANDS_IN
__attribute__((visibility("default"))) CUresult cuDeviceTotalMem(size_t *bytes, CUdevice device)
{
    *bytes = (size_t)device;
    return (CUresult)RUNTIME_NUMBER;
}
#endif
