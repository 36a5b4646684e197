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

cudaError_t cudaGraphCreate(cudaGraph_t *graph, unsigned int flags)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = driver.cuGraphCreate_v10000(graph, flags);
    return runtime_finish(result);
}

cudaError_t cudaUserObjectCreate(cudaUserObject_t *object, void *pointer, cudaHostFn_t destroy,
                                 unsigned int references, unsigned int flags)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = driver.cuUserObjectCreate_v11030(object, pointer, destroy, references, flags);
    return runtime_finish(result);
}

cudaError_t cudaUserObjectRetain(cudaUserObject_t object, unsigned int count)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = driver.cuUserObjectRetain_v11030(object, count);
    return runtime_finish(result);
}

cudaError_t cudaUserObjectRelease(cudaUserObject_t object, unsigned int count)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = driver.cuUserObjectRelease_v11030(object, count);
    return runtime_finish(result);
}

cudaError_t cudaGraphRetainUserObject(cudaGraph_t graph, cudaUserObject_t object, unsigned int count,
                                      unsigned int flags)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = driver.cuGraphRetainUserObject_v11030(graph, object, count, flags);
    return runtime_finish(result);
}

cudaError_t cudaGraphReleaseUserObject(cudaGraph_t graph, cudaUserObject_t object, unsigned int count)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = driver.cuGraphReleaseUserObject_v11030(graph, object, count);
    return runtime_finish(result);
}

cudaError_t cudaGraphExecGetFlags(cudaGraphExec_t exec, unsigned long long *flags)
{
    CUresult result = runtime_enter();
    cuuint64_t found;

    if (result == CUDA_SUCCESS && !flags)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        result = driver.cuGraphExecGetFlags_v12000(exec, &found);
    if (result == CUDA_SUCCESS)
        *flags = found;
    return runtime_finish(result);
}

cudaError_t cudaGraphNodeSetEnabled(cudaGraphExec_t exec, cudaGraphNode_t node, unsigned int enabled)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = driver.cuGraphNodeSetEnabled_v11060(exec, node, enabled);
    return runtime_finish(result);
}

cudaError_t cudaGraphNodeGetEnabled(cudaGraphExec_t exec, cudaGraphNode_t node, unsigned int *enabled)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = driver.cuGraphNodeGetEnabled_v11060(exec, node, enabled);
    return runtime_finish(result);
}
