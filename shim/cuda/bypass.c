/* SPDX-License-Identifier: Apache-2.0 */
/* bypass.c - see bypass.h. */
#include "cuda/bypass.h"

#include <link.h>
#include <stdatomic.h>
#include <string.h>

#include "base/compiler.h"
#include "ledger/busy.h"

static const struct client {
    const char *prefix; /* of the file's name */
    const char *why;
} clients[] = {
    {"libnvidia-encode.so", "libnvidia-encode.so reads memory by itself"},
    {"libnvoptix.so", "libnvoptix.so launches by itself"},
};

static _Atomic unsigned long long seen; /* libraries that were ever loaded, when it was last looked */

struct look {
    unsigned long long loaded;
    const char *why;
};

static int look_at(struct dl_phdr_info *info, IGNORED size_t bytes, void *arg)
{
    struct look *look = arg;
    const char *slash = strrchr(info->dlpi_name, '/'), *name = slash ? slash + 1 : info->dlpi_name;

    look->loaded = info->dlpi_adds;
    if (look->loaded == atomic_load_explicit(&seen, memory_order_relaxed))
        return 1;
    for (unsigned i = 0; i < sizeof(clients) / sizeof(*clients); i++)
        if (strncmp(name, clients[i].prefix, strlen(clients[i].prefix)) == 0)
            look->why = clients[i].why;
    return look->why != NULL;
}

bool bypass_look(void)
{
    static atomic_bool is_known;
    struct look look = {0};

    dl_iterate_phdr(look_at, &look);
    atomic_store_explicit(&seen, look.loaded, memory_order_relaxed);
    if (!look.why || atomic_exchange(&is_known, true))
        return false;
    core_account_only(look.why);
    return true;
}
