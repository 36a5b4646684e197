/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image_variable.h - a variable that kernels keep from one launch to the next, as their image says it: global memory
 * and constants; nothing that ends with the launch.
 *
 * Owns     nothing: a variable and its name live as long as the call that is shown it.
 */
#ifndef EBB_IMAGE_VARIABLE_H
#define EBB_IMAGE_VARIABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct image_variable {
    const char *name; /* not terminated */
    size_t name_bytes;
    bool is_required; /* where this code is loaded, the driver knows the variable */
};

typedef void (*image_variable_fn)(const struct image_variable *variable, void *arg);

/** What else kernels could find a pointer in. Only ever set. */
struct image_facts {
    bool uses_heap;   /* they allocate on the device */
    bool has_managed; /* variables that the CPU writes, too */
};

/** Is it what kernels call to allocate on the device? */
static inline bool image_allocates(const char *function, size_t bytes)
{
    static const char *const names[] = {"malloc", "__cuda_syscall_aligned_malloc"};

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (bytes == strlen(names[i]) && memcmp(function, names[i], bytes) == 0)
            return true;
    return false;
}

#endif
