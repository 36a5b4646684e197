/* SPDX-License-Identifier: Apache-2.0 */
/* A preload that stands in front of dlsym itself, and finds the next one the way most do. */
#include <dlfcn.h>
#include <stddef.h>

__attribute__((visibility("default"))) void *dlsym(void *restrict handle, const char *restrict name)
{
    static void *(*next)(void *, const char *);

    if (!next)
        next = (void *(*)(void *, const char *))dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.34");
    if (!next)
        next = (void *(*)(void *, const char *))dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.17");
    return next(handle, name);
}
