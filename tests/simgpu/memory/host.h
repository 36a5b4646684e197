/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIMGPU_HOST_H
#define SIMGPU_HOST_H

#include "memory/memory.h"

/* Bytes pinned now, in whole pages: of MEMORY_PINNED or MEMORY_REGISTERED. */
size_t host_bytes(enum memory_kind kind);

/* How long it takes to pin so much. */
uint64_t host_pin_ns(size_t bytes);

/* Frees pinned memory, or ends a registration. Nobody waits. */
void host_give(struct memory *memory);

#endif
