/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIMGPU_LAUNCH_H
#define SIMGPU_LAUNCH_H

#include "code/module.h"
#include "stream/work.h"

/* How a launch is described: by a call or by a graph node. */
struct launch {
    CUfunction function;
    const unsigned *grid, *block;
    unsigned shared_bytes;
    CUstream stream;
    void **params, **extra; /* at most one of them */
    bool is_cooperative;
};

/*
 * Makes work of it: resolves the function in the context and copies the parameters. Errors: INVALID_HANDLE,
 * INVALID_VALUE, OUT_OF_MEMORY, COOPERATIVE_LAUNCH_TOO_LARGE. May drop the lock.
 */
CUresult launch_read(const struct launch *launch, struct context *context, struct work *work);

#endif
