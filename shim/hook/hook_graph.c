/* SPDX-License-Identifier: Apache-2.0 */
/* Executable graphs: what they use is read when they are made or changed, and is there when they are launched. */
#include "cuda/capture.h"
#include "cuda/graph_exec.h"
#include "engine/core.h"
#include "hook/hooks.h"

/* ---- instantiation ---------------------------------------------------------------------------------------- */

/* A graph is made executable once what it uses is known, and stays where it must. */
#define READ(graph, call)                                                                                    \
    ({                                                                                                       \
        int error;                                                                                           \
        struct graph_uses *uses = graph_read(graph, &error);                                                 \
        uses ? call : hooks_result(error);                                                                   \
    })

CUresult hook_cuGraphInstantiate(__typeof__(cuGraphInstantiate) *next, CUgraphExec *phGraphExec,
                                 CUgraph hGraph, CUgraphNode *phErrorNode, char *logBuffer, size_t bufferSize)
{
    return READ(hGraph, graph_exec_made(next(phGraphExec, hGraph, phErrorNode, logBuffer, bufferSize),
                                        phGraphExec, uses));
}

CUresult hook_cuGraphInstantiateWithFlags(__typeof__(cuGraphInstantiateWithFlags) *next,
                                          CUgraphExec *phGraphExec, CUgraph hGraph, unsigned long long flags)
{
    return READ(hGraph, graph_exec_made(next(phGraphExec, hGraph, flags), phGraphExec, uses));
}

CUresult hook_cuGraphInstantiateWithParams(__typeof__(cuGraphInstantiateWithParams) *next,
                                           CUgraphExec *phGraphExec, CUgraph hGraph,
                                           CUDA_GRAPH_INSTANTIATE_PARAMS *instantiateParams)
{
    return READ(hGraph, graph_exec_made(next(phGraphExec, hGraph, instantiateParams), phGraphExec, uses));
}

CUresult hook_cuGraphExecDestroy(__typeof__(cuGraphExecDestroy) *next, CUgraphExec hGraphExec)
{
    return graph_exec_destroy(next, hGraphExec);
}

/* ---- updates ---------------------------------------------------------------------------------------------- */

CUresult hook_cuGraphExecUpdate(__typeof__(cuGraphExecUpdate) *next, CUgraphExec hGraphExec, CUgraph hGraph,
                                CUgraphNode *hErrorNode_out, CUgraphExecUpdateResult *updateResult_out)
{
    return READ(hGraph, graph_exec_updated(next(hGraphExec, hGraph, hErrorNode_out, updateResult_out),
                                           hGraphExec, uses));
}

CUresult hook_cuGraphExecUpdate_v2(__typeof__(cuGraphExecUpdate_v2) *next, CUgraphExec hGraphExec,
                                   CUgraph hGraph, CUgraphExecUpdateResultInfo *resultInfo)
{
    return READ(hGraph, graph_exec_updated(next(hGraphExec, hGraph, resultInfo), hGraphExec, uses));
}

/* A node is changed once what its new parameters use is known, and stays where it must. */
#define CHANGE(params, add, call)                                                                            \
    ({                                                                                                       \
        struct graph_uses *uses = graph_exec_uses(hGraphExec);                                               \
        int error = uses && (params) ? add : 0;                                                              \
        error ? hooks_result(error) : call;                                                                  \
    })

CUresult hook_cuGraphExecKernelNodeSetParams(__typeof__(cuGraphExecKernelNodeSetParams) *next,
                                             CUgraphExec hGraphExec, CUgraphNode hNode,
                                             const CUDA_KERNEL_NODE_PARAMS_v1 *nodeParams)
{
    struct graph_uses *uses = graph_exec_uses(hGraphExec);

    if (uses && nodeParams) {
        const CUDA_KERNEL_NODE_PARAMS_v2 params = {
            .func = nodeParams->func, .kernelParams = nodeParams->kernelParams, .extra = nodeParams->extra};

        graph_add_kernel(uses, &params);
    }
    return next(hGraphExec, hNode, nodeParams);
}

CUresult hook_cuGraphExecKernelNodeSetParams_v2(__typeof__(cuGraphExecKernelNodeSetParams_v2) *next,
                                                CUgraphExec hGraphExec, CUgraphNode hNode,
                                                const CUDA_KERNEL_NODE_PARAMS *nodeParams)
{
    return CHANGE(nodeParams, graph_add_kernel(uses, nodeParams), next(hGraphExec, hNode, nodeParams));
}

CUresult hook_cuGraphExecMemcpyNodeSetParams(__typeof__(cuGraphExecMemcpyNodeSetParams) *next,
                                             CUgraphExec hGraphExec, CUgraphNode hNode,
                                             const CUDA_MEMCPY3D *copyParams, CUcontext ctx)
{
    return CHANGE(copyParams, graph_add_copy(uses, copyParams), next(hGraphExec, hNode, copyParams, ctx));
}

CUresult hook_cuGraphExecMemsetNodeSetParams(__typeof__(cuGraphExecMemsetNodeSetParams) *next,
                                             CUgraphExec hGraphExec, CUgraphNode hNode,
                                             const CUDA_MEMSET_NODE_PARAMS *memsetParams, CUcontext ctx)
{
    return CHANGE(memsetParams, graph_add_set(uses, memsetParams->dst),
                  next(hGraphExec, hNode, memsetParams, ctx));
}

CUresult hook_cuGraphExecChildGraphNodeSetParams(__typeof__(cuGraphExecChildGraphNodeSetParams) *next,
                                                 CUgraphExec hGraphExec, CUgraphNode hNode,
                                                 CUgraph childGraph)
{
    return CHANGE(childGraph, graph_add_graph(uses, childGraph), next(hGraphExec, hNode, childGraph));
}

CUresult hook_cuGraphExecBatchMemOpNodeSetParams(__typeof__(cuGraphExecBatchMemOpNodeSetParams) *next,
                                                 CUgraphExec hGraphExec, CUgraphNode hNode,
                                                 const CUDA_BATCH_MEM_OP_NODE_PARAMS *nodeParams)
{
    return CHANGE(nodeParams, graph_add_operations(uses, nodeParams), next(hGraphExec, hNode, nodeParams));
}

static int add_node_params(struct graph_uses *uses, const CUgraphNodeParams *params)
{
    switch (params->type) {
    case CU_GRAPH_NODE_TYPE_KERNEL: {
        const CUDA_KERNEL_NODE_PARAMS_v2 kernel = {.func = params->kernel.func,
                                                   .kernelParams = params->kernel.kernelParams,
                                                   .extra = params->kernel.extra,
                                                   .kern = params->kernel.kern};

        return graph_add_kernel(uses, &kernel);
    }
    case CU_GRAPH_NODE_TYPE_MEMCPY:
        return graph_add_copy(uses, &params->memcpy.copyParams);
    case CU_GRAPH_NODE_TYPE_MEMSET:
        return graph_add_set(uses, params->memset.dst);
    case CU_GRAPH_NODE_TYPE_GRAPH:
        return graph_add_graph(uses, params->graph.graph);
    case CU_GRAPH_NODE_TYPE_BATCH_MEM_OP: {
        const CUDA_BATCH_MEM_OP_NODE_PARAMS operations = {.count = params->memOp.count,
                                                          .paramArray = params->memOp.paramArray};

        return graph_add_operations(uses, &operations);
    }
    default: /* no other kind names memory and can be changed */
        return 0;
    }
}

CUresult hook_cuGraphExecNodeSetParams(__typeof__(cuGraphExecNodeSetParams) *next, CUgraphExec hGraphExec,
                                       CUgraphNode hNode, CUgraphNodeParams *nodeParams)
{
    return CHANGE(nodeParams, add_node_params(uses, nodeParams), next(hGraphExec, hNode, nodeParams));
}

/* ---- nodes that cannot be read back ----------------------------------------------------------------------- */

static CUresult note_node(CUresult result, const CUgraphNode *node, const CUgraphNodeParams *params)
{
    if (result == CUDA_SUCCESS && node && params && params->type == CU_GRAPH_NODE_TYPE_CONDITIONAL)
        graph_note_conditional(*node, params->conditional.phGraph_out, params->conditional.size);
    return result;
}

CUresult hook_cuGraphAddNode(__typeof__(cuGraphAddNode) *next, CUgraphNode *phGraphNode, CUgraph hGraph,
                             const CUgraphNode *dependencies, size_t numDependencies,
                             CUgraphNodeParams *nodeParams)
{
    return note_node(next(phGraphNode, hGraph, dependencies, numDependencies, nodeParams), phGraphNode,
                     nodeParams);
}

CUresult hook_cuGraphAddNode_v2(__typeof__(cuGraphAddNode_v2) *next, CUgraphNode *phGraphNode, CUgraph hGraph,
                                const CUgraphNode *dependencies, const CUgraphEdgeData *dependencyData,
                                size_t numDependencies, CUgraphNodeParams *nodeParams)
{
    return note_node(next(phGraphNode, hGraph, dependencies, dependencyData, numDependencies, nodeParams),
                     phGraphNode, nodeParams);
}

/* ---- launch ----------------------------------------------------------------------------------------------- */

static void note_uses(struct use *use, const struct graph_uses *uses)
{
    if (!uses) {
        use->all = true;
        return;
    }
    use->all = uses->all;
    use->more = uses->granule;
    use->more_count = uses->granule_count;
    for (uint32_t i = 0; i < uses->source_count; i++)
        use_source(use, uses->source[i].memory, uses->source[i].bytes);
}

CUresult hook_cuGraphLaunch(__typeof__(cuGraphLaunch) *next, CUgraphExec hGraph, CUstream hStream)
{
    struct graph_uses *uses = graph_exec_uses(hGraph);
    struct use use;

    if (capture_records(hStream, next == real.cuGraphLaunch_ptsz))
        return next(hGraph, hStream);
    use_init(&use, true);
    note_uses(&use, uses);
    int error = use_begin(&use);

    if (error)
        return hooks_result(error);
    CUresult result = next(hGraph, hStream);

    use_end(&use);
    if (uses && uses->allocates)
        graph_exec_settle();
    return result;
}

CUresult hook_cuGraphUpload(__typeof__(cuGraphUpload) *next, CUgraphExec hGraph, CUstream hStream)
{
    struct graph_uses *uses = graph_exec_uses(hGraph);
    CUresult result = next(hGraph, hStream);

    if (uses && uses->allocates)
        graph_exec_settle();
    return result;
}

CUresult hook_cuGraphDestroy(__typeof__(cuGraphDestroy) *next, CUgraph hGraph)
{
    CUresult result = next(hGraph);

    graph_exec_settle();
    return result;
}

CUresult hook_cuDeviceGraphMemTrim(__typeof__(cuDeviceGraphMemTrim) *next, CUdevice device)
{
    CUresult result = next(device);

    graph_exec_settle();
    return result;
}
