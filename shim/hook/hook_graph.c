/* SPDX-License-Identifier: Apache-2.0 */
/* Executable graphs: what they use is read when they are made or changed, and is there when they are launched. */
#include "base/cancel_guard.h"
#include "base/lock.h"
#include "base/table.h"
#include "cuda/capture.h"
#include "cuda/contexts.h"
#include "cuda/graph.h"
#include "engine/core.h"
#include "hook/hooks.h"

#include <errno.h>

struct executable {
    struct graph_uses *uses;
};

static struct table executables = TABLE_INIT(struct executable);

/* Bytes charged for graphs' own memory, per device. */
static uint64_t charged[DEVICE_MAX];

static uint64_t key_of(CUgraphExec graph)
{
    return (uint64_t)(uintptr_t)graph;
}

static struct graph_uses *uses_of(CUgraphExec graph)
{
    struct executable executable;

    return graph && table_get(&executables, key_of(graph), &executable) ? executable.uses : NULL;
}

/* Some graph has had memory of its own: only then there is something to settle. */
static bool any_allocates;

static void settle_device(unsigned ordinal)
{
    static struct lock settling = LOCK_INIT(LOCK_GRAPHS); /* so that no late figure is the last */
    cuuint64_t held;

    lock_acquire(&settling);
    if (real.cuDeviceGetGraphMemAttribute(contexts_device(ordinal), CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT,
                                          &held) == CUDA_SUCCESS) {
        if (charged[ordinal] > held)
            core_credit(ordinal, CLASS_GRAPH, charged[ordinal] - held);
        else
            core_charge_held(ordinal, CLASS_GRAPH, held - charged[ordinal]);
        charged[ordinal] = held;
    }
    lock_release(&settling);
}

/* Charge what the driver holds for graphs. It takes that by itself, at instantiation or launch. */
static void settle_memory(void)
{
    struct cancel_guard guard;

    if (!__atomic_load_n(&any_allocates, __ATOMIC_RELAXED) || !real.cuDeviceGetGraphMemAttribute)
        return;
    cancel_guard_enter(&guard);
    for (unsigned i = 0; i < contexts_device_count(); i++)
        settle_device(i);
    cancel_guard_leave(&guard);
}

/* ---- instantiation ---------------------------------------------------------------------------------------- */

/* What came of an instantiation that was read before. */
static CUresult instantiated(CUresult result, const CUgraphExec *graph, struct graph_uses *uses)
{
    const struct executable executable = {uses};

    if (result != CUDA_SUCCESS || !graph) {
        graph_free(uses);
        return result;
    }
    if (uses->allocates) {
        core_roots_unknown("a graph allocates memory of its own");
        __atomic_store_n(&any_allocates, true, __ATOMIC_RELAXED);
        settle_memory();
    }
    /* Without memory for the record every block counts as used at launch, and the pins stay. */
    table_put(&executables, key_of(*graph), &executable);
    return result;
}

CUresult hook_cuGraphInstantiate(__typeof__(cuGraphInstantiate) *next, CUgraphExec *phGraphExec,
                                 CUgraph hGraph, CUgraphNode *phErrorNode, char *logBuffer, size_t bufferSize)
{
    int error;
    struct graph_uses *uses = graph_read(hGraph, &error);

    return uses ? instantiated(next(phGraphExec, hGraph, phErrorNode, logBuffer, bufferSize), phGraphExec,
                               uses)
                : hooks_result(error);
}

CUresult hook_cuGraphInstantiateWithFlags(__typeof__(cuGraphInstantiateWithFlags) *next,
                                          CUgraphExec *phGraphExec, CUgraph hGraph, unsigned long long flags)
{
    int error;
    struct graph_uses *uses = graph_read(hGraph, &error);

    return uses ? instantiated(next(phGraphExec, hGraph, flags), phGraphExec, uses) : hooks_result(error);
}

CUresult hook_cuGraphInstantiateWithParams(__typeof__(cuGraphInstantiateWithParams) *next,
                                           CUgraphExec *phGraphExec, CUgraph hGraph,
                                           CUDA_GRAPH_INSTANTIATE_PARAMS *instantiateParams)
{
    int error;
    struct graph_uses *uses = graph_read(hGraph, &error);

    return uses ? instantiated(next(phGraphExec, hGraph, instantiateParams), phGraphExec, uses)
                : hooks_result(error);
}

CUresult hook_cuGraphExecDestroy(__typeof__(cuGraphExecDestroy) *next, CUgraphExec hGraphExec)
{
    struct executable executable = {NULL};
    bool known = hGraphExec && table_take(&executables, key_of(hGraphExec), &executable);
    CUresult result = next(hGraphExec);

    if (known && result == CUDA_SUCCESS)
        graph_free(executable.uses);
    else if (known)
        table_put(&executables, key_of(hGraphExec), &executable);
    settle_memory();
    return result;
}

/* ---- updates ---------------------------------------------------------------------------------------------- */

/* The whole graph anew: on success in place of what was known. */
static CUresult updated(CUresult result, CUgraphExec graph, struct graph_uses *uses)
{
    struct executable before = {NULL};

    if (result != CUDA_SUCCESS) {
        graph_free(uses);
        return result;
    }
    table_take(&executables, key_of(graph), &before);
    graph_free(before.uses);
    return instantiated(result, &graph, uses);
}

CUresult hook_cuGraphExecUpdate(__typeof__(cuGraphExecUpdate) *next, CUgraphExec hGraphExec, CUgraph hGraph,
                                CUgraphNode *hErrorNode_out, CUgraphExecUpdateResult *updateResult_out)
{
    int error;
    struct graph_uses *uses = graph_read(hGraph, &error);

    return uses ? updated(next(hGraphExec, hGraph, hErrorNode_out, updateResult_out), hGraphExec, uses)
                : hooks_result(error);
}

CUresult hook_cuGraphExecUpdate_v2(__typeof__(cuGraphExecUpdate_v2) *next, CUgraphExec hGraphExec,
                                   CUgraph hGraph, CUgraphExecUpdateResultInfo *resultInfo)
{
    int error;
    struct graph_uses *uses = graph_read(hGraph, &error);

    return uses ? updated(next(hGraphExec, hGraph, resultInfo), hGraphExec, uses) : hooks_result(error);
}

CUresult hook_cuGraphExecKernelNodeSetParams(__typeof__(cuGraphExecKernelNodeSetParams) *next,
                                             CUgraphExec hGraphExec, CUgraphNode hNode,
                                             const CUDA_KERNEL_NODE_PARAMS_v1 *nodeParams)
{
    struct graph_uses *uses = uses_of(hGraphExec);

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
    struct graph_uses *uses = uses_of(hGraphExec);

    if (uses && nodeParams)
        graph_add_kernel(uses, nodeParams);
    return next(hGraphExec, hNode, nodeParams);
}

CUresult hook_cuGraphExecMemcpyNodeSetParams(__typeof__(cuGraphExecMemcpyNodeSetParams) *next,
                                             CUgraphExec hGraphExec, CUgraphNode hNode,
                                             const CUDA_MEMCPY3D *copyParams, CUcontext ctx)
{
    struct graph_uses *uses = uses_of(hGraphExec);
    int error = uses && copyParams ? graph_add_copy(uses, copyParams) : 0;

    return error ? hooks_result(error) : next(hGraphExec, hNode, copyParams, ctx);
}

CUresult hook_cuGraphExecMemsetNodeSetParams(__typeof__(cuGraphExecMemsetNodeSetParams) *next,
                                             CUgraphExec hGraphExec, CUgraphNode hNode,
                                             const CUDA_MEMSET_NODE_PARAMS *memsetParams, CUcontext ctx)
{
    struct graph_uses *uses = uses_of(hGraphExec);
    int error = uses && memsetParams ? graph_add_set(uses, memsetParams->dst) : 0;

    return error ? hooks_result(error) : next(hGraphExec, hNode, memsetParams, ctx);
}

CUresult hook_cuGraphExecChildGraphNodeSetParams(__typeof__(cuGraphExecChildGraphNodeSetParams) *next,
                                                 CUgraphExec hGraphExec, CUgraphNode hNode,
                                                 CUgraph childGraph)
{
    struct graph_uses *uses = uses_of(hGraphExec);
    int error = uses && childGraph ? graph_add_graph(uses, childGraph) : 0;

    return error ? hooks_result(error) : next(hGraphExec, hNode, childGraph);
}

CUresult hook_cuGraphExecBatchMemOpNodeSetParams(__typeof__(cuGraphExecBatchMemOpNodeSetParams) *next,
                                                 CUgraphExec hGraphExec, CUgraphNode hNode,
                                                 const CUDA_BATCH_MEM_OP_NODE_PARAMS *nodeParams)
{
    struct graph_uses *uses = uses_of(hGraphExec);
    int error = uses && nodeParams ? graph_add_operations(uses, nodeParams) : 0;

    return error ? hooks_result(error) : next(hGraphExec, hNode, nodeParams);
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
    struct graph_uses *uses = uses_of(hGraphExec);
    int error = uses && nodeParams ? add_node_params(uses, nodeParams) : 0;

    return error ? hooks_result(error) : next(hGraphExec, hNode, nodeParams);
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
    struct graph_uses *uses = uses_of(hGraph);
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
        settle_memory();
    return result;
}

CUresult hook_cuGraphUpload(__typeof__(cuGraphUpload) *next, CUgraphExec hGraph, CUstream hStream)
{
    struct graph_uses *uses = uses_of(hGraph);
    CUresult result = next(hGraph, hStream);

    if (uses && uses->allocates)
        settle_memory();
    return result;
}

CUresult hook_cuGraphDestroy(__typeof__(cuGraphDestroy) *next, CUgraph hGraph)
{
    CUresult result = next(hGraph);

    settle_memory();
    return result;
}

CUresult hook_cuDeviceGraphMemTrim(__typeof__(cuDeviceGraphMemTrim) *next, CUdevice device)
{
    CUresult result = next(device);

    settle_memory();
    return result;
}
