/* SPDX-License-Identifier: Apache-2.0 */
/* The entries about memory that graphs allocate. */
#include "driver/handle.h"
#include "graph/graph.h"
#include "memory/graph_memory.h"

static CUresult judge(const CUDA_MEM_ALLOC_NODE_PARAMS *params)
{
    if (!params->bytesize || params->bytesize > SIZE_MAX - GRANULE ||
        params->poolProps.allocType != CU_MEM_ALLOCATION_TYPE_PINNED || params->poolProps.handleTypes ||
        (params->accessDescCount && !params->accessDescs) || params->accessDescCount > (size_t)device_count)
        return CUDA_ERROR_INVALID_VALUE;
    if (params->poolProps.location.type != CU_MEM_LOCATION_TYPE_DEVICE)
        return CUDA_ERROR_NOT_SUPPORTED;
    if (!device_at(params->poolProps.location.id))
        return CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; i < params->accessDescCount; i++)
        if (params->accessDescs[i].location.type != CU_MEM_LOCATION_TYPE_DEVICE ||
            !device_at(params->accessDescs[i].location.id))
            return CUDA_ERROR_INVALID_VALUE;
    return CUDA_SUCCESS;
}

/* A node that takes the reference over, also on failure. The lock is held. */
static CUresult add_node(CUgraphNode *created, CUgraph handle, const CUgraphNode *after, size_t count,
                         CUgraphNodeType type, struct graph_memory *memory)
{
    struct work work = {.kind = WORK_EMPTY};
    struct graph *graph = (struct graph *)handle;
    struct node *node;
    CUresult result = !handle_is(handle, HANDLE_GRAPH) ? CUDA_ERROR_INVALID_VALUE
                      : graph->is_child                ? CUDA_ERROR_NOT_SUPPORTED
                                                       : CUDA_SUCCESS;

    if (result == CUDA_SUCCESS)
        result = graph_add(graph, type, &work, (struct node *const *)after, count, &node);
    if (result != CUDA_SUCCESS) {
        graph_memory_drop(memory);
        return result;
    }
    node->memory = memory;
    *created = (CUgraphNode)node;
    return CUDA_SUCCESS;
}

CUresult sim_cuGraphAddMemAllocNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *after, size_t count,
                                    CUDA_MEM_ALLOC_NODE_PARAMS *params)
{
    struct graph_memory *memory;
    CUresult result = node && params && (!count || after) ? judge(params) : CUDA_ERROR_INVALID_VALUE;
    uintptr_t start;

    if (result != CUDA_SUCCESS)
        return result;
    sim_lock();
    result = graph_memory_create(params, &memory);
    if (result != CUDA_SUCCESS)
        return sim_leave(result);
    start = graph_memory_params(memory)->dptr;
    result = add_node(node, graph, after, count, CU_GRAPH_NODE_TYPE_MEM_ALLOC, memory);
    if (result == CUDA_SUCCESS)
        params->dptr = start;
    return sim_leave(result);
}

CUresult sim_cuGraphAddMemFreeNode(CUgraphNode *node, CUgraph handle, const CUgraphNode *after, size_t count,
                                   CUdeviceptr address)
{
    const struct graph *graph = (const struct graph *)handle;
    struct memory *memory;

    if (!node || (count && !after))
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    memory = memory_exact(address, MEMORY_GRAPH);
    if (!memory || !handle_is(handle, HANDLE_GRAPH) || graph_frees(graph, memory->graph))
        return sim_leave(CUDA_ERROR_INVALID_VALUE);
    graph_memory_hold(memory->graph);
    return sim_leave(add_node(node, handle, after, count, CU_GRAPH_NODE_TYPE_MEM_FREE, memory->graph));
}

/* The parameters of a node of that type, or NULL. */
static const CUDA_MEM_ALLOC_NODE_PARAMS *params_of(CUgraphNode handle, CUgraphNodeType type)
{
    const struct node *node = (const struct node *)handle;

    return handle_is(handle, HANDLE_NODE) && node->type == type ? graph_memory_params(node->memory) : NULL;
}

CUresult sim_cuGraphMemAllocNodeGetParams(CUgraphNode node, CUDA_MEM_ALLOC_NODE_PARAMS *params)
{
    const CUDA_MEM_ALLOC_NODE_PARAMS *found;

    sim_lock();
    found = params_of(node, CU_GRAPH_NODE_TYPE_MEM_ALLOC);
    if (found && params)
        *params = *found;
    return sim_leave(found && params ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE);
}

CUresult sim_cuGraphMemFreeNodeGetParams(CUgraphNode node, CUdeviceptr *address)
{
    const CUDA_MEM_ALLOC_NODE_PARAMS *found;

    sim_lock();
    found = params_of(node, CU_GRAPH_NODE_TYPE_MEM_FREE);
    if (found && address)
        *address = found->dptr;
    return sim_leave(found && address ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE);
}

CUresult sim_cuDeviceGraphMemTrim(CUdevice ordinal)
{
    const struct device *device = device_at(ordinal);

    if (!device)
        return CUDA_ERROR_INVALID_DEVICE;
    sim_lock();
    graph_memory_trim(device);
    return sim_leave(CUDA_SUCCESS);
}

CUresult sim_cuDeviceGetGraphMemAttribute(CUdevice ordinal, CUgraphMem_attribute attribute, void *value)
{
    const struct device *device = device_at(ordinal);

    if (!device)
        return CUDA_ERROR_INVALID_DEVICE;
    if (!value)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    return sim_leave(graph_memory_bytes(device, attribute, value));
}

CUresult sim_cuDeviceSetGraphMemAttribute(CUdevice ordinal, CUgraphMem_attribute attribute, void *value)
{
    const struct device *device = device_at(ordinal);

    if (!device)
        return CUDA_ERROR_INVALID_DEVICE;
    if (!value || *(const cuuint64_t *)value)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    return sim_leave(graph_memory_forget(device, attribute));
}
