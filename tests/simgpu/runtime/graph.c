/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/runtime.h"

cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long flags)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = driver.cuGraphInstantiateWithFlags_v11040(exec, graph, flags);
    return runtime_finish(result);
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long flags)
{
    return cudaGraphInstantiateWithFlags(exec, graph, flags);
}

cudaError_t cudaGraphExecUpdate(cudaGraphExec_t exec, cudaGraph_t graph, cudaGraphExecUpdateResultInfo *info)
{
    CUresult result = runtime_enter();
    CUgraphExecUpdateResultInfo found;

    if (result == CUDA_SUCCESS && !info)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result != CUDA_SUCCESS)
        return runtime_finish(result);
    found = (CUgraphExecUpdateResultInfo){0};
    result = driver.cuGraphExecUpdate_v12000(exec, graph, &found);
    /* The answer explains the failure, so it is given with it. */
    info->result = (enum cudaGraphExecUpdateResult)found.result;
    info->errorNode = found.errorNode;
    info->errorFromNode = found.errorFromNode;
    return runtime_finish(result);
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = driver.cuGraphExecDestroy_v10000(exec);
    return runtime_finish(result);
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = driver.cuGraphDestroy_v10000(graph);
    return runtime_finish(result);
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t *nodes, size_t *count)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = driver.cuGraphGetNodes_v10000(graph, nodes, count);
    return runtime_finish(result);
}

cudaError_t cudaGraphNodeGetType(cudaGraphNode_t node, enum cudaGraphNodeType *type)
{
    CUresult result = runtime_enter();
    CUgraphNodeType found;

    if (result == CUDA_SUCCESS && !type)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        result = driver.cuGraphNodeGetType_v10000(node, &found);
    if (result == CUDA_SUCCESS)
        *type = (enum cudaGraphNodeType)found;
    return runtime_finish(result);
}
