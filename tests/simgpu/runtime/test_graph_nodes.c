/* SPDX-License-Identifier: Apache-2.0 */
/* Graphs that a program makes by hand through the runtime. Each case is a process of its own. */
#include <criterion/criterion.h>
#include <cuda_runtime_api.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    COUNT = 1000,
    BYTES = COUNT * sizeof(unsigned)
};

#define OK(call)                                                                                             \
    do {                                                                                                     \
        cudaError_t ok_error = (call);                                                                       \
        cr_assert_eq(ok_error, cudaSuccess, "%s: %s", #call, cudaGetErrorName(ok_error));                    \
    } while (0)

/* A kernel that adds 3 to each, and its parameters. */
struct adder {
    cudaKernel_t kernel;
    unsigned *memory, value;
    unsigned long long count;
    void *arguments[3];
};

static void adder_make(struct adder *adder)
{
    cudaLibrary_t library;

    *adder = (struct adder){.value = 3, .count = COUNT};
    adder->arguments[0] = &adder->memory;
    adder->arguments[1] = &adder->value;
    adder->arguments[2] = &adder->count;
    OK(cudaLibraryLoadFromFile(&library, getenv("TEST_KERNELS"), NULL, NULL, 0, NULL, NULL, 0));
    OK(cudaLibraryGetKernel(&adder->kernel, library, "add"));
    OK(cudaMalloc((void **)&adder->memory, BYTES));
    OK(cudaMemset(adder->memory, 0, BYTES));
}

static struct cudaKernelNodeParams launch_of(struct adder *adder)
{
    return (struct cudaKernelNodeParams){.func = (void *)adder->kernel,
                                         .gridDim = {4, 1, 1},
                                         .blockDim = {64, 1, 1},
                                         .kernelParams = adder->arguments};
}

static struct cudaMemsetParams set_of(void *memory, unsigned value)
{
    return (struct cudaMemsetParams){
        .dst = memory, .value = value, .elementSize = 4, .width = COUNT, .height = 1};
}

static cudaGraphExec_t run(cudaGraph_t graph)
{
    cudaGraphExec_t exec;

    OK(cudaGraphInstantiate(&exec, graph, 0));
    OK(cudaGraphLaunch(exec, NULL));
    OK(cudaDeviceSynchronize());
    return exec;
}

static void expect_all(const unsigned *host, unsigned value)
{
    for (int i = 0; i < COUNT; i++)
        cr_assert_eq(host[i], value, "[%d] is %u", i, host[i]);
}

Test(graph_nodes, of_each_type_do_what_their_parameters_say)
{
    static unsigned host[COUNT];
    cudaGraphNode_t set, add, copy, empty, from[4], to[4];
    struct cudaKernelNodeParams launch;
    struct cudaMemsetParams memset_params;
    cudaGraphExec_t exec;
    struct adder adder;
    cudaGraph_t graph;
    size_t count = 4;

    adder_make(&adder);
    launch = launch_of(&adder);
    memset_params = set_of(adder.memory, 4);
    OK(cudaGraphCreate(&graph, 0));
    OK(cudaGraphAddMemsetNode(&set, graph, NULL, 0, &memset_params));
    OK(cudaGraphAddKernelNode(&add, graph, &set, 1, &launch));
    OK(cudaGraphAddEmptyNode(&empty, graph, &add, 1));
    OK(cudaGraphAddMemcpyNode1D(&copy, graph, &empty, 1, host, adder.memory, BYTES, cudaMemcpyDeviceToHost));
    OK(cudaGraphGetEdges(graph, from, to, NULL, &count));
    cr_assert(count == 3 && from[0] == set && to[0] == add);
    exec = run(graph);
    expect_all(host, 7);
    memset_params.value = 10;
    OK(cudaGraphExecMemsetNodeSetParams(exec, set, &memset_params));
    adder.value = 5;
    OK(cudaGraphExecKernelNodeSetParams(exec, add, &launch));
    OK(cudaGraphLaunch(exec, NULL));
    OK(cudaDeviceSynchronize());
    expect_all(host, 15);
    OK(cudaGraphMemsetNodeSetParams(set, &memset_params));
    OK(cudaGraphExecDestroy(exec));
    OK(cudaGraphExecDestroy(run(graph)));
    expect_all(host, 13);
    cr_assert_eq(cudaGraphAddMemsetNode(&set, graph, NULL, 0, NULL), cudaErrorInvalidValue);
    cr_assert_eq(cudaGetLastError(), cudaErrorInvalidValue);
}

Test(graph_nodes, of_any_type_are_added_by_one_function)
{
    static unsigned host[COUNT];
    struct cudaGraphNodeParams set = {.type = cudaGraphNodeTypeMemset},
                               add = {.type = cudaGraphNodeTypeKernel},
                               copy = {.type = cudaGraphNodeTypeMemcpy},
                               child = {.type = cudaGraphNodeTypeGraph};
    cudaGraph_t graph, inner;
    cudaGraphNode_t node;
    struct adder adder;

    adder_make(&adder);
    set.memset.dst = adder.memory;
    set.memset.value = 4;
    set.memset.elementSize = 4;
    set.memset.width = COUNT;
    set.memset.height = 1;
    add.kernel.func = (void *)adder.kernel;
    add.kernel.gridDim = (dim3){4, 1, 1};
    add.kernel.blockDim = (dim3){64, 1, 1};
    add.kernel.kernelParams = adder.arguments;
    copy.memcpy.copyParams = (struct cudaMemcpy3DParms){.srcPtr = {adder.memory, BYTES, BYTES, 1},
                                                        .dstPtr = {host, BYTES, BYTES, 1},
                                                        .extent = {BYTES, 1, 1},
                                                        .kind = cudaMemcpyDefault};
    OK(cudaGraphCreate(&inner, 0));
    OK(cudaGraphAddNode(&node, inner, NULL, NULL, 0, &set));
    OK(cudaGraphAddNode(&node, inner, &node, NULL, 1, &add));
    OK(cudaGraphCreate(&graph, 0));
    child.graph.graph = inner;
    OK(cudaGraphAddNode(&node, graph, NULL, NULL, 0, &child));
    OK(cudaGraphAddNode(&node, graph, &node, NULL, 1, &copy));
    OK(cudaGraphExecDestroy(run(graph)));
    expect_all(host, 7);
    cr_assert_eq(cudaGraphAddNode(&node, graph, NULL, NULL, 0, NULL), cudaErrorInvalidValue);
    copy.memcpy.copyParams.kind = (enum cudaMemcpyKind)9;
    cr_assert_eq(cudaGraphAddNode(&node, graph, NULL, NULL, 0, &copy), cudaErrorInvalidMemcpyDirection);
    add.kernel.func = NULL;
    cr_assert_eq(cudaGraphAddNode(&node, graph, NULL, NULL, 0, &add), cudaErrorInvalidDeviceFunction);
    cr_assert_eq(cudaGetLastError(), cudaErrorInvalidDeviceFunction);
}

Test(graph_nodes, allocate_memory_of_the_graphs_own)
{
    static unsigned host[COUNT];
    struct cudaGraphNodeParams allocation = {.type = cudaGraphNodeTypeMemAlloc};
    struct cudaMemsetParams set;
    cudaGraphNode_t node;
    cudaGraph_t graph;

    allocation.alloc.poolProps.allocType = cudaMemAllocationTypePinned;
    allocation.alloc.poolProps.location = (struct cudaMemLocation){cudaMemLocationTypeDevice, 0};
    allocation.alloc.bytesize = BYTES;
    OK(cudaGraphCreate(&graph, 0));
    OK(cudaGraphAddNode(&node, graph, NULL, NULL, 0, &allocation));
    cr_assert_not_null(allocation.alloc.dptr);
    set = set_of(allocation.alloc.dptr, 9);
    OK(cudaGraphAddMemsetNode(&node, graph, &node, 1, &set));
    OK(cudaGraphAddMemcpyNode1D(&node, graph, &node, 1, host, allocation.alloc.dptr, BYTES,
                                cudaMemcpyDeviceToHost));
    OK(cudaGraphAddMemFreeNode(&node, graph, &node, 1, allocation.alloc.dptr));
    OK(cudaGraphExecDestroy(run(graph)));
    expect_all(host, 9);
}

Test(graph_nodes, choose_a_body_by_their_condition)
{
    struct cudaGraphNodeParams branch = {.type = cudaGraphNodeTypeConditional};
    static unsigned host[COUNT];
    struct cudaMemsetParams set;
    cudaGraphNode_t node;
    cudaGraph_t graph;
    void *memory;

    OK(cudaMalloc(&memory, BYTES));
    OK(cudaMemset(memory, 0, BYTES));
    OK(cudaGraphCreate(&graph, 0));
    OK(cudaGraphConditionalHandleCreate(&branch.conditional.handle, graph, 0, cudaGraphCondAssignDefault));
    branch.conditional.type = cudaGraphCondTypeIf;
    branch.conditional.size = 2;
    OK(cudaGraphAddNode(&node, graph, NULL, NULL, 0, &branch));
    OK(cudaGraphAddMemcpyNode1D(&node, graph, &node, 1, host, memory, BYTES, cudaMemcpyDeviceToHost));
    for (unsigned i = 0; i < 2; i++) {
        set = set_of(memory, 3 + i);
        OK(cudaGraphAddMemsetNode(&node, branch.conditional.phGraph_out[i], NULL, 0, &set));
    }
    OK(cudaGraphExecDestroy(run(graph)));
    expect_all(host, 4);
}

static int called;

static void call(void *data)
{
    called += *(int *)data;
}

Test(graph_nodes, are_cloned_joined_and_taken_away)
{
    struct cudaHostNodeParams host = {call, &(int){5}};
    cudaGraphNode_t first, second, event_node, twin, after[2];
    cudaGraph_t graph, clone;
    cudaEvent_t event;
    size_t count = 2;

    OK(cudaEventCreate(&event));
    OK(cudaGraphCreate(&graph, 0));
    OK(cudaGraphAddHostNode(&first, graph, NULL, 0, &host));
    OK(cudaGraphAddHostNode(&second, graph, NULL, 0, &host));
    OK(cudaGraphAddDependencies(graph, &first, &second, NULL, 1));
    OK(cudaGraphAddEventRecordNode(&event_node, graph, &second, 1, event));
    OK(cudaGraphNodeGetDependentNodes(first, after, NULL, &count));
    cr_assert(count == 1 && after[0] == second);
    OK(cudaGraphClone(&clone, graph));
    OK(cudaGraphNodeFindInClone(&twin, second, clone));
    OK(cudaGraphDestroyNode(twin));
    OK(cudaGraphExecDestroy(run(clone)));
    cr_assert_eq(called, 5);
    OK(cudaGraphExecDestroy(run(graph)));
    cr_assert_eq(called, 15);
    OK(cudaEventSynchronize(event));
}

static void finish(void *data)
{
    __atomic_store_n((int *)data, 1, __ATOMIC_RELEASE);
}

Test(graph_nodes, a_user_object_ends_with_the_last_that_holds_it)
{
    static int is_over;
    time_t until = time(NULL) + 20;
    cudaUserObject_t object;
    cudaGraphExec_t exec;
    cudaGraphNode_t node;
    cudaGraph_t graph;

    OK(cudaGraphCreate(&graph, 0));
    OK(cudaGraphAddEmptyNode(&node, graph, NULL, 0));
    OK(cudaUserObjectCreate(&object, &is_over, finish, 1, cudaUserObjectNoDestructorSync));
    OK(cudaGraphRetainUserObject(graph, object, 1, cudaGraphUserObjectMove));
    exec = run(graph);
    OK(cudaGraphDestroy(graph));
    cr_assert_eq(__atomic_load_n(&is_over, __ATOMIC_ACQUIRE), 0);
    OK(cudaGraphExecDestroy(exec));
    while (!__atomic_load_n(&is_over, __ATOMIC_ACQUIRE) && time(NULL) < until)
        sched_yield();
    cr_assert_eq(is_over, 1);
    cr_assert_eq(cudaUserObjectRelease(object, 1), cudaErrorInvalidValue);
}
