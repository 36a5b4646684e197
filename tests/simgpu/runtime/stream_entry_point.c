/* SPDX-License-Identifier: Apache-2.0 */
/* The runtime's way to the driver's functions. Built once per flavour of the default stream. */
#include "runtime/runtime.h"

#ifdef CUDA_API_PER_THREAD_DEFAULT_STREAM
#define DEFAULT_FLAGS CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM
#else
#define DEFAULT_FLAGS CU_GET_PROC_ADDRESS_LEGACY_STREAM
#endif

cudaError_t cudaGetDriverEntryPointByVersion(const char *symbol, void **function, unsigned int version,
                                             unsigned long long flags,
                                             enum cudaDriverEntryPointQueryResult *status)
{
    CUresult result = runtime_load();
    CUdriverProcAddressQueryResult found = CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
    void *address = NULL;

    if (result == CUDA_SUCCESS && (!symbol || !function))
        result = CUDA_ERROR_INVALID_VALUE;
    if (result != CUDA_SUCCESS)
        return runtime_finish(result);
    if (flags == cudaEnableDefault)
        flags = DEFAULT_FLAGS;
    result = driver.cuGetProcAddress_v12000(symbol, &address, (int)version, flags, &found);
    /* That a function is not there is an answer, not an error. */
    if (result == CUDA_ERROR_NOT_FOUND)
        result = CUDA_SUCCESS;
    if (result == CUDA_SUCCESS) {
        *function = address;
        if (status)
            *status = (enum cudaDriverEntryPointQueryResult)found;
    }
    return runtime_finish(result);
}

cudaError_t cudaGetDriverEntryPoint(const char *symbol, void **function, unsigned long long flags,
                                    enum cudaDriverEntryPointQueryResult *status)
{
    return cudaGetDriverEntryPointByVersion(symbol, function, RUNTIME_VERSION, flags, status);
}
