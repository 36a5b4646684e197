/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/registry.h"

cudaError_t cudaGetSymbolAddress(void **pointer, const void *symbol)
{
    CUresult result = runtime_enter();
    CUdeviceptr address;
    size_t bytes;

    if (result == CUDA_SUCCESS && !pointer)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        result = registry_variable(symbol, &address, &bytes);
    if (result == CUDA_SUCCESS)
        *pointer = (void *)address;
    return runtime_finish(result);
}

cudaError_t cudaGetSymbolSize(size_t *size, const void *symbol)
{
    CUresult result = runtime_enter();
    CUdeviceptr address;
    size_t bytes;

    if (result == CUDA_SUCCESS && !size)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        result = registry_variable(symbol, &address, &bytes);
    if (result == CUDA_SUCCESS)
        *size = bytes;
    return runtime_finish(result);
}
