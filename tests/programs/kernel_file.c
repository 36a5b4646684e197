/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel_file.h"

#include "failure.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

/* A real driver may take a file that it does not know for assembly, and fail only when a kernel is asked for; the simulated
 * one runs what of PTX is in hardware's. So each gets its own first. */
static bool is_simulated(void)
{
    void *driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);

    return driver && dlsym(driver, "simgpu_uses");
}

int kernel_file_path(const char *given, int n, char *path, size_t size)
{
    static const char *const endings[] = {".fatbin", ".simgpu.so"};
    char self[3072];
    ssize_t length;
    int written;

    if (n >= (given ? 1 : 2))
        return -1;
    if (given) {
        written = snprintf(path, size, "%s", given);
    } else {
        length = readlink("/proc/self/exe", self, sizeof(self) - 1);
        if (length < 0 || length == sizeof(self) - 1)
            failure_exit(FAILURE_OTHER, "/proc/self/exe", "cannot be read");
        self[length] = '\0';
        written = snprintf(path, size, "%s%s", self, endings[is_simulated() ? 1 - n : n]);
    }
    if (written < 0 || (size_t)written >= size)
        failure_exit(FAILURE_OTHER, "kernels", "path too long");
    return 0;
}
