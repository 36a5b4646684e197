/* SPDX-License-Identifier: Apache-2.0 */
/* The entries that add nodes, and get and set their parameters: any kind, kernels, copies and sets. */
#include "graph/graph_nodes.h"

#include "driver/handle.h"
#include "graph/exec_handle.h"
#include "memory/graph_memory.h"

#include <stdlib.h>
#include <string.h>

/* The handle's graph or node, or NULL. */
static struct graph *graph_of(CUgraph handle)
{
    return handle_is(handle, HANDLE_GRAPH) ? (struct graph *)handle : NULL;
}

static struct node *node_of(CUgraphNode handle, CUgraphNodeType type)
{
    struct node *node = (struct node *)handle;

    return handle_is(handle, HANDLE_NODE) && node->type == type ? node : NULL;
}

static CUresult add_content(struct graph *graph, struct node_content *content, const CUgraphNode *after,
                            size_t count, struct node **node)
{
    struct graph *child = NULL;
    CUresult result;

    if (content->child && (graph_has_memory(content->child) || graph_has_branches(content->child)))
        return CUDA_ERROR_NOT_SUPPORTED;
    if (content->child) {
        child = content->child == graph ? NULL : graph_clone(content->child);
        if (!child)
            return content->child == graph ? CUDA_ERROR_INVALID_VALUE : CUDA_ERROR_OUT_OF_MEMORY;
        child->is_child = true;
    }
    result = graph_add(graph, content->type, &content->work, (struct node *const *)after, count, node);
    if (result != CUDA_SUCCESS) {
        if (child)
            graph_destroy(child);
        return result;
    }
    (*node)->context = content->context;
    (*node)->event = content->event;
    (*node)->child = child;
    return CUDA_SUCCESS;
}

CUresult node_add(CUgraphNode *created, CUgraph handle, const CUgraphNode *after, size_t count,
                  CUgraphNodeParams params)
{
    struct node_content content;
    struct graph *graph;
    struct node *node;
    CUresult result;

    if (!created || (count && !after))
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    graph = graph_of(handle);
    result = graph ? params_read(&params, &content) : CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        result = add_content(graph, &content, after, count, &node);
    if (result == CUDA_SUCCESS)
        *created = (CUgraphNode)node;
    return sim_leave(result);
}

CUresult node_get(CUgraphNode handle, CUgraphNodeType type, CUgraphNodeParams *params)
{
    struct node *node;

    sim_lock();
    node = node_of(handle, type);
    return sim_leave(node ? params_write(node, params) : CUDA_ERROR_INVALID_VALUE);
}

CUresult node_set(CUgraphNode handle, CUgraphNodeParams params)
{
    struct node_content content;
    struct node *node;
    CUresult result;

    sim_lock();
    node = node_of(handle, params.type);
    if (!node || params.type == CU_GRAPH_NODE_TYPE_GRAPH)
        return sim_leave(CUDA_ERROR_INVALID_VALUE);
    result = params_read(&params, &content);
    if (result != CUDA_SUCCESS)
        return sim_leave(result);
    work_finish(&node->work);
    free(node->params);
    node->params = NULL;
    node->work = content.work;
    node->context = content.context;
    node->event = content.event;
    return sim_leave(CUDA_SUCCESS);
}

/* The structure for allocations alone is an earlier version of the generic one's member, and its equal. */
static CUresult add_allocation(CUgraphNode *node, CUgraph graph, const CUgraphNode *after, size_t count,
                               CUDA_MEM_ALLOC_NODE_PARAMS_v2 *params)
{
    CUDA_MEM_ALLOC_NODE_PARAMS alone;
    CUresult result;

    _Static_assert(sizeof alone == sizeof *params, "the same members");
    memcpy(&alone, params, sizeof alone);
    result = sim_cuGraphAddMemAllocNode(node, graph, after, count, &alone);
    params->dptr = alone.dptr;
    return result;
}

static CUresult add_branch(CUgraphNode *created, CUgraph handle, const CUgraphNode *after, size_t count,
                           CUDA_CONDITIONAL_NODE_PARAMS *params)
{
    struct work work = {.kind = WORK_EMPTY};
    struct branch *branch = NULL;
    struct graph *graph;
    struct node *node;
    CUresult result;

    if (!created || (count && !after))
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    graph = graph_of(handle);
    result = graph ? branch_create(graph, params, &branch) : CUDA_ERROR_INVALID_VALUE;
    if (result != CUDA_SUCCESS)
        return sim_leave(result);
    result =
        graph_add(graph, CU_GRAPH_NODE_TYPE_CONDITIONAL, &work, (struct node *const *)after, count, &node);
    if (result != CUDA_SUCCESS) {
        branch_destroy(branch);
        return sim_leave(result);
    }
    node->branch = branch;
    node->context = params->ctx;
    params->phGraph_out = (CUgraph *)branch->bodies;
    *created = (CUgraphNode)node;
    return sim_leave(CUDA_SUCCESS);
}

CUresult sim_cuGraphAddNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *after, size_t count,
                            CUgraphNodeParams *params)
{
    if (!params || !params_unused_are_zero(params))
        return CUDA_ERROR_INVALID_VALUE;
    switch (params->type) {
    case CU_GRAPH_NODE_TYPE_MEM_ALLOC:
        return add_allocation(node, graph, after, count, &params->alloc);
    case CU_GRAPH_NODE_TYPE_MEM_FREE:
        return sim_cuGraphAddMemFreeNode(node, graph, after, count, params->free.dptr);
    case CU_GRAPH_NODE_TYPE_CONDITIONAL:
        return add_branch(node, graph, after, count, &params->conditional);
    default:
        return node_add(node, graph, after, count, *params);
    }
}

/* Whether no edge asks for more than that one node runs after the other. */
static bool edges_are_plain(const CUgraphEdgeData *edges, size_t count)
{
    static const CUgraphEdgeData plain;

    for (size_t i = 0; edges && i < count; i++)
        if (memcmp(&edges[i], &plain, sizeof plain) != 0)
            return false;
    return true;
}

CUresult sim_cuGraphAddNode_v2(CUgraphNode *node, CUgraph graph, const CUgraphNode *after,
                               const CUgraphEdgeData *edges, size_t count, CUgraphNodeParams *params)
{
    return edges_are_plain(edges, count) ? sim_cuGraphAddNode(node, graph, after, count, params)
                                         : CUDA_ERROR_NOT_SUPPORTED;
}

CUresult sim_cuGraphNodeSetParams(CUgraphNode node, CUgraphNodeParams *params)
{
    return params && params_unused_are_zero(params) ? node_set(node, *params) : CUDA_ERROR_INVALID_VALUE;
}

CUresult sim_cuGraphExecNodeSetParams(CUgraphExec exec, CUgraphNode node, CUgraphNodeParams *params)
{
    return params && params_unused_are_zero(params) ? exec_set(exec, node, *params)
                                                    : CUDA_ERROR_INVALID_VALUE;
}

/* The first version of the structure ends where the second adds kern and ctx. */
static CUgraphNodeParams of_kernel_v1(const CUDA_KERNEL_NODE_PARAMS_v1 *kernel)
{
    CUgraphNodeParams params = {.type = CU_GRAPH_NODE_TYPE_KERNEL};

    memcpy(&params.kernel, kernel, sizeof *kernel);
    return params;
}

static CUgraphNodeParams of_kernel(const CUDA_KERNEL_NODE_PARAMS *kernel)
{
    CUgraphNodeParams params = {.type = CU_GRAPH_NODE_TYPE_KERNEL};

    memcpy(&params.kernel, kernel, sizeof *kernel);
    return params;
}

CUresult sim_cuGraphAddKernelNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *after, size_t count,
                                  const CUDA_KERNEL_NODE_PARAMS_v1 *kernel)
{
    if (!kernel)
        return CUDA_ERROR_INVALID_VALUE;
    return node_add(node, graph, after, count, of_kernel_v1(kernel));
}

CUresult sim_cuGraphAddKernelNode_v2(CUgraphNode *node, CUgraph graph, const CUgraphNode *after, size_t count,
                                     const CUDA_KERNEL_NODE_PARAMS *kernel)
{
    if (!kernel)
        return CUDA_ERROR_INVALID_VALUE;
    return node_add(node, graph, after, count, of_kernel(kernel));
}

CUresult sim_cuGraphKernelNodeGetParams(CUgraphNode node, CUDA_KERNEL_NODE_PARAMS_v1 *kernel)
{
    CUgraphNodeParams params;
    CUresult result = kernel ? node_get(node, CU_GRAPH_NODE_TYPE_KERNEL, &params) : CUDA_ERROR_INVALID_VALUE;

    if (result == CUDA_SUCCESS)
        memcpy(kernel, &params.kernel, sizeof *kernel);
    return result;
}

CUresult sim_cuGraphKernelNodeGetParams_v2(CUgraphNode node, CUDA_KERNEL_NODE_PARAMS *kernel)
{
    CUgraphNodeParams params;
    CUresult result = kernel ? node_get(node, CU_GRAPH_NODE_TYPE_KERNEL, &params) : CUDA_ERROR_INVALID_VALUE;

    if (result == CUDA_SUCCESS)
        memcpy(kernel, &params.kernel, sizeof *kernel);
    return result;
}

CUresult sim_cuGraphKernelNodeSetParams(CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS_v1 *kernel)
{
    return kernel ? node_set(node, of_kernel_v1(kernel)) : CUDA_ERROR_INVALID_VALUE;
}

CUresult sim_cuGraphKernelNodeSetParams_v2(CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS *kernel)
{
    return kernel ? node_set(node, of_kernel(kernel)) : CUDA_ERROR_INVALID_VALUE;
}

CUresult sim_cuGraphExecKernelNodeSetParams(CUgraphExec exec, CUgraphNode node,
                                            const CUDA_KERNEL_NODE_PARAMS_v1 *kernel)
{
    return kernel ? exec_set(exec, node, of_kernel_v1(kernel)) : CUDA_ERROR_INVALID_VALUE;
}

CUresult sim_cuGraphExecKernelNodeSetParams_v2(CUgraphExec exec, CUgraphNode node,
                                               const CUDA_KERNEL_NODE_PARAMS *kernel)
{
    return kernel ? exec_set(exec, node, of_kernel(kernel)) : CUDA_ERROR_INVALID_VALUE;
}

CUresult sim_cuGraphAddMemcpyNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *after, size_t count,
                                  const CUDA_MEMCPY3D *copy, CUcontext context)
{
    CUgraphNodeParams params = {.type = CU_GRAPH_NODE_TYPE_MEMCPY, .memcpy.copyCtx = context};

    if (!copy)
        return CUDA_ERROR_INVALID_VALUE;
    params.memcpy.copyParams = *copy;
    return node_add(node, graph, after, count, params);
}

CUresult sim_cuGraphMemcpyNodeGetParams(CUgraphNode node, CUDA_MEMCPY3D *copy)
{
    CUgraphNodeParams params;
    CUresult result = copy ? node_get(node, CU_GRAPH_NODE_TYPE_MEMCPY, &params) : CUDA_ERROR_INVALID_VALUE;

    if (result == CUDA_SUCCESS)
        *copy = params.memcpy.copyParams;
    return result;
}

/* The context of a node, for entries that do not take one. */
static CUcontext context_of_node(CUgraphNode handle)
{
    CUcontext context;

    sim_lock();
    context = handle_is(handle, HANDLE_NODE) ? ((struct node *)handle)->context : NULL;
    sim_unlock();
    return context;
}

CUresult sim_cuGraphMemcpyNodeSetParams(CUgraphNode node, const CUDA_MEMCPY3D *copy)
{
    CUgraphNodeParams params = {.type = CU_GRAPH_NODE_TYPE_MEMCPY, .memcpy.copyCtx = context_of_node(node)};

    if (!copy)
        return CUDA_ERROR_INVALID_VALUE;
    params.memcpy.copyParams = *copy;
    return node_set(node, params);
}

CUresult sim_cuGraphExecMemcpyNodeSetParams(CUgraphExec exec, CUgraphNode node, const CUDA_MEMCPY3D *copy,
                                            CUcontext context)
{
    CUgraphNodeParams params = {.type = CU_GRAPH_NODE_TYPE_MEMCPY, .memcpy.copyCtx = context};

    if (!copy)
        return CUDA_ERROR_INVALID_VALUE;
    params.memcpy.copyParams = *copy;
    return exec_set(exec, node, params);
}

static CUgraphNodeParams of_set(const CUDA_MEMSET_NODE_PARAMS *memset_params, CUcontext context)
{
    CUgraphNodeParams params = {.type = CU_GRAPH_NODE_TYPE_MEMSET};

    memcpy(&params.memset, memset_params, sizeof *memset_params);
    params.memset.ctx = context;
    return params;
}

CUresult sim_cuGraphAddMemsetNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *after, size_t count,
                                  const CUDA_MEMSET_NODE_PARAMS *memset_params, CUcontext context)
{
    if (!memset_params)
        return CUDA_ERROR_INVALID_VALUE;
    return node_add(node, graph, after, count, of_set(memset_params, context));
}

CUresult sim_cuGraphMemsetNodeGetParams(CUgraphNode node, CUDA_MEMSET_NODE_PARAMS *memset_params)
{
    CUgraphNodeParams params;
    CUresult result =
        memset_params ? node_get(node, CU_GRAPH_NODE_TYPE_MEMSET, &params) : CUDA_ERROR_INVALID_VALUE;

    if (result == CUDA_SUCCESS)
        memcpy(memset_params, &params.memset, sizeof *memset_params);
    return result;
}

CUresult sim_cuGraphMemsetNodeSetParams(CUgraphNode node, const CUDA_MEMSET_NODE_PARAMS *memset_params)
{
    if (!memset_params)
        return CUDA_ERROR_INVALID_VALUE;
    return node_set(node, of_set(memset_params, context_of_node(node)));
}

CUresult sim_cuGraphExecMemsetNodeSetParams(CUgraphExec exec, CUgraphNode node,
                                            const CUDA_MEMSET_NODE_PARAMS *memset_params, CUcontext context)
{
    if (!memset_params)
        return CUDA_ERROR_INVALID_VALUE;
    return exec_set(exec, node, of_set(memset_params, context));
}

/* The structure for these alone is an earlier version of the generic one's member, and its equal. */
static CUgraphNodeParams of_memop(const CUDA_BATCH_MEM_OP_NODE_PARAMS *memop)
{
    CUgraphNodeParams params = {.type = CU_GRAPH_NODE_TYPE_BATCH_MEM_OP};

    _Static_assert(sizeof *memop == sizeof params.memOp, "the same members");
    memcpy(&params.memOp, memop, sizeof *memop);
    return params;
}

CUresult sim_cuGraphAddBatchMemOpNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *after,
                                      size_t count, const CUDA_BATCH_MEM_OP_NODE_PARAMS *memop)
{
    return memop ? node_add(node, graph, after, count, of_memop(memop)) : CUDA_ERROR_INVALID_VALUE;
}

CUresult sim_cuGraphBatchMemOpNodeGetParams(CUgraphNode node, CUDA_BATCH_MEM_OP_NODE_PARAMS *memop)
{
    CUgraphNodeParams params;
    CUresult result =
        memop ? node_get(node, CU_GRAPH_NODE_TYPE_BATCH_MEM_OP, &params) : CUDA_ERROR_INVALID_VALUE;

    if (result == CUDA_SUCCESS)
        memcpy(memop, &params.memOp, sizeof *memop);
    return result;
}

CUresult sim_cuGraphBatchMemOpNodeSetParams(CUgraphNode node, const CUDA_BATCH_MEM_OP_NODE_PARAMS *memop)
{
    return memop ? node_set(node, of_memop(memop)) : CUDA_ERROR_INVALID_VALUE;
}

CUresult sim_cuGraphExecBatchMemOpNodeSetParams(CUgraphExec exec, CUgraphNode node,
                                                const CUDA_BATCH_MEM_OP_NODE_PARAMS *memop)
{
    return memop ? exec_set(exec, node, of_memop(memop)) : CUDA_ERROR_INVALID_VALUE;
}
