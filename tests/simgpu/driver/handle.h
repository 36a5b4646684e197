/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which pointers that programs hold as handles are alive, and what they are. A handle that is not in here, or
 * is of another kind, is invalid, whatever it points to.
 */
#ifndef SIMGPU_HANDLE_H
#define SIMGPU_HANDLE_H

#include <stdbool.h>
#include <stddef.h>

enum handle_kind {
    HANDLE_CONTEXT,
    HANDLE_GREEN,
    HANDLE_STREAM,
    HANDLE_EVENT,
    HANDLE_MODULE,
    HANDLE_FUNCTION,
    HANDLE_LIBRARY,
    HANDLE_KERNEL,
    HANDLE_PHYSICAL,
    HANDLE_POOL,
    HANDLE_ARRAY,
    HANDLE_GRAPH,
    HANDLE_NODE,
    HANDLE_EXEC,
    HANDLE_USER_OBJECT,
    HANDLE_CONDITION,
    HANDLE_TEXTURE,
    HANDLE_SURFACE,
    HANDLE_TEXTURE_REFERENCE,
    HANDLE_LINKER,
    HANDLE_KINDS
};

/* False when memory is out. */
bool handle_add(const void *handle, enum handle_kind kind);
void handle_remove(const void *handle);

/* NULL is no handle of any kind. */
bool handle_is(const void *handle, enum handle_kind kind);

size_t handle_count(enum handle_kind kind);

#endif
