/* SPDX-License-Identifier: Apache-2.0 */
/* The runtime's structures that describe work, as the driver's. */
#ifndef CUDART_NODE_H
#define CUDART_NODE_H

#include "runtime/runtime.h"

/*
 * A copy between volumes. Where an array takes part, extents and the array's positions count its elements. Errors as a
 * CUresult: cudaErrorInvalidMemcpyDirection; CUDA_ERROR_INVALID_VALUE for a side that is both or neither of array and pointer.
 */
CUresult volume_describe(const struct cudaMemcpy3DParms *parameters, CUDA_MEMCPY3D *copy);

/* A node of any type. A context must be current. What volume_describe and registry_kernel say. */
CUresult node_describe(const struct cudaGraphNodeParams *parameters, CUgraphNodeParams *node);

/* How a kernel is launched. */
CUlaunchConfig launch_describe(const cudaLaunchConfig_t *config);

#endif
