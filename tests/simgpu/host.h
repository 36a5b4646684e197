/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIMGPU_HOST_H
#define SIMGPU_HOST_H

#include "memory.h"

/* Bytes pinned now, in whole pages: of MEMORY_PINNED or MEMORY_REGISTERED. */
size_t host_bytes(enum memory_kind kind);

/* Frees pinned memory, or ends a registration. Nobody waits. */
void host_give(struct memory *memory);

#endif
