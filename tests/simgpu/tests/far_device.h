/* SPDX-License-Identifier: Apache-2.0 */
/* Every copy and set that the simulated driver has, used on memory of another device than the current one. */
#ifndef SIMGPU_TESTS_FAR_DEVICE_H
#define SIMGPU_TESTS_FAR_DEVICE_H

#include <cuda.h>

enum {
    FAR_BYTES = 4096
};

/* far is the other device's, near any memory that may be used here; FAR_BYTES of each are copied or set. */
struct far_use {
    const char *name;
    CUresult (*make)(CUdeviceptr far, CUdeviceptr near, CUstream stream);
};

/* NULL as a name ends them. The second ones mean the default stream of the thread where they mean a default one. */
extern const struct far_use far_uses[], far_uses_ptds[];

#endif
