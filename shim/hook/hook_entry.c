/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cuInit, and the functions that hand out entries.
 *
 * The driver is asked first, and the pointer that it returned decides: name, version and flags together choose an
 * ABI, and only the driver knows which.
 */
#include "base/options.h"
#include "hook/hooks.h"
#include "hook/lifecycle.h"
#include "hook/self_test.h"

static void replace(const char *symbol, void **function)
{
    if (!function || !*function || options_of_process()->disable)
        return;
    void *hook = hooks_replace(*function);

    if (hook == *function)
        self_test_passed(symbol, hook);
    *function = hook;
}

CUresult hook_cuInit(__typeof__(cuInit) *next, unsigned int Flags)
{
    CUresult result = next(Flags);

    if (result == CUDA_SUCCESS)
        lifecycle_cuda_started();
    return result;
}

CUresult hook_cuGetProcAddress(__typeof__(cuGetProcAddress) *next, const char *symbol, void **pfn,
                               int cudaVersion, cuuint64_t flags)
{
    CUresult result = next(symbol, pfn, cudaVersion, flags);

    if (result == CUDA_SUCCESS)
        replace(symbol, pfn);
    return result;
}

CUresult hook_cuGetProcAddress_v2(__typeof__(cuGetProcAddress_v2) *next, const char *symbol, void **pfn,
                                  int cudaVersion, cuuint64_t flags,
                                  CUdriverProcAddressQueryResult *symbolStatus)
{
    CUresult result = next(symbol, pfn, cudaVersion, flags, symbolStatus);

    if (result == CUDA_SUCCESS)
        replace(symbol, pfn);
    return result;
}

cudaError_t hook_cudaGetDriverEntryPoint(__typeof__(cudaGetDriverEntryPoint) *next, const char *symbol,
                                         void **funcPtr, unsigned long long flags,
                                         enum cudaDriverEntryPointQueryResult *driverStatus)
{
    cudaError_t result = next(symbol, funcPtr, flags, driverStatus);

    if (result == cudaSuccess)
        replace(symbol, funcPtr);
    return result;
}

cudaError_t hook_cudaGetDriverEntryPointByVersion(__typeof__(cudaGetDriverEntryPointByVersion) *next,
                                                  const char *symbol, void **funcPtr,
                                                  unsigned int cudaVersion, unsigned long long flags,
                                                  enum cudaDriverEntryPointQueryResult *driverStatus)
{
    cudaError_t result = next(symbol, funcPtr, cudaVersion, flags, driverStatus);

    if (result == cudaSuccess)
        replace(symbol, funcPtr);
    return result;
}
