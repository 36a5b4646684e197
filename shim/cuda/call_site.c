/* SPDX-License-Identifier: Apache-2.0 */
/* call_site.c - see call_site.h. */
#include "cuda/call_site.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include "base/compiler.h"
#include "base/table.h"

static THREAD_LOCAL const void *entered;

/* One word a call site: its address times two, and the answer in bit 0. Lost entries are asked for again. */
enum {
    REMEMBERED = 1024
};
static _Atomic uint64_t remembered[REMEMBERED];

const void *call_site_enter(const void *call_site)
{
    const void *before = entered;

    if (!before)
        entered = call_site;
    return before;
}

void call_site_leave(const void *before)
{
    entered = before;
}

const void *call_site_here(void)
{
    return entered;
}

static bool is_nvidia_library(const char *path)
{
    static const char *const prefix[] = {"libcublas", "libcudnn", "libcufft",   "libcusparse", "libcusolver",
                                         "libnccl",   "libnvrtc", "libnvshmem", "libcurand"};
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;

    for (unsigned i = 0; i < sizeof(prefix) / sizeof(*prefix); i++)
        if (strncmp(name, prefix[i], strlen(prefix[i])) == 0)
            return true;
    return false;
}

bool call_site_is_nvidia(const void *call_site)
{
    uint64_t key = (uint64_t)(uintptr_t)call_site << 1;
    _Atomic uint64_t *place = &remembered[table_hash(key) & (REMEMBERED - 1)];
    uint64_t seen = atomic_load_explicit(place, memory_order_relaxed);
    Dl_info info;

    if (!call_site)
        return false;
    if ((seen & ~(uint64_t)1) == key)
        return seen & 1;
    bool is = dladdr(call_site, &info) && info.dli_fname && is_nvidia_library(info.dli_fname);

    atomic_store_explicit(place, key | is, memory_order_relaxed);
    return is;
}

void call_site_forget(void)
{
    for (unsigned i = 0; i < REMEMBERED; i++)
        atomic_store_explicit(&remembered[i], 0, memory_order_relaxed);
}
