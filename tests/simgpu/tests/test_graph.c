/* SPDX-License-Identifier: Apache-2.0 */
#include "driver.h"

#include <criterion/criterion.h>

/* A graph of set -> add -> copy to the host, with its nodes. */
struct chain {
    CUgraph graph;
    CUgraphNode set, add, copy;
    CUdeviceptr data;
    uint32_t *host;
};

static void chain_build(struct chain *chain, uint32_t value)
{
    CUDA_MEMSET_NODE_PARAMS set = {
        .dst = chain->data, .value = value, .elementSize = 4, .width = 4, .height = 1};
    uint64_t count = 1;
    void *params[] = {&chain->data, &chain->data, &count};
    CUDA_KERNEL_NODE_PARAMS add = {kernel("add"), 1, 1, 1, 1, 1, 1, 0, params, NULL, NULL, NULL};
    CUDA_MEMCPY3D copy = {.srcMemoryType = CU_MEMORYTYPE_DEVICE,
                          .srcDevice = chain->data,
                          .dstMemoryType = CU_MEMORYTYPE_HOST,
                          .dstHost = chain->host,
                          .WidthInBytes = 4,
                          .Height = 1,
                          .Depth = 1};
    CUcontext context;

    must(cuCtxGetCurrent(&context));
    must(cuGraphCreate(&chain->graph, 0));
    must(cuGraphAddMemsetNode(&chain->set, chain->graph, NULL, 0, &set, context));
    must(cuGraphAddKernelNode(&chain->add, chain->graph, &chain->set, 1, &add));
    must(cuGraphAddMemcpyNode(&chain->copy, chain->graph, &chain->add, 1, &copy, context));
}

static struct chain chain_new(uint32_t value)
{
    struct chain chain = {.host = flags()};

    must(cuMemAlloc(&chain.data, 4096));
    chain_build(&chain, value);
    return chain;
}

static void launch_and_wait(CUgraphExec exec)
{
    must(cuGraphLaunch(exec, NULL));
    must(cuCtxSynchronize());
}

Test(graph, nodes_run_in_the_order_of_their_edges)
{
    struct chain chain;
    CUgraphExec exec;
    CUgraphNode from[4], to[4];
    size_t count = 4;
    CUgraphNodeType type;

    start();
    chain = chain_new(21);
    must(cuGraphGetEdges(chain.graph, from, to, NULL, &count));
    cr_assert(count == 2 && from[0] == chain.set && to[0] == chain.add && from[2] == NULL);
    must(cuGraphNodeGetType(chain.copy, &type));
    cr_assert_eq(type, CU_GRAPH_NODE_TYPE_MEMCPY);
    must(cuGraphInstantiate(&exec, chain.graph, 0));
    launch_and_wait(exec);
    cr_assert_eq(*chain.host, 42);
}

Test(graph, parameters_of_a_node_can_be_read_back)
{
    CUDA_KERNEL_NODE_PARAMS params;
    CUDA_MEMSET_NODE_PARAMS set;
    struct chain chain;

    start();
    chain = chain_new(21);
    must(cuGraphKernelNodeGetParams(chain.add, &params));
    cr_assert_eq(*(CUdeviceptr *)params.kernelParams[0], chain.data);
    cr_assert_eq(*(uint64_t *)params.kernelParams[2], 1);
    must(cuGraphMemsetNodeGetParams(chain.set, &set));
    cr_assert(set.dst == chain.data && set.value == 21);
    cr_assert_eq(cuGraphMemsetNodeGetParams(chain.add, &set), CUDA_ERROR_INVALID_VALUE);
}

Test(graph, an_instance_is_updated_whole_or_node_by_node)
{
    CUDA_MEMSET_NODE_PARAMS set;
    CUgraphExecUpdateResultInfo info;
    CUcontext context = start();
    struct chain chain = chain_new(1), other = {0};
    CUgraphExec exec;
    CUgraphNode extra;

    must(cuGraphInstantiate(&exec, chain.graph, 0));
    must(cuGraphMemsetNodeGetParams(chain.set, &set));
    set.value = 5;
    must(cuGraphExecMemsetNodeSetParams(exec, chain.set, &set, context));
    launch_and_wait(exec);
    cr_assert_eq(*chain.host, 10);
    other.data = chain.data;
    other.host = chain.host;
    chain_build(&other, 7);
    must(cuGraphExecUpdate(exec, other.graph, &info));
    launch_and_wait(exec);
    cr_assert_eq(*chain.host, 14);
    must(cuGraphAddEmptyNode(&extra, other.graph, NULL, 0));
    cr_assert_eq(cuGraphExecUpdate(exec, other.graph, &info), CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE);
    cr_assert_eq(info.result, CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED);
    must(cuGraphNodeSetEnabled(exec, chain.add, 0));
    launch_and_wait(exec);
    cr_assert_eq(*chain.host, 7);
}

Test(graph, an_update_leaves_launches_under_way_alone)
{
    CUDA_MEMSET_NODE_PARAMS set;
    CUcontext context = start();
    struct chain chain = chain_new(1);
    CUstream stream;
    uint32_t *flag = flags();
    CUgraphExec exec;

    must(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    must(cuGraphInstantiate(&exec, chain.graph, 0));
    must(launch("wait", stream, (void *[]){&flag}));
    must(cuGraphLaunch(exec, stream));
    must(cuGraphMemsetNodeGetParams(chain.set, &set));
    set.value = 50;
    must(cuGraphExecMemsetNodeSetParams(exec, chain.set, &set, context));
    let_go(flag);
    must(cuStreamSynchronize(stream));
    cr_assert_eq(*chain.host, 2);
    launch_and_wait(exec);
    cr_assert_eq(*chain.host, 100);
}

static void count_calls(void *data)
{
    ++*(int *)data;
}

Test(graph, children_clones_hosts_and_events_take_part)
{
    CUDA_HOST_NODE_PARAMS host;
    CUgraphNode child, call, record, twin;
    CUgraphExec exec;
    struct chain chain;
    CUgraph graph, clone;
    CUevent event;
    int calls = 0;

    start();
    chain = chain_new(3);
    host = (CUDA_HOST_NODE_PARAMS){count_calls, &calls};
    must(cuEventCreate(&event, 0));
    must(cuGraphCreate(&graph, 0));
    must(cuGraphAddChildGraphNode(&child, graph, NULL, 0, chain.graph));
    must(cuGraphAddHostNode(&call, graph, &child, 1, &host));
    must(cuGraphAddEventRecordNode(&record, graph, &call, 1, event));
    must(cuGraphClone(&clone, graph));
    must(cuGraphNodeFindInClone(&twin, call, clone));
    cr_assert_neq(twin, call);
    must(cuGraphDestroy(graph));
    must(cuGraphInstantiate(&exec, clone, 0));
    must(cuGraphLaunch(exec, NULL));
    must(cuEventSynchronize(event));
    cr_assert(*chain.host == 6 && calls == 1);
}

Test(graph, edges_make_no_circle_and_nodes_can_be_removed)
{
    struct chain chain;
    size_t count = 0;

    start();
    chain = chain_new(3);
    cr_assert_eq(cuGraphAddDependencies(chain.graph, &chain.copy, &chain.set, NULL, 1),
                 CUDA_ERROR_INVALID_VALUE);
    must(cuGraphRemoveDependencies(chain.graph, &chain.add, &chain.copy, NULL, 1));
    must(cuGraphAddDependencies(chain.graph, &chain.copy, &chain.set, NULL, 1));
    must(cuGraphDestroyNode(chain.add));
    must(cuGraphGetNodes(chain.graph, NULL, &count));
    cr_assert_eq(count, 2);
    cr_assert_eq(cuGraphDestroyNode(chain.add), CUDA_ERROR_INVALID_VALUE);
}

Test(graph, a_copy_whose_memory_moved_to_the_host_cannot_be_set_in_an_instance)
{
    CUDA_MEMSET_NODE_PARAMS set = {.elementSize = 4, .width = 4, .height = 1};
    CUmemGenericAllocationHandle handle;
    CUcontext context = start();
    CUdeviceptr address = mapped(&handle);
    CUgraphExec exec;
    CUgraphNode node;
    CUgraph graph;

    set.dst = address;
    must(cuGraphCreate(&graph, 0));
    must(cuGraphAddMemsetNode(&node, graph, NULL, 0, &set, context));
    must(cuGraphInstantiate(&exec, graph, 0));
    must(cuGraphExecMemsetNodeSetParams(exec, node, &set, context));
    must(cuMemUnmap(address, GRANULE));
    must(cuMemMap(address, GRANULE, 0, physical_host(), 0));
    must(grant(address, GRANULE));
    cr_assert_eq(cuGraphExecMemsetNodeSetParams(exec, node, &set, context), CUDA_ERROR_INVALID_VALUE);
}
