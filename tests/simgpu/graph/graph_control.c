/* SPDX-License-Identifier: Apache-2.0 */
/* The same for nodes that move no data: host functions, child graphs, events, empty nodes. */
#include "graph/graph_nodes.h"

#include "graph/exec_handle.h"

static CUgraphNodeParams of_host(const CUDA_HOST_NODE_PARAMS *host)
{
    return (CUgraphNodeParams){.type = CU_GRAPH_NODE_TYPE_HOST, .host = {host->fn, host->userData}};
}

CUresult sim_cuGraphAddHostNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *after, size_t count,
                                const CUDA_HOST_NODE_PARAMS *host)
{
    return host ? node_add(node, graph, after, count, of_host(host)) : CUDA_ERROR_INVALID_VALUE;
}

CUresult sim_cuGraphHostNodeGetParams(CUgraphNode node, CUDA_HOST_NODE_PARAMS *host)
{
    CUgraphNodeParams params;
    CUresult result = host ? node_get(node, CU_GRAPH_NODE_TYPE_HOST, &params) : CUDA_ERROR_INVALID_VALUE;

    if (result == CUDA_SUCCESS)
        *host = (CUDA_HOST_NODE_PARAMS){params.host.fn, params.host.userData};
    return result;
}

CUresult sim_cuGraphHostNodeSetParams(CUgraphNode node, const CUDA_HOST_NODE_PARAMS *host)
{
    return host ? node_set(node, of_host(host)) : CUDA_ERROR_INVALID_VALUE;
}

CUresult sim_cuGraphExecHostNodeSetParams(CUgraphExec exec, CUgraphNode node,
                                          const CUDA_HOST_NODE_PARAMS *host)
{
    return host ? exec_set(exec, node, of_host(host)) : CUDA_ERROR_INVALID_VALUE;
}

CUresult sim_cuGraphAddChildGraphNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *after,
                                      size_t count, CUgraph child)
{
    CUgraphNodeParams params = {.type = CU_GRAPH_NODE_TYPE_GRAPH, .graph.graph = child};

    return node_add(node, graph, after, count, params);
}

CUresult sim_cuGraphChildGraphNodeGetGraph(CUgraphNode node, CUgraph *child)
{
    CUgraphNodeParams params;
    CUresult result = child ? node_get(node, CU_GRAPH_NODE_TYPE_GRAPH, &params) : CUDA_ERROR_INVALID_VALUE;

    if (result == CUDA_SUCCESS)
        *child = params.graph.graph;
    return result;
}

CUresult sim_cuGraphExecChildGraphNodeSetParams(CUgraphExec exec, CUgraphNode node, CUgraph child)
{
    CUgraphNodeParams params = {.type = CU_GRAPH_NODE_TYPE_GRAPH, .graph.graph = child};

    return exec_set(exec, node, params);
}

CUresult sim_cuGraphAddEmptyNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *after, size_t count)
{
    return node_add(node, graph, after, count, (CUgraphNodeParams){.type = CU_GRAPH_NODE_TYPE_EMPTY});
}

static CUgraphNodeParams of_event(CUgraphNodeType type, CUevent event)
{
    CUgraphNodeParams params = {.type = type};

    if (type == CU_GRAPH_NODE_TYPE_EVENT_RECORD)
        params.eventRecord.event = event;
    else
        params.eventWait.event = event;
    return params;
}

static CUresult get_event(CUgraphNode node, CUgraphNodeType type, CUevent *event)
{
    CUgraphNodeParams params;
    CUresult result = event ? node_get(node, type, &params) : CUDA_ERROR_INVALID_VALUE;

    if (result == CUDA_SUCCESS)
        *event = type == CU_GRAPH_NODE_TYPE_EVENT_RECORD ? params.eventRecord.event : params.eventWait.event;
    return result;
}

CUresult sim_cuGraphAddEventRecordNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *after,
                                       size_t count, CUevent event)
{
    return node_add(node, graph, after, count, of_event(CU_GRAPH_NODE_TYPE_EVENT_RECORD, event));
}

CUresult sim_cuGraphAddEventWaitNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *after, size_t count,
                                     CUevent event)
{
    return node_add(node, graph, after, count, of_event(CU_GRAPH_NODE_TYPE_WAIT_EVENT, event));
}

CUresult sim_cuGraphEventRecordNodeGetEvent(CUgraphNode node, CUevent *event)
{
    return get_event(node, CU_GRAPH_NODE_TYPE_EVENT_RECORD, event);
}

CUresult sim_cuGraphEventWaitNodeGetEvent(CUgraphNode node, CUevent *event)
{
    return get_event(node, CU_GRAPH_NODE_TYPE_WAIT_EVENT, event);
}

CUresult sim_cuGraphEventRecordNodeSetEvent(CUgraphNode node, CUevent event)
{
    return node_set(node, of_event(CU_GRAPH_NODE_TYPE_EVENT_RECORD, event));
}

CUresult sim_cuGraphEventWaitNodeSetEvent(CUgraphNode node, CUevent event)
{
    return node_set(node, of_event(CU_GRAPH_NODE_TYPE_WAIT_EVENT, event));
}

CUresult sim_cuGraphExecEventRecordNodeSetEvent(CUgraphExec exec, CUgraphNode node, CUevent event)
{
    return exec_set(exec, node, of_event(CU_GRAPH_NODE_TYPE_EVENT_RECORD, event));
}

CUresult sim_cuGraphExecEventWaitNodeSetEvent(CUgraphExec exec, CUgraphNode node, CUevent event)
{
    return exec_set(exec, node, of_event(CU_GRAPH_NODE_TYPE_WAIT_EVENT, event));
}
