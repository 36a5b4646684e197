/* SPDX-License-Identifier: Apache-2.0 */
/* A plugin that allocates, built under several names and with several runtimes. All have the same size. */
#include <cuda.h>
#include <cuda_runtime_api.h>

__attribute__((visibility("default"))) int plugin_allocate(CUdeviceptr *out, size_t bytes);
__attribute__((visibility("default"))) int plugin_ask(void);

/* Not by a jump: the call comes from here. */
int plugin_allocate(CUdeviceptr *out, size_t bytes)
{
    volatile CUresult result = cuMemAlloc(out, bytes);

    return (int)result;
}

int plugin_ask(void)
{
    void *memory;
    volatile cudaError_t result = cudaMalloc(&memory, 1);

    return (int)result;
}
