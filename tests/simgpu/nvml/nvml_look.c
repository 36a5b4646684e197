/* SPDX-License-Identifier: Apache-2.0 */
#include "nvml/nvml_look.h"

#include "machine/options.h"

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* Without a file to share nobody has come yet. */
static nvmlReturn_t look_at_share(int index, struct look *look)
{
    struct share share;
    const char *reason = share_open(&share, options.shared, false);

    if (reason && !*reason)
        return NVML_SUCCESS;
    if (reason) {
        fprintf(stderr, "simgpu: SIMGPU_SHARED=%s: %s\n", options.shared, reason);
        return NVML_ERROR_UNKNOWN;
    }
    look->used = share_used(&share, index);
    look->count = share_users(&share, index, look->at_ns, look->users, LEDGER_ACCOUNTS);
    share_close(&share);
    return NVML_SUCCESS;
}

static void look_at_driver(int index, struct look *look)
{
    void *driver = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_NOLOAD);
    bool (*uses)(int, uint64_t, size_t *, uint64_t *) =
        driver ? (bool (*)(int, uint64_t, size_t *, uint64_t *))(uintptr_t)dlsym(driver, "simgpu_uses")
               : NULL;
    struct share_user user = {.pid = (unsigned)getpid()};

    if (uses && uses(index, look->at_ns, &user.bytes, user.busy_ns)) {
        look->users[look->count++] = user;
        look->used = user.bytes;
    }
    if (driver)
        dlclose(driver);
}

nvmlReturn_t nvml_look(nvmlDevice_t device, struct look *look)
{
    nvmlReturn_t result;
    int index = nvml_index(device, &result);
    struct timespec now;

    if (index < 0)
        return result;
    clock_gettime(CLOCK_MONOTONIC, &now);
    look->at_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    look->used = look->count = 0;
    if (options.shared)
        return look_at_share(index, look);
    look_at_driver(index, look);
    return NVML_SUCCESS;
}
