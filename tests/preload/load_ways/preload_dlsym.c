/* SPDX-License-Identifier: Apache-2.0 */
/* Another preload that answers dlsym for a function of the driver with one of its own, as limiters of GPU memory do. */
#include <cuda.h>
#include <dlfcn.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

static void *real_dlsym(void *handle, const char *name)
{
    static void *(*next)(void *, const char *);

    if (!next)
        next = (void *(*)(void *, const char *))dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.34");
    if (!next)
        next = (void *(*)(void *, const char *))dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.17");
    return next(handle, name);
}

EXPORT CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t bytes)
{
    void *driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
    CUresult (*next)(CUdeviceptr *, size_t) =
        (CUresult(*)(CUdeviceptr *, size_t))real_dlsym(driver, "cuMemAlloc_v2");

    return next ? next(address, bytes) : CUDA_ERROR_NOT_FOUND;
}

EXPORT void *dlsym(void *restrict handle, const char *restrict name)
{
    return strcmp(name, "cuMemAlloc_v2") == 0 ? (void *)cuMemAlloc_v2 : real_dlsym(handle, name);
}
