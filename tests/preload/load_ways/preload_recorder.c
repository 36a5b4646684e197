/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands in front of dlsym and of what it finds for cuGetProcAddress, and writes down what is handed out: a line of
 * the name that was asked for, the object that the function lies in, and its exact symbol, to the file HANDED.
 */
#define __CUDA_API_VERSION_INTERNAL /* exact names */
#include <cuda.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

static __typeof__(cuGetProcAddress) *get_first;
static __typeof__(cuGetProcAddress_v2) *get_second;

static void write_down(const char *name, const void *function)
{
    const char *path = getenv("HANDED");
    FILE *list = path && function ? fopen(path, "a") : NULL;
    Dl_info info = {0};

    if (!list)
        return;
    dladdr(function, &info);
    const char *slash = info.dli_fname ? strrchr(info.dli_fname, '/') : NULL;

    fprintf(list, "%s %s %s\n", name, slash ? slash + 1 : "?", info.dli_sname ? info.dli_sname : "?");
    fclose(list);
}

static CUresult first_abi(const char *symbol, void **function, int version, cuuint64_t flags)
{
    CUresult result = get_first(symbol, function, version, flags);

    if (result == CUDA_SUCCESS && function)
        write_down(symbol, *function);
    return result;
}

static CUresult second_abi(const char *symbol, void **function, int version, cuuint64_t flags,
                           CUdriverProcAddressQueryResult *status)
{
    CUresult result = get_second(symbol, function, version, flags, status);

    if (result == CUDA_SUCCESS && function && *function) {
        write_down(symbol, *function);
        if (strcmp(symbol, "cuGetProcAddress") == 0)
            *function = version < 12000 ? (void *)first_abi : (void *)second_abi;
    }
    return result;
}

EXPORT void *dlsym(void *restrict handle, const char *restrict name)
{
    static void *(*next)(void *, const char *);

    /* By its version it is libc's; that one finds the next in line, which is the library's. */
    if (!next) {
        next = (void *(*)(void *, const char *))dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.34");
        if (!next)
            next = (void *(*)(void *, const char *))dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.17");
        next = (void *(*)(void *, const char *))next(RTLD_NEXT, "dlsym");
    }
    void *function = next(handle, name);

    if (!function || strncmp(name, "cu", 2) != 0)
        return function;
    write_down(name, function);
    if (strcmp(name, "cuGetProcAddress") == 0) {
        get_first = (__typeof__(cuGetProcAddress) *)function;
        return (void *)first_abi;
    }
    if (strcmp(name, "cuGetProcAddress_v2") == 0) {
        get_second = (__typeof__(cuGetProcAddress_v2) *)function;
        return (void *)second_abi;
    }
    return function;
}
