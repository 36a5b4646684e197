/* SPDX-License-Identifier: Apache-2.0 */
/* Another preload that stands in front of an allocation function, and says at exit how often it was called. With
 * OTHER_RUNTIME it is the runtime's. */
#ifdef OTHER_RUNTIME
#include <cuda_runtime_api.h>
#define FUNCTION  cudaMalloc
#define NAME      "cudaMalloc"
#define RESULT    cudaError_t
#define ADDRESS   void *
#define NOT_FOUND cudaErrorSharedObjectSymbolNotFound
#else
#include <cuda.h>
#define FUNCTION  cuMemAlloc_v2
#define NAME      "cuMemAlloc_v2"
#define RESULT    CUresult
#define ADDRESS   CUdeviceptr
#define NOT_FOUND CUDA_ERROR_NOT_FOUND
#endif
#include <dlfcn.h>
#include <stdio.h>

static unsigned calls;

__attribute__((visibility("default"))) RESULT FUNCTION(ADDRESS *address, size_t bytes)
{
    RESULT (*next)(ADDRESS *, size_t) = (RESULT(*)(ADDRESS *, size_t))dlsym(RTLD_NEXT, NAME);

    __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
    return next ? next(address, bytes) : NOT_FOUND;
}

__attribute__((destructor)) static void report(void)
{
    printf("other %u\n", calls);
}
