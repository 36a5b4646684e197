/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays and mipmapped arrays: physical memory without an address. Nothing can be copied into them here. */
#ifndef SIMGPU_ARRAY_H
#define SIMGPU_ARRAY_H

#include "device/context.h"

/* Frees the arrays of a context. */
void array_clear(struct context *context);

/* Arrays and mipmapped arrays that are alive. */
size_t array_count(void);

#endif
