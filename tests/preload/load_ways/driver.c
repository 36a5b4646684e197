/* SPDX-License-Identifier: Apache-2.0 */
/* Through the driver: linked to it, or with WAY_DLSYM found by dlopen and dlsym. */
#include "way.h"

#include <cuda.h>
#include <dlfcn.h>

#ifdef WAY_DLSYM
static void *driver_entry(const char *name)
{
    static void *library;

    if (!library)
        library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    return library ? dlsym(library, name) : NULL;
}
/* The name is exact here: as an operand of # it is not replaced by the header's macros. */
#define FUNCTION(name) ((__typeof__(name) *)driver_entry(#name))
#else
#define FUNCTION(name) name
#endif
#define TRY(name, arguments)                                                                                 \
    do {                                                                                                     \
        if (FUNCTION(name) arguments != CUDA_SUCCESS)                                                        \
            return #name;                                                                                    \
    } while (0)

static const char *use_blocks(void)
{
    CUdeviceptr block[WAY_BLOCKS];

    for (unsigned i = 0; i < WAY_BLOCKS; i++) {
        TRY(cuMemAlloc_v2, (&block[i], WAY_BYTES));
        TRY(cuMemsetD8_v2, (block[i], (unsigned char)(i + 1), WAY_BYTES));
    }
    for (unsigned i = 0; i < WAY_BLOCKS; i++) {
        unsigned char first = 0, last = 0;

        TRY(cuMemcpyDtoH_v2, (&first, block[i], 1));
        TRY(cuMemcpyDtoH_v2, (&last, block[i] + WAY_BYTES - 1, 1));
        if (first != i + 1 || last != i + 1)
            return "a wrong byte";
    }
    for (unsigned i = 0; i < WAY_BLOCKS; i++)
        TRY(cuMemFree_v2, (block[i]));
    return NULL;
}

const char *way_driver(void)
{
    CUcontext context;
    CUdevice device;

    TRY(cuInit, (0));
    TRY(cuDeviceGet, (&device, 0));
    TRY(cuDevicePrimaryCtxRetain, (&context, device));
    TRY(cuCtxSetCurrent, (context));
    const char *complaint = use_blocks();

    TRY(cuCtxSetCurrent, (NULL));
    TRY(cuDevicePrimaryCtxRelease_v2, (device));
    return complaint;
}
