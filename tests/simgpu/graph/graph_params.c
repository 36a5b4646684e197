/* SPDX-License-Identifier: Apache-2.0 */
#include "graph/graph_params.h"

#include "device/context.h"
#include "driver/handle.h"
#include "stream/copy.h"
#include "stream/event.h"
#include "stream/launch.h"
#include "stream/memop.h"
#include "stream/rect.h"
#include "stream/set.h"

#include <stdlib.h>
#include <string.h>

static CUresult read_kernel(const CUDA_KERNEL_NODE_PARAMS_v3 *params, struct node_content *content)
{
    const unsigned grid[] = {params->gridDimX, params->gridDimY, params->gridDimZ};
    const unsigned block[] = {params->blockDimX, params->blockDimY, params->blockDimZ};
    CUfunction function = params->func ? params->func : (CUfunction)params->kern;
    struct launch launch = {function,     grid, block, params->sharedMemBytes, NULL, params->kernelParams,
                            params->extra, false};
    struct context *context;

    if (handle_is(params->func, HANDLE_FUNCTION))
        context = ((struct function *)params->func)->module->context;
    else
        context = context_of(params->func ? NULL : params->ctx);
    if (!context)
        return CUDA_ERROR_INVALID_CONTEXT;
    content->context = (CUcontext)context;
    return launch_read(&launch, context, &content->work);
}

static CUresult read_copy(const CUDA_MEMCPY_NODE_PARAMS *params, struct node_content *content)
{
    const struct context *context = context_of(params->copyCtx);
    CUresult result;

    if (params->flags || params->reserved)
        return CUDA_ERROR_INVALID_VALUE;
    if (!context)
        return CUDA_ERROR_INVALID_CONTEXT;
    content->context = (CUcontext)context;
    content->work.kind = WORK_COPY;
    result = rect_read(&params->copyParams, &content->work.copy);
    return result != CUDA_SUCCESS ? result : copy_check(context, &content->work.copy);
}

static CUresult read_set(const CUDA_MEMSET_NODE_PARAMS_v2 *params, struct node_content *content)
{
    const struct context *context = context_of(params->ctx);

    if (!context)
        return CUDA_ERROR_INVALID_CONTEXT;
    if ((params->elementSize != 1 && params->elementSize != 2 && params->elementSize != 4) ||
        !params->width || !params->height)
        return CUDA_ERROR_INVALID_VALUE;
    content->context = (CUcontext)context;
    content->work.kind = WORK_SET;
    content->work.set = (struct set_work){params->dst,   params->pitch, params->elementSize,
                                          params->value, params->width, params->height};
    return set_check(context, &content->work.set);
}

static CUresult read_memop(const CUDA_BATCH_MEM_OP_NODE_PARAMS_v2 *params, struct node_content *content)
{
    const struct context *context = context_of(params->ctx);

    if (!context)
        return CUDA_ERROR_INVALID_CONTEXT;
    content->context = (CUcontext)context;
    return params->flags ? CUDA_ERROR_INVALID_VALUE
                         : memop_read(context, params->paramArray, params->count, false, &content->work);
}

static CUresult read_event(CUevent handle, struct node_content *content)
{
    content->event = event_of(handle);
    if (!content->event)
        return CUDA_ERROR_INVALID_VALUE;
    return content->event->shared ? CUDA_ERROR_NOT_SUPPORTED : CUDA_SUCCESS;
}

CUresult params_read(const CUgraphNodeParams *params, struct node_content *content)
{
    memset(content, 0, sizeof *content);
    content->type = params->type;
    switch (params->type) {
    case CU_GRAPH_NODE_TYPE_KERNEL:
        return read_kernel(&params->kernel, content);
    case CU_GRAPH_NODE_TYPE_MEMCPY:
        return read_copy(&params->memcpy, content);
    case CU_GRAPH_NODE_TYPE_MEMSET:
        return read_set(&params->memset, content);
    case CU_GRAPH_NODE_TYPE_BATCH_MEM_OP:
        return read_memop(&params->memOp, content);
    case CU_GRAPH_NODE_TYPE_HOST:
        content->work.kind = WORK_HOST;
        content->work.host = (struct host_work){.function = params->host.fn, .data = params->host.userData};
        return params->host.fn ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
    case CU_GRAPH_NODE_TYPE_GRAPH:
        content->child = (struct graph *)params->graph.graph;
        if (params->graph.ownership != CU_GRAPH_CHILD_GRAPH_OWNERSHIP_CLONE)
            return CUDA_ERROR_NOT_SUPPORTED;
        return handle_is(content->child, HANDLE_GRAPH) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
    case CU_GRAPH_NODE_TYPE_EMPTY:
        return CUDA_SUCCESS;
    case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
        return read_event(params->eventWait.event, content);
    case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
        return read_event(params->eventRecord.event, content);
    default:
        return CUDA_ERROR_NOT_SUPPORTED;
    }
}

static size_t member_bytes(CUgraphNodeType type)
{
    static const CUgraphNodeParams params;

    switch (type) {
    case CU_GRAPH_NODE_TYPE_KERNEL:
        return sizeof params.kernel;
    case CU_GRAPH_NODE_TYPE_MEMCPY:
        return sizeof params.memcpy;
    case CU_GRAPH_NODE_TYPE_MEMSET:
        return sizeof params.memset;
    case CU_GRAPH_NODE_TYPE_BATCH_MEM_OP:
        return sizeof params.memOp;
    case CU_GRAPH_NODE_TYPE_HOST:
        return sizeof params.host;
    case CU_GRAPH_NODE_TYPE_GRAPH:
        return sizeof params.graph;
    case CU_GRAPH_NODE_TYPE_EMPTY:
        return 0;
    case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
        return sizeof params.eventWait;
    case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
        return sizeof params.eventRecord;
    case CU_GRAPH_NODE_TYPE_MEM_ALLOC:
        return sizeof params.alloc;
    case CU_GRAPH_NODE_TYPE_MEM_FREE:
        return sizeof params.free;
    case CU_GRAPH_NODE_TYPE_CONDITIONAL:
        return sizeof params.conditional;
    default: /* not implemented, and refused as that */
        return sizeof params.reserved1;
    }
}

static bool are_zero(const void *memory, size_t bytes)
{
    const unsigned char *at = memory;

    while (bytes && !*at)
        at++, bytes--;
    return !bytes;
}

bool params_unused_are_zero(const CUgraphNodeParams *params)
{
    size_t used = member_bytes(params->type);

    return are_zero(params->reserved0, sizeof params->reserved0) && !params->reserved2 &&
           are_zero((const char *)params->reserved1 + used, sizeof params->reserved1 - used);
}

/* The array of pointers that a program reads parameters through. */
static CUresult write_kernel(struct node *node, CUDA_KERNEL_NODE_PARAMS_v3 *params)
{
    const struct kernel_work *kernel = &node->work.kernel;
    const struct image_kernel *layout = kernel->function->layout;

    if (!node->params) {
        node->params = malloc((layout->param_count + 1) * sizeof(void *));
        if (!node->params)
            return CUDA_ERROR_OUT_OF_MEMORY;
    }
    for (unsigned i = 0; i < layout->param_count; i++)
        node->params[i] = kernel->buffer + layout->params[i].offset;
    *params = (CUDA_KERNEL_NODE_PARAMS_v3){.func = (CUfunction)kernel->function,
                                           .gridDimX = kernel->grid[0],
                                           .gridDimY = kernel->grid[1],
                                           .gridDimZ = kernel->grid[2],
                                           .blockDimX = kernel->block[0],
                                           .blockDimY = kernel->block[1],
                                           .blockDimZ = kernel->block[2],
                                           .sharedMemBytes = kernel->shared_bytes,
                                           .kernelParams = node->params,
                                           .ctx = node->context};
    return CUDA_SUCCESS;
}

CUresult params_write(struct node *node, CUgraphNodeParams *params)
{
    const struct set_work *set = &node->work.set;

    memset(params, 0, sizeof *params);
    params->type = node->type;
    switch (node->type) {
    case CU_GRAPH_NODE_TYPE_KERNEL:
        return write_kernel(node, &params->kernel);
    case CU_GRAPH_NODE_TYPE_MEMCPY:
        params->memcpy.copyCtx = node->context;
        rect_write(&node->work.copy, &params->memcpy.copyParams);
        return CUDA_SUCCESS;
    case CU_GRAPH_NODE_TYPE_MEMSET:
        params->memset = (CUDA_MEMSET_NODE_PARAMS_v2){set->to,    set->pitch,  set->value,   set->element,
                                                      set->width, set->height, node->context};
        return CUDA_SUCCESS;
    case CU_GRAPH_NODE_TYPE_BATCH_MEM_OP:
        params->memOp = (CUDA_BATCH_MEM_OP_NODE_PARAMS_v2){
            .ctx = node->context, .count = node->work.memop.count, .paramArray = node->work.memop.list};
        return CUDA_SUCCESS;
    case CU_GRAPH_NODE_TYPE_HOST:
        params->host = (CUDA_HOST_NODE_PARAMS_v2){node->work.host.function, node->work.host.data};
        return CUDA_SUCCESS;
    case CU_GRAPH_NODE_TYPE_GRAPH:
        params->graph.graph = (CUgraph)node->child;
        return CUDA_SUCCESS;
    case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
        params->eventWait.event = (CUevent)node->event;
        return CUDA_SUCCESS;
    case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
        params->eventRecord.event = (CUevent)node->event;
        return CUDA_SUCCESS;
    default:
        return CUDA_SUCCESS;
    }
}
