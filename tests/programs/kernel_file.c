/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel_file.h"

#include "failure.h"

#include <stdio.h>
#include <unistd.h>

int kernel_file_path(const char *given, int n, char *path, size_t size)
{
    /* Hardware's file first: the simulated device refuses it by its first word, while a real driver may take one that
     * it does not know for assembly, and fail only when a kernel is asked for. */
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
        written = snprintf(path, size, "%s%s", self, endings[n]);
    }
    if (written < 0 || (size_t)written >= size)
        failure_exit(FAILURE_OTHER, "kernels", "path too long");
    return 0;
}
