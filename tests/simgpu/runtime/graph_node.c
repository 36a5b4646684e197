/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes: each entry for one type of them fills the structure for any. */
#include "runtime/node.h"

#include <string.h>

static CUresult node_add(cudaGraphNode_t *node, cudaGraph_t graph, const cudaGraphNode_t *after,
                         const cudaGraphEdgeData *edges, size_t count, struct cudaGraphNodeParams *parameters)
{
    CUresult result = runtime_enter();
    CUgraphNodeParams described;

    if (result == CUDA_SUCCESS && !parameters)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        result = node_describe(parameters, &described);
    if (result == CUDA_SUCCESS)
        result = driver.cuGraphAddNode_v12030(node, graph, after, (const CUgraphEdgeData *)edges, count,
                                              &described);
    /* What the driver tells by the structure. */
    if (result == CUDA_SUCCESS && parameters->type == cudaGraphNodeTypeMemAlloc)
        parameters->alloc.dptr = (void *)described.alloc.dptr;
    if (result == CUDA_SUCCESS && parameters->type == cudaGraphNodeTypeConditional)
        parameters->conditional.phGraph_out = described.conditional.phGraph_out;
    return result;
}

static CUresult node_set(cudaGraphNode_t node, const struct cudaGraphNodeParams *parameters)
{
    CUresult result = runtime_enter();
    CUgraphNodeParams described;

    if (result == CUDA_SUCCESS && !parameters)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        result = node_describe(parameters, &described);
    return result == CUDA_SUCCESS ? driver.cuGraphNodeSetParams_v12020(node, &described) : result;
}

static CUresult exec_set(cudaGraphExec_t exec, cudaGraphNode_t node,
                         const struct cudaGraphNodeParams *parameters)
{
    CUresult result = runtime_enter();
    CUgraphNodeParams described;

    if (result == CUDA_SUCCESS && !parameters)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        result = node_describe(parameters, &described);
    return result == CUDA_SUCCESS ? driver.cuGraphExecNodeSetParams_v12020(exec, node, &described) : result;
}

cudaError_t cudaGraphAddNode(cudaGraphNode_t *node, cudaGraph_t graph, const cudaGraphNode_t *after,
                             const cudaGraphEdgeData *edges, size_t count,
                             struct cudaGraphNodeParams *parameters)
{
    return runtime_finish(node_add(node, graph, after, edges, count, parameters));
}

cudaError_t cudaGraphNodeSetParams(cudaGraphNode_t node, struct cudaGraphNodeParams *parameters)
{
    return runtime_finish(node_set(node, parameters));
}

cudaError_t cudaGraphExecNodeSetParams(cudaGraphExec_t exec, cudaGraphNode_t node,
                                       struct cudaGraphNodeParams *parameters)
{
    return runtime_finish(exec_set(exec, node, parameters));
}

cudaError_t cudaGraphConditionalHandleCreate(cudaGraphConditionalHandle *handle, cudaGraph_t graph,
                                             unsigned int value, unsigned int flags)
{
    CUresult result = runtime_enter();
    CUcontext context = NULL;
    CUgraphConditionalHandle made;

    if (result == CUDA_SUCCESS && !handle)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        result = driver.cuCtxGetCurrent_v4000(&context);
    if (result == CUDA_SUCCESS)
        result = driver.cuGraphConditionalHandleCreate_v12030(&made, graph, context, value, flags);
    if (result == CUDA_SUCCESS)
        *handle = made;
    return runtime_finish(result);
}

static struct cudaGraphNodeParams of_kernel(const struct cudaKernelNodeParams *kernel)
{
    struct cudaGraphNodeParams any = {.type = cudaGraphNodeTypeKernel};

    any.kernel.func = kernel->func;
    any.kernel.gridDim = kernel->gridDim;
    any.kernel.blockDim = kernel->blockDim;
    any.kernel.sharedMemBytes = kernel->sharedMemBytes;
    any.kernel.kernelParams = kernel->kernelParams;
    any.kernel.extra = kernel->extra;
    return any;
}

static struct cudaGraphNodeParams of_copy(const struct cudaMemcpy3DParms *copy)
{
    struct cudaGraphNodeParams any = {.type = cudaGraphNodeTypeMemcpy};

    any.memcpy.copyParams = *copy;
    return any;
}

static struct cudaGraphNodeParams of_row(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind)
{
    const struct cudaMemcpy3DParms row = {.srcPtr = {(void *)from, bytes, bytes, 1},
                                          .dstPtr = {to, bytes, bytes, 1},
                                          .extent = {bytes, 1, 1},
                                          .kind = kind};

    return of_copy(&row);
}

static struct cudaGraphNodeParams of_set(const struct cudaMemsetParams *set)
{
    struct cudaGraphNodeParams any = {.type = cudaGraphNodeTypeMemset};

    any.memset.dst = set->dst;
    any.memset.pitch = set->pitch;
    any.memset.value = set->value;
    any.memset.elementSize = set->elementSize;
    any.memset.width = set->width;
    any.memset.height = set->height;
    return any;
}

static struct cudaGraphNodeParams of_host(const struct cudaHostNodeParams *host)
{
    struct cudaGraphNodeParams any = {.type = cudaGraphNodeTypeHost};

    any.host.fn = host->fn;
    any.host.userData = host->userData;
    return any;
}

static struct cudaGraphNodeParams of_child(cudaGraph_t child)
{
    struct cudaGraphNodeParams any = {.type = cudaGraphNodeTypeGraph};

    any.graph.graph = child;
    return any;
}

static struct cudaGraphNodeParams of_event(enum cudaGraphNodeType type, cudaEvent_t event)
{
    struct cudaGraphNodeParams any = {.type = type};

    if (type == cudaGraphNodeTypeEventRecord)
        any.eventRecord.event = event;
    else
        any.eventWait.event = event;
    return any;
}

/* The three ways to say what a node does, for one type whose parameters come by a pointer. */
#define NODE(name, type, of)                                                                                 \
    cudaError_t cudaGraphAdd##name##Node(cudaGraphNode_t *node, cudaGraph_t graph,                           \
                                         const cudaGraphNode_t *after, size_t count,                         \
                                         const struct type *parameters)                                      \
    {                                                                                                        \
        return runtime_finish(parameters ? node_add(node, graph, after, NULL, count,                         \
                                                    &(struct cudaGraphNodeParams[]){of(parameters)}[0])      \
                                         : CUDA_ERROR_INVALID_VALUE);                                        \
    }                                                                                                        \
    cudaError_t cudaGraph##name##NodeSetParams(cudaGraphNode_t node, const struct type *parameters)          \
    {                                                                                                        \
        return runtime_finish(parameters                                                                     \
                                  ? node_set(node, &(struct cudaGraphNodeParams[]){of(parameters)}[0])       \
                                  : CUDA_ERROR_INVALID_VALUE);                                               \
    }                                                                                                        \
    cudaError_t cudaGraphExec##name##NodeSetParams(cudaGraphExec_t exec, cudaGraphNode_t node,               \
                                                   const struct type *parameters)                            \
    {                                                                                                        \
        return runtime_finish(parameters                                                                     \
                                  ? exec_set(exec, node, &(struct cudaGraphNodeParams[]){of(parameters)}[0]) \
                                  : CUDA_ERROR_INVALID_VALUE);                                               \
    }

NODE(Kernel, cudaKernelNodeParams, of_kernel)
NODE(Memcpy, cudaMemcpy3DParms, of_copy)
NODE(Memset, cudaMemsetParams, of_set)
NODE(Host, cudaHostNodeParams, of_host)

cudaError_t cudaGraphAddMemcpyNode1D(cudaGraphNode_t *node, cudaGraph_t graph, const cudaGraphNode_t *after,
                                     size_t count, void *to, const void *from, size_t bytes,
                                     enum cudaMemcpyKind kind)
{
    struct cudaGraphNodeParams any = of_row(to, from, bytes, kind);

    return runtime_finish(node_add(node, graph, after, NULL, count, &any));
}

cudaError_t cudaGraphMemcpyNodeSetParams1D(cudaGraphNode_t node, void *to, const void *from, size_t bytes,
                                           enum cudaMemcpyKind kind)
{
    const struct cudaGraphNodeParams any = of_row(to, from, bytes, kind);

    return runtime_finish(node_set(node, &any));
}

cudaError_t cudaGraphExecMemcpyNodeSetParams1D(cudaGraphExec_t exec, cudaGraphNode_t node, void *to,
                                               const void *from, size_t bytes, enum cudaMemcpyKind kind)
{
    const struct cudaGraphNodeParams any = of_row(to, from, bytes, kind);

    return runtime_finish(exec_set(exec, node, &any));
}

cudaError_t cudaGraphAddEmptyNode(cudaGraphNode_t *node, cudaGraph_t graph, const cudaGraphNode_t *after,
                                  size_t count)
{
    struct cudaGraphNodeParams any = {.type = cudaGraphNodeTypeEmpty};

    return runtime_finish(node_add(node, graph, after, NULL, count, &any));
}

cudaError_t cudaGraphAddChildGraphNode(cudaGraphNode_t *node, cudaGraph_t graph, const cudaGraphNode_t *after,
                                       size_t count, cudaGraph_t child)
{
    struct cudaGraphNodeParams any = of_child(child);

    return runtime_finish(node_add(node, graph, after, NULL, count, &any));
}

cudaError_t cudaGraphExecChildGraphNodeSetParams(cudaGraphExec_t exec, cudaGraphNode_t node,
                                                 cudaGraph_t child)
{
    const struct cudaGraphNodeParams any = of_child(child);

    return runtime_finish(exec_set(exec, node, &any));
}

cudaError_t cudaGraphAddEventRecordNode(cudaGraphNode_t *node, cudaGraph_t graph,
                                        const cudaGraphNode_t *after, size_t count, cudaEvent_t event)
{
    struct cudaGraphNodeParams any = of_event(cudaGraphNodeTypeEventRecord, event);

    return runtime_finish(node_add(node, graph, after, NULL, count, &any));
}

cudaError_t cudaGraphAddEventWaitNode(cudaGraphNode_t *node, cudaGraph_t graph, const cudaGraphNode_t *after,
                                      size_t count, cudaEvent_t event)
{
    struct cudaGraphNodeParams any = of_event(cudaGraphNodeTypeWaitEvent, event);

    return runtime_finish(node_add(node, graph, after, NULL, count, &any));
}

cudaError_t cudaGraphAddMemAllocNode(cudaGraphNode_t *node, cudaGraph_t graph, const cudaGraphNode_t *after,
                                     size_t count, struct cudaMemAllocNodeParams *parameters)
{
    struct cudaGraphNodeParams any = {.type = cudaGraphNodeTypeMemAlloc};
    CUresult result = CUDA_ERROR_INVALID_VALUE;

    _Static_assert(sizeof any.alloc == sizeof *parameters, "one structure under two names");
    if (parameters) {
        memcpy(&any.alloc, parameters, sizeof any.alloc);
        result = node_add(node, graph, after, NULL, count, &any);
        parameters->dptr = any.alloc.dptr;
    }
    return runtime_finish(result);
}

cudaError_t cudaGraphAddMemFreeNode(cudaGraphNode_t *node, cudaGraph_t graph, const cudaGraphNode_t *after,
                                    size_t count, void *pointer)
{
    struct cudaGraphNodeParams any = {.type = cudaGraphNodeTypeMemFree};

    any.free.dptr = pointer;
    return runtime_finish(node_add(node, graph, after, NULL, count, &any));
}
