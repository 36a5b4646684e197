/* SPDX-License-Identifier: Apache-2.0 */
/* loader.c - see loader.h. */
#include "base/loader.h"

#include <dlfcn.h>
#include <stdint.h>
#include <string.h>

#include "base/compiler.h"

/* The one function that came later. */
#if defined(__x86_64__)
#define DLMOPEN_VERSION "GLIBC_2.3.4"
#else
#define DLMOPEN_VERSION LIBC_VERSION
#endif

static struct loader_next next;
static struct loader_libc libc;

const struct loader_next *loader_next(void)
{
    if (LIKELY(__atomic_load_n(&next.dlsym, __ATOMIC_ACQUIRE)))
        return &next;
    __atomic_store_n(&next.dlopen, dlvsym(RTLD_NEXT, "dlopen", LIBC_VERSION), __ATOMIC_RELAXED);
    __atomic_store_n(&next.dlmopen, dlvsym(RTLD_NEXT, "dlmopen", DLMOPEN_VERSION), __ATOMIC_RELAXED);
    __atomic_store_n(&next.dlclose, dlvsym(RTLD_NEXT, "dlclose", LIBC_VERSION), __ATOMIC_RELAXED);
    /* dlsym last, since it says that all is there. */
    __atomic_store_n(&next.dlsym, dlvsym(RTLD_NEXT, "dlsym", LIBC_VERSION), __ATOMIC_RELEASE);
    return &next;
}

const struct loader_libc *loader_libc(void)
{
    void *handle;

    if (UNLIKELY(!__atomic_load_n(&libc.dlsym, __ATOMIC_ACQUIRE))) {
        handle = loader_next()->dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
        __atomic_store_n(&libc.handle, handle, __ATOMIC_RELAXED);
        __atomic_store_n(&libc.dlsym, dlvsym(handle, "dlsym", LIBC_VERSION), __ATOMIC_RELEASE);
    }
    return &libc;
}

void *loader_symbol(void *handle, const char *name)
{
    return loader_libc()->dlsym(handle, name);
}

bool loader_is_driver(const void *address)
{
    static const char *const prefix[] = {"libcuda.so", "libnvidia-"};
    const char *slash, *name;
    Dl_info info;

    if (!address || !dladdr(address, &info) || !info.dli_fname)
        return false;
    slash = strrchr(info.dli_fname, '/');
    name = slash ? slash + 1 : info.dli_fname;
    for (unsigned i = 0; i < sizeof(prefix) / sizeof(*prefix); i++)
        if (strncmp(name, prefix[i], strlen(prefix[i])) == 0)
            return true;
    return false;
}

bool loader_is_ours(const void *function)
{
    /* Both are of the linker's making. */
    extern const char __ehdr_start[] __attribute__((visibility("hidden")));
    extern const char _end[] __attribute__((visibility("hidden")));

    return (uintptr_t)function - (uintptr_t)__ehdr_start < (uintptr_t)_end - (uintptr_t)__ehdr_start;
}
