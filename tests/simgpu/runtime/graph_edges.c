/* SPDX-License-Identifier: Apache-2.0 */
/* What a graph is made of: copies of it, its nodes and its edges. cudaGraphEdgeData and CUgraphEdgeData are one layout. */
#include "runtime/runtime.h"

cudaError_t cudaGraphClone(cudaGraph_t *clone, cudaGraph_t graph)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = driver.cuGraphClone_v10000(clone, graph);
    return runtime_finish(result);
}

cudaError_t cudaGraphNodeFindInClone(cudaGraphNode_t *node, cudaGraphNode_t original, cudaGraph_t clone)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = driver.cuGraphNodeFindInClone_v10000(node, original, clone);
    return runtime_finish(result);
}

cudaError_t cudaGraphChildGraphNodeGetGraph(cudaGraphNode_t node, cudaGraph_t *child)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = driver.cuGraphChildGraphNodeGetGraph_v10000(node, child);
    return runtime_finish(result);
}

cudaError_t cudaGraphDestroyNode(cudaGraphNode_t node)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = driver.cuGraphDestroyNode_v10000(node);
    return runtime_finish(result);
}

cudaError_t cudaGraphGetRootNodes(cudaGraph_t graph, cudaGraphNode_t *nodes, size_t *count)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = driver.cuGraphGetRootNodes_v10000(graph, nodes, count);
    return runtime_finish(result);
}

cudaError_t cudaGraphGetEdges(cudaGraph_t graph, cudaGraphNode_t *from, cudaGraphNode_t *to,
                              cudaGraphEdgeData *edges, size_t *count)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = driver.cuGraphGetEdges_v12030(graph, from, to, (CUgraphEdgeData *)edges, count);
    return runtime_finish(result);
}

cudaError_t cudaGraphNodeGetDependencies(cudaGraphNode_t node, cudaGraphNode_t *dependencies,
                                         cudaGraphEdgeData *edges, size_t *count)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result =
            driver.cuGraphNodeGetDependencies_v12030(node, dependencies, (CUgraphEdgeData *)edges, count);
    return runtime_finish(result);
}

cudaError_t cudaGraphNodeGetDependentNodes(cudaGraphNode_t node, cudaGraphNode_t *dependents,
                                           cudaGraphEdgeData *edges, size_t *count)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result =
            driver.cuGraphNodeGetDependentNodes_v12030(node, dependents, (CUgraphEdgeData *)edges, count);
    return runtime_finish(result);
}

cudaError_t cudaGraphAddDependencies(cudaGraph_t graph, const cudaGraphNode_t *from,
                                     const cudaGraphNode_t *to, const cudaGraphEdgeData *edges, size_t count)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = driver.cuGraphAddDependencies_v12030(graph, from, to, (const CUgraphEdgeData *)edges, count);
    return runtime_finish(result);
}

cudaError_t cudaGraphRemoveDependencies(cudaGraph_t graph, const cudaGraphNode_t *from,
                                        const cudaGraphNode_t *to, const cudaGraphEdgeData *edges,
                                        size_t count)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result =
            driver.cuGraphRemoveDependencies_v12030(graph, from, to, (const CUgraphEdgeData *)edges, count);
    return runtime_finish(result);
}
