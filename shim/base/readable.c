/* SPDX-License-Identifier: Apache-2.0 */
/* readable.c - see readable.h. */
#include "base/readable.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* Linux 5.14 */
#endif

enum {
    PAGE_BYTES = 4096, /* the smallest there is */
    FEW_BYTES = 2 * PAGE_BYTES,
    SET_BYTES = 8 /* of signals, as the kernel has it */
};

/* The kernel copies the set before it finds that it is to do nothing that it knows with it. A copy by the process itself, so
 * any kind of mapping can be asked about, a device's too. */
static bool is_readable(uintptr_t page)
{
    return syscall(SYS_rt_sigprocmask, -1L, page, NULL, (long)SET_BYTES) == 0 || errno != EFAULT;
}

/* One call for all of them. False: not all can be read, or this kernel, or this mapping, cannot be asked so. */
static bool are_readable(uintptr_t page, uintptr_t end)
{
    return end > page && madvise((void *)page, end - page, MADV_POPULATE_READ) == 0;
}

size_t readable_bytes(const void *memory, size_t bytes)
{
    uintptr_t start = (uintptr_t)memory, at = start / PAGE_BYTES * PAGE_BYTES;
    int error = errno;
    size_t there = 0;

    if (bytes > FEW_BYTES && are_readable(at, start + bytes))
        there = bytes;
    while (there < bytes && is_readable(at)) {
        at += PAGE_BYTES;
        there = at - start;
        if (!at) /* the end of all addresses */
            break;
    }
    errno = error;
    return there < bytes ? there : bytes;
}
