/* SPDX-License-Identifier: Apache-2.0 */
/* Which shared object an address lies in. */
#ifndef SHARED_OBJECT_H
#define SHARED_OBJECT_H

#include <dlfcn.h>
#include <stdbool.h>
#include <string.h>

/* True when the file's name starts so. */
static inline bool lies_in(const void *address, const char *file)
{
    Dl_info info;

    if (!address || !dladdr(address, &info))
        return false;
    const char *slash = strrchr(info.dli_fname, '/');

    return strncmp(slash ? slash + 1 : info.dli_fname, file, strlen(file)) == 0;
}

#endif
