/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/node.h"

#include "runtime/registry.h"

#include <string.h>

static CUresult kernel_describe(const struct cudaKernelNodeParamsV2 *from, CUDA_KERNEL_NODE_PARAMS_v3 *to)
{
    CUfunction kernel;
    CUresult result = registry_kernel(from->func, &kernel);

    if (result != CUDA_SUCCESS)
        return result;
    *to = (CUDA_KERNEL_NODE_PARAMS_v3){.gridDimX = from->gridDim.x,
                                       .gridDimY = from->gridDim.y,
                                       .gridDimZ = from->gridDim.z,
                                       .blockDimX = from->blockDim.x,
                                       .blockDimY = from->blockDim.y,
                                       .blockDimZ = from->blockDim.z,
                                       .sharedMemBytes = from->sharedMemBytes,
                                       .kernelParams = from->kernelParams,
                                       .extra = from->extra};
    if (driver_has_libraries())
        to->kern = (CUkernel)kernel;
    else
        to->func = kernel;
    return driver.cuCtxGetCurrent_v4000(&to->ctx);
}

static CUresult copy_describe(const struct cudaMemcpyNodeParams *from, CUDA_MEMCPY_NODE_PARAMS *to)
{
    CUresult result = volume_describe(&from->copyParams, &to->copyParams);

    to->flags = from->flags;
    return result == CUDA_SUCCESS ? driver.cuCtxGetCurrent_v4000(&to->copyCtx) : result;
}

static CUresult set_describe(const struct cudaMemsetParamsV2 *from, CUDA_MEMSET_NODE_PARAMS_v2 *to)
{
    *to = (CUDA_MEMSET_NODE_PARAMS_v2){.dst = (CUdeviceptr)from->dst,
                                       .pitch = from->pitch,
                                       .value = from->value,
                                       .elementSize = from->elementSize,
                                       .width = from->width,
                                       .height = from->height};
    return driver.cuCtxGetCurrent_v4000(&to->ctx);
}

/* The rest are the driver's structures under other names. */
static CUresult rest_describe(const struct cudaGraphNodeParams *from, CUgraphNodeParams *to)
{
    _Static_assert(sizeof from->alloc == sizeof to->alloc && sizeof from->free == sizeof to->free &&
                       sizeof from->host == sizeof to->host && sizeof from->graph == sizeof to->graph &&
                       sizeof from->eventWait == sizeof to->eventWait &&
                       sizeof from->eventRecord == sizeof to->eventRecord,
                   "one structure under two names");
    switch (from->type) {
    case cudaGraphNodeTypeHost:
        memcpy(&to->host, &from->host, sizeof to->host);
        return CUDA_SUCCESS;
    case cudaGraphNodeTypeGraph:
        memcpy(&to->graph, &from->graph, sizeof to->graph);
        return CUDA_SUCCESS;
    case cudaGraphNodeTypeWaitEvent:
        to->eventWait.event = from->eventWait.event;
        return CUDA_SUCCESS;
    case cudaGraphNodeTypeEventRecord:
        to->eventRecord.event = from->eventRecord.event;
        return CUDA_SUCCESS;
    case cudaGraphNodeTypeMemAlloc:
        memcpy(&to->alloc, &from->alloc, sizeof to->alloc);
        return CUDA_SUCCESS;
    case cudaGraphNodeTypeMemFree:
        to->free.dptr = (CUdeviceptr)from->free.dptr;
        return CUDA_SUCCESS;
    case cudaGraphNodeTypeConditional:
        to->conditional.handle = from->conditional.handle;
        to->conditional.type = (CUgraphConditionalNodeType)from->conditional.type;
        to->conditional.size = from->conditional.size;
        return driver.cuCtxGetCurrent_v4000(&to->conditional.ctx);
    case cudaGraphNodeTypeEmpty:
        return CUDA_SUCCESS;
    default:
        return CUDA_ERROR_NOT_SUPPORTED;
    }
}

CUresult node_describe(const struct cudaGraphNodeParams *parameters, CUgraphNodeParams *node)
{
    memset(node, 0, sizeof *node);
    node->type = (CUgraphNodeType)parameters->type;
    memcpy(node->reserved0, parameters->reserved0, sizeof node->reserved0);
    node->reserved2 = parameters->reserved2;
    switch (parameters->type) {
    case cudaGraphNodeTypeKernel:
        return kernel_describe(&parameters->kernel, &node->kernel);
    case cudaGraphNodeTypeMemcpy:
        return copy_describe(&parameters->memcpy, &node->memcpy);
    case cudaGraphNodeTypeMemset:
        return set_describe(&parameters->memset, &node->memset);
    default:
        return rest_describe(parameters, node);
    }
}
