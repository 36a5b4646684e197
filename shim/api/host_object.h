/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host_object.h - what a program says about its host memory: the host's half of the public API, as object.h is the
 * core's. What is not here goes to host_block.h as it is.
 *
 * Threads  any; none of ours is locked.
 * Errors   0 or negative errno, as ebbtide.h says it of the function of the same name; a failed call has changed
 *          nothing.
 */
#ifndef EBB_HOST_OPERAND_H
#define EBB_HOST_OPERAND_H

#include <stddef.h>

int host_object_register(void *ptr, size_t bytes, const char *name);
/** `flags` of ebb_pin. */
int host_object_pin(void *ptr, unsigned flags);
int host_object_unpin(void *ptr);
int host_object_prefetch(void *ptr);

#endif
