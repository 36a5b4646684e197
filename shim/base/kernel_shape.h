/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_shape.h - where in its parameter buffer a kernel finds each parameter, as its image says it.
 *
 * Owns     nothing: a shape and its name live as long as the call that is shown it.
 */
#ifndef EBB_KERNEL_SHAPE_H
#define EBB_KERNEL_SHAPE_H

#include <stddef.h>
#include <stdint.h>

enum {
    KERNEL_PARAMETERS_MAX = 1024,
    KERNEL_BYTES_MAX = 32764 /* of all parameters of a kernel together */
};

struct kernel_parameter {
    uint16_t offset;
    uint16_t bytes;
};

struct kernel_shape {
    const char *name; /* not terminated */
    size_t name_bytes;
    const struct kernel_parameter *parameter;
    unsigned count;
};

typedef void (*kernel_visit_fn)(const struct kernel_shape *shape, void *arg);

#endif
