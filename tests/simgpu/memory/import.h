/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of another process, which cuIpcOpenMemHandle opens here. A handle leads to the file that the memory lies in by
 * way of /proc, so the process that allocated it has to live when it is opened. The bytes stay charged to that process,
 * whose cuMemFree ends them for both. A small allocation comes with its whole granule, as on hardware.
 */
#ifndef SIMGPU_IMPORT_H
#define SIMGPU_IMPORT_H

#include "device/context.h"

/* Closes what was opened in a context. */
void import_clear(struct context *context);

#endif
