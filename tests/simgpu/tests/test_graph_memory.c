/* SPDX-License-Identifier: Apache-2.0 */
#include "driver.h"

#include <criterion/criterion.h>

/* A graph with one allocation that stays and one that it frees; both are set. */
static CUgraph allocating(CUdeviceptr *kept)
{
    CUDA_MEM_ALLOC_NODE_PARAMS params = {.poolProps = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                                                       .location = {CU_MEM_LOCATION_TYPE_DEVICE, 0}},
                                         .bytesize = 3 * GRANULE / 2};
    CUDA_MEMSET_NODE_PARAMS set = {.elementSize = 4, .value = 7, .width = 16, .height = 1};
    CUgraphNode nodes[2], sets[2], freed;
    CUcontext context;
    CUgraph graph;

    must(cuCtxGetCurrent(&context));
    must(cuGraphCreate(&graph, 0));
    for (int i = 0; i < 2; i++) {
        must(cuGraphAddMemAllocNode(&nodes[i], graph, NULL, 0, &params));
        set.dst = params.dptr;
        must(cuGraphAddMemsetNode(&sets[i], graph, &nodes[i], 1, &set, context));
        if (i == 0)
            *kept = params.dptr;
    }
    must(cuGraphAddMemFreeNode(&freed, graph, &sets[1], 1, params.dptr));
    cr_assert_eq(cuGraphAddMemFreeNode(&freed, graph, &sets[1], 1, params.dptr), CUDA_ERROR_INVALID_VALUE);
    return graph;
}

static size_t reserved(void)
{
    cuuint64_t bytes;

    must(cuDeviceGetGraphMemAttribute(0, CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT, &bytes));
    return bytes;
}

Test(graph, memory_of_its_own_is_there_from_the_launch_until_a_trim_finds_it_unused)
{
    unsigned values[16];
    CUdeviceptr kept;
    CUgraphExec exec;
    CUgraph graph;

    start();
    graph = allocating(&kept);
    must(cuGraphInstantiate(&exec, graph, 0));
    cr_assert_eq(reserved(), 0);
    must(cuGraphLaunch(exec, NULL));
    cr_assert_eq(reserved(), 4 * GRANULE);
    must(cuMemcpyDtoH(values, kept, sizeof values));
    cr_assert(values[0] == 7 && values[15] == 7);
    must(cuDeviceGraphMemTrim(0));
    cr_assert_eq(reserved(), 2 * GRANULE, "what the program may use stays");
    must(cuMemFree(kept));
    cr_assert_eq(cuMemFree(kept), CUDA_ERROR_INVALID_VALUE);
    must(cuGraphExecDestroy(exec));
    must(cuGraphDestroy(graph));
    cr_assert_eq(reserved(), 2 * GRANULE, "kept for the next graph");
    must(cuDeviceGraphMemTrim(0));
    cr_assert_eq(reserved(), 0);
}

Test(graph, an_allocation_that_lives_keeps_its_graph_from_being_launched_again)
{
    CUgraphExec exec, second;
    CUdeviceptr kept;
    CUgraph graph;

    start();
    graph = allocating(&kept);
    must(cuGraphInstantiate(&exec, graph, 0));
    cr_assert_eq(cuGraphInstantiate(&second, graph, 0), CUDA_ERROR_INVALID_VALUE, "one at a time");
    cr_assert_eq(cuGraphClone(&graph, graph), CUDA_ERROR_NOT_SUPPORTED);
    must(cuGraphLaunch(exec, NULL));
    cr_assert_eq(cuGraphLaunch(exec, NULL), CUDA_ERROR_INVALID_VALUE);
    must(cuMemFreeAsync(kept, NULL));
    must(cuGraphLaunch(exec, NULL));
    must(cuGraphExecDestroy(exec));
    must(cuGraphInstantiate(&exec, graph, CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH));
    must(cuGraphLaunch(exec, NULL));
    must(cuGraphLaunch(exec, NULL));
    must(cuCtxSynchronize());
    must(cuGraphExecDestroy(exec));
    must(cuGraphDestroy(graph));
    must(cuMemFree(kept));
}

Test(graph, the_entry_for_any_node_adds_allocations_and_frees)
{
    CUgraphNodeParams allocation = {.type = CU_GRAPH_NODE_TYPE_MEM_ALLOC,
                                    .alloc = {.poolProps = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                                                            .location = {CU_MEM_LOCATION_TYPE_DEVICE, 0}},
                                              .bytesize = GRANULE}};
    CUgraphNodeParams freeing = {.type = CU_GRAPH_NODE_TYPE_MEM_FREE}, wrong;
    CUDA_MEM_ALLOC_NODE_PARAMS told;
    CUmemAccessDesc grants[65];
    CUgraphEdgeData edge = {0};
    CUgraphNode node, last;
    CUgraphExec exec;
    CUdeviceptr kept;
    CUgraph graph;

    start();
    must(cuGraphCreate(&graph, 0));
    must(cuGraphAddNode(&node, graph, NULL, NULL, 0, &allocation));
    kept = allocation.alloc.dptr;
    must(cuGraphMemAllocNodeGetParams(node, &told));
    cr_assert(told.dptr == kept && told.bytesize == GRANULE);
    must(cuGraphAddNode(&node, graph, &node, &edge, 1, &allocation));
    cr_assert_neq(allocation.alloc.dptr, kept);
    cr_assert_eq(cuGraphNodeSetParams(node, &allocation), CUDA_ERROR_NOT_SUPPORTED, "it stays what it is");
    freeing.free.dptr = allocation.alloc.dptr;
    must(cuGraphAddNode(&last, graph, &node, NULL, 1, &freeing));
    cr_assert_eq(cuGraphAddNode(&last, graph, &node, NULL, 1, &freeing), CUDA_ERROR_INVALID_VALUE, "once");
    must(cuGraphInstantiate(&exec, graph, 0));
    must(cuGraphLaunch(exec, NULL));
    cr_assert_eq(reserved(), 2 * GRANULE);
    must(cuMemFree(kept));
    must(cuGraphExecDestroy(exec));

    wrong = allocation;
    wrong.reserved0[2] = 1;
    cr_expect_eq(cuGraphAddNode(&last, graph, NULL, NULL, 0, &wrong), CUDA_ERROR_INVALID_VALUE);
    wrong = allocation;
    wrong.reserved2 = 1;
    cr_expect_eq(cuGraphAddNode(&last, graph, NULL, NULL, 0, &wrong), CUDA_ERROR_INVALID_VALUE);
    wrong = allocation;
    wrong.reserved1[28] = 1;
    cr_expect_eq(cuGraphAddNode(&last, graph, NULL, NULL, 0, &wrong), CUDA_ERROR_INVALID_VALUE,
                 "unused bytes");
    wrong = allocation;
    wrong.alloc.bytesize = 0;
    cr_expect_eq(cuGraphAddNode(&last, graph, NULL, NULL, 0, &wrong), CUDA_ERROR_INVALID_VALUE);
    wrong = allocation;
    wrong.alloc.poolProps.handleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
    cr_expect_eq(cuGraphAddNode(&last, graph, NULL, NULL, 0, &wrong), CUDA_ERROR_INVALID_VALUE);
    wrong = allocation;
    for (size_t i = 0; i < sizeof grants / sizeof *grants; i++)
        grants[i] =
            (CUmemAccessDesc){allocation.alloc.poolProps.location, CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    wrong.alloc.accessDescs = grants;
    wrong.alloc.accessDescCount = sizeof grants / sizeof *grants;
    cr_expect_eq(cuGraphAddNode(&last, graph, NULL, NULL, 0, &wrong), CUDA_ERROR_INVALID_VALUE,
                 "more than GPUs");
    cr_expect_eq(cuGraphAddNode(&last, graph, (CUgraphNode[]){node, node}, NULL, 2, &allocation),
                 CUDA_ERROR_INVALID_VALUE, "each once");
    edge.type = 1;
    cr_expect_eq(cuGraphAddNode(&last, graph, &node, &edge, 1, &allocation), CUDA_ERROR_NOT_SUPPORTED);
    must(cuGraphDestroy(graph));
}

Test(graph, memory_allocated_in_a_capture_is_the_graphs)
{
    CUgraphNode nodes[4];
    CUgraphNodeType type;
    CUdeviceptr kept, gone, outside;
    CUgraphExec exec;
    CUstream stream;
    CUgraph graph;
    size_t count = 4, allocations = 0;

    start();
    must(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    must(cuMemAllocAsync(&outside, GRANULE, stream));
    must(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
    must(cuMemAllocAsync(&kept, GRANULE, stream));
    must(cuMemAllocAsync(&gone, GRANULE, stream));
    must(cuMemFreeAsync(gone, stream));
    cr_assert_eq(cuMemFreeAsync(gone, stream), CUDA_ERROR_INVALID_VALUE, "once");
    cr_assert_eq(cuMemFreeAsync(outside, stream), CUDA_ERROR_INVALID_VALUE, "no graph's");
    must(cuStreamEndCapture(stream, &graph));
    must(cuGraphGetNodes(graph, nodes, &count));
    cr_assert_eq(count, 3);
    for (size_t i = 0; i < count; i++) {
        must(cuGraphNodeGetType(nodes[i], &type));
        allocations += type == CU_GRAPH_NODE_TYPE_MEM_ALLOC;
    }
    cr_assert_eq(allocations, 2);
    must(cuGraphInstantiate(&exec, graph, 0));
    must(cuGraphLaunch(exec, stream));
    cr_assert_eq(reserved(), 2 * GRANULE);
    must(cuMemsetD8Async(kept, 1, GRANULE, stream));
    must(cuMemFreeAsync(kept, stream));
    must(cuMemFreeAsync(outside, stream));
    must(cuStreamSynchronize(stream));
    must(cuGraphExecDestroy(exec));
    must(cuGraphDestroy(graph));
    must(cuDeviceGraphMemTrim(0));
    cr_assert_eq(reserved(), 0);
}
