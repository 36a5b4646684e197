/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIMGPU_HOST_H
#define SIMGPU_HOST_H

#include "memory.h"

/* Frees pinned memory, or ends a registration. Nobody waits. */
void host_give(struct memory *memory);

#endif
