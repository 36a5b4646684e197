/* SPDX-License-Identifier: Apache-2.0 */
/* Another preload that stands in front of an allocation function, and says at exit how often it was called. */
#include <cuda.h>
#include <dlfcn.h>
#include <stdio.h>

static unsigned calls;

__attribute__((visibility("default"))) CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t bytes)
{
    CUresult (*next)(CUdeviceptr *, size_t) =
        (CUresult(*)(CUdeviceptr *, size_t))dlsym(RTLD_NEXT, "cuMemAlloc_v2");

    __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
    return next ? next(address, bytes) : CUDA_ERROR_NOT_FOUND;
}

__attribute__((destructor)) static void report(void)
{
    printf("other %u\n", calls);
}
