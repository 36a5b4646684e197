/* SPDX-License-Identifier: Apache-2.0 */
#include "cuda/call_site.h"

#include "base/table.h"

#include <dlfcn.h>
#include <stdint.h>
#include <string.h>

static __thread const void *entered __attribute__((tls_model("initial-exec")));

/* One word a site: its address times two, and the answer in bit 0. Lost entries are asked for again. */
enum {
    REMEMBERED = 1024
};
static uint64_t remembered[REMEMBERED];

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

const void *call_site_of(const void *call_site)
{
    return entered ? entered : call_site;
}

static bool is_nvidia_library(const char *path)
{
    static const char *const prefix[] = {"libcublas", "libcudnn", "libcufft",   "libcusparse", "libcusolver",
                                         "libnccl",   "libnvrtc", "libnvshmem", "libcurand"};
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;

    for (unsigned i = 0; i < sizeof prefix / sizeof *prefix; i++)
        if (strncmp(name, prefix[i], strlen(prefix[i])) == 0)
            return true;
    return false;
}

bool call_site_is_nvidia(const void *site)
{
    uint64_t key = (uint64_t)(uintptr_t)site << 1;
    uint64_t *place = &remembered[table_hash(key) & (REMEMBERED - 1)];
    uint64_t seen = __atomic_load_n(place, __ATOMIC_RELAXED);
    Dl_info info;

    if (!site)
        return false;
    if ((seen & ~(uint64_t)1) == key)
        return seen & 1;
    bool is = dladdr(site, &info) && info.dli_fname && is_nvidia_library(info.dli_fname);

    __atomic_store_n(place, key | is, __ATOMIC_RELAXED);
    return is;
}
