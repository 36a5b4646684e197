/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/driver.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>

struct driver driver;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int loaded = -ENOENT;

/* Stands for every entry that the driver lacks. The caller cleans up the arguments in the ABIs we build for,
 * so it may be called with any. */
static CUresult driver_missing(void)
{
    return CUDA_ERROR_NOT_SUPPORTED;
}

static void *driver_find(const char *name, int version, cuuint64_t flags)
{
    void *function = NULL;
    CUdriverProcAddressQueryResult status;
    CUresult result = driver.cuGetProcAddress_v12000(name, &function, version, flags, &status);

    /* A driver older than 12.0 knows only the first form of the question. */
    if (result == CUDA_ERROR_NOT_SUPPORTED)
        result = driver.cuGetProcAddress_v11030(name, &function, version, flags);
    if (result != CUDA_SUCCESS || !function)
        return (void *)driver_missing;
    return function;
}

static void driver_open(void)
{
    void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);

    if (!library)
        return;
    driver.cuGetProcAddress_v12000 =
        (PFN_cuGetProcAddress_v12000)(uintptr_t)dlsym(library, "cuGetProcAddress_v2");
    driver.cuGetProcAddress_v11030 =
        (PFN_cuGetProcAddress_v11030)(uintptr_t)dlsym(library, "cuGetProcAddress");
    if (!driver.cuGetProcAddress_v12000 || !driver.cuGetProcAddress_v11030)
        return;
#define ENTRY(name, version)                                                                                 \
    driver.name##_v##version = (PFN_##name##_v##version)(uintptr_t)driver_find(#name, version, 0);
#define STREAM_ENTRY(name, legacy, per_thread, suffix)                                                       \
    driver.legacy_##name = (PFN_##name##_v##legacy)(uintptr_t)driver_find(#name, legacy, 0);                 \
    driver.per_thread_##name = (PFN_##name##_v##per_thread##suffix)(uintptr_t)driver_find(                   \
        #name, per_thread, CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM);
#include "runtime/driver.def"
#undef ENTRY
#undef STREAM_ENTRY
    loaded = 0;
}

bool driver_has_libraries(void)
{
    return (void *)driver.cuLibraryLoadFromFile_v12000 != (void *)driver_missing;
}

int driver_load(void)
{
    pthread_once(&once, driver_open);
    return loaded;
}
