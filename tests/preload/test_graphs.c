/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded on the simulated driver with a device budget of 16 MiB: captures, graphs, pools. */
#include "world.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

enum {
    BLOCKS = 10,
    FREEING = 2,
    CONTEXTS = 12,
    CAPTURES = 1000,
    NAMED = 200
};
#define BLOCK_BYTES (4 * MIB)
#define BLOCK_COUNT (BLOCK_BYTES / sizeof(float))

static void push_out(const struct world *world, const CUdeviceptr *block)
{
    for (unsigned i = 4; i < BLOCKS; i++)
        OK(world_add(world, block[i], block[i], 0, NULL));
    OK(cuCtxSynchronize());
}

static void make(CUdeviceptr *block)
{
    for (unsigned i = 0; i < BLOCKS; i++) {
        OK(cuMemAlloc(&block[i], BLOCK_BYTES));
        OK(cuMemsetD32(block[i], bits_of(1), BLOCK_COUNT));
    }
}

static void release(const CUdeviceptr *block)
{
    for (unsigned i = 0; i < BLOCKS; i++)
        OK(cuMemFree(block[i]));
}

static CUgraphExec capture(const struct world *world, CUstream stream, const CUdeviceptr *block)
{
    CUgraph graph;
    CUgraphExec executable;

    /* A warm-up, as frameworks do: nothing can leave during a capture to make room for what it names. */
    OK(world_add(world, block[1], block[0], 0, stream));
    OK(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
    OK(cuMemcpyDtoDAsync(block[1], block[0], BLOCK_BYTES, stream));
    OK(world_add(world, block[2], block[1], BLOCK_COUNT, stream));
    OK(cuStreamEndCapture(stream, &graph));
    OK(cuGraphInstantiate(&executable, graph, 0));
    OK(cuGraphDestroy(graph));
    return executable;
}

Test(graphs, run_right_however_often_their_blocks_were_evicted)
{
    struct world world = world_make();
    CUdeviceptr block[BLOCKS];
    CUstream stream;

    OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    make(block);
    CUgraphExec executable = capture(&world, stream, block);

    for (unsigned round = 0; round < 5; round++) {
        push_out(&world, block);
        OK(cuGraphLaunch(executable, stream));
        OK(cuStreamSynchronize(stream));
    }
    cr_expect(all_are(block[2], BLOCK_COUNT, 6));
    OK(cuGraphExecDestroy(executable));
    release(block);
    OK(cuStreamDestroy(stream));
    world_end(&world);
}

struct launching {
    const struct world *world;
    CUgraphExec executable;
    CUstream stream;
    atomic_uint *ready;
};

static void *launch_with_another(void *arg)
{
    const struct launching *own = arg;

    OK(cuCtxSetCurrent(own->world->context));
    atomic_fetch_add(own->ready, 1);
    while (atomic_load(own->ready) < 2)
        ;
    OK(cuGraphLaunch(own->executable, own->stream));
    return NULL;
}

/* What its nodes name is put together at its first launch. */
Test(graphs, two_threads_launch_one_for_the_first_time)
{
    const char *residency = getenv("EBBTIDE_RESIDENCY");
    struct world world = world_make();
    static CUdeviceptr block[NAMED];
    CUstream stream;
    CUgraph graph;

    if (residency && strcmp(residency, "strict") == 0)
        cr_skip("all that a launch names has to be on the device");
    OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    for (unsigned i = 0; i < NAMED; i++)
        OK(cuMemAlloc(&block[i], 2 * MIB));
    OK(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
    for (unsigned i = 0; i < NAMED; i++)
        OK(world_add(&world, block[0], block[i], 1, stream));
    OK(cuStreamEndCapture(stream, &graph));
    for (unsigned round = 0; round < 100; round++) {
        atomic_uint ready = 0;
        struct launching own = {.world = &world, .stream = stream, .ready = &ready};
        pthread_t thread[2];

        OK(cuGraphInstantiate(&own.executable, graph, 0));
        for (unsigned i = 0; i < 2; i++)
            cr_assert_eq(pthread_create(&thread[i], NULL, launch_with_another, &own), 0);
        for (unsigned i = 0; i < 2; i++)
            cr_assert_eq(pthread_join(thread[i], NULL), 0);
        OK(cuStreamSynchronize(stream));
        OK(cuGraphExecDestroy(own.executable));
    }
    OK(cuGraphDestroy(graph));
    for (unsigned i = 0; i < NAMED; i++)
        OK(cuMemFree(block[i]));
    OK(cuStreamDestroy(stream));
    world_end(&world);
}

Test(graphs, write_words_of_blocks_that_were_evicted)
{
    const char *allocator = getenv("EBBTIDE_ALLOCATOR");
    struct world world = world_make();
    CUdeviceptr block[BLOCKS];
    CUgraphExec executable;
    CUstream stream;
    CUgraph graph;
    uint32_t words[2];

    if (allocator && strcmp(allocator, "managed") == 0)
        cr_skip("no stream memory operations on managed memory");
    OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    make(block);
    OK(world_add(&world, block[1], block[0], 0, stream));
    OK(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
    OK(cuStreamWriteValue32(stream, block[0], 5, 0));
    OK(cuStreamWaitValue32(stream, block[0], 5, CU_STREAM_WAIT_VALUE_EQ));
    OK(cuStreamWriteValue32(stream, block[1] + 4, 6, 0));
    OK(cuStreamEndCapture(stream, &graph));
    OK(cuGraphInstantiate(&executable, graph, 0));
    for (unsigned round = 0; round < 3; round++) {
        OK(cuMemsetD32(block[0], 0, 1));
        push_out(&world, block);
        OK(cuGraphLaunch(executable, stream));
        OK(cuStreamSynchronize(stream));
    }
    OK(cuMemcpyDtoH(&words[0], block[0], 4));
    OK(cuMemcpyDtoH(&words[1], block[1] + 4, 4));
    cr_expect(words[0] == 5 && words[1] == 6);
    cr_expect(all_are(block[0] + 4, BLOCK_COUNT - 1, 1));
    OK(cuGraphExecDestroy(executable));
    OK(cuGraphDestroy(graph));
    release(block);
    OK(cuStreamDestroy(stream));
    world_end(&world);
}

Test(graphs, keep_up_with_new_parameters)
{
    struct world world = world_make();
    CUdeviceptr block[BLOCKS];
    CUstream stream;
    CUgraph graph;
    CUgraphNode node;
    CUgraphExec executable;
    uint64_t count = BLOCK_COUNT;
    void *parameters[] = {&block[2], &block[1], &count};
    CUDA_KERNEL_NODE_PARAMS kernel = {.func = world.add,
                                      .gridDimX = 1,
                                      .gridDimY = 1,
                                      .gridDimZ = 1,
                                      .blockDimX = 1,
                                      .blockDimY = 1,
                                      .blockDimZ = 1,
                                      .kernelParams = parameters};

    OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    make(block);
    OK(cuGraphCreate(&graph, 0));
    OK(cuGraphAddKernelNode(&node, graph, NULL, 0, &kernel));
    OK(cuGraphInstantiate(&executable, graph, 0));
    parameters[0] = &block[3];
    OK(cuGraphExecKernelNodeSetParams(executable, node, &kernel));
    push_out(&world, block);
    OK(cuGraphLaunch(executable, stream));
    OK(cuStreamSynchronize(stream));
    cr_expect(all_are(block[3], BLOCK_COUNT, 2));
    cr_expect(all_are(block[2], BLOCK_COUNT, 1));
    OK(cuGraphExecDestroy(executable));
    OK(cuGraphDestroy(graph));
    release(block);
    world_end(&world);
}

static CUDA_MEMSET_NODE_PARAMS set_of(CUdeviceptr to, float value)
{
    return (CUDA_MEMSET_NODE_PARAMS){
        .dst = to, .elementSize = 4, .value = bits_of(value), .width = BLOCK_COUNT, .height = 1};
}

/* Of ten blocks four have room, in strict residency, too: what a node named before is no more a part of the graph. */
Test(graphs, replay_over_more_blocks_than_there_is_room_for)
{
    struct world world = world_make();
    CUdeviceptr block[BLOCKS], out, in;
    CUgraphNode node, set;
    CUgraphExec executable;
    CUgraph graph;
    uint64_t count = BLOCK_COUNT;
    void *parameters[] = {&out, &in, &count};
    CUDA_KERNEL_NODE_PARAMS kernel = {.func = world.add,
                                      .gridDimX = 1,
                                      .gridDimY = 1,
                                      .gridDimZ = 1,
                                      .blockDimX = 1,
                                      .blockDimY = 1,
                                      .blockDimZ = 1,
                                      .kernelParams = parameters};
    CUDA_MEMSET_NODE_PARAMS to_set;

    make(block);
    out = block[0], in = block[1], to_set = set_of(block[2], 2);
    OK(cuGraphCreate(&graph, 0));
    OK(cuGraphAddKernelNode(&node, graph, NULL, 0, &kernel));
    OK(cuGraphAddMemsetNode(&set, graph, &node, 1, &to_set, world.context));
    OK(cuGraphInstantiate(&executable, graph, 0));
    for (unsigned i = 0; i < 2 * BLOCKS; i++) {
        out = block[i % BLOCKS], in = block[(i + 1) % BLOCKS], to_set = set_of(block[(i + 2) % BLOCKS], 2);
        OK(cuGraphExecKernelNodeSetParams(executable, node, &kernel));
        OK(cuGraphExecMemsetNodeSetParams(executable, set, &to_set, world.context));
        OK(cuGraphLaunch(executable, NULL));
    }
    OK(cuCtxSynchronize());
    for (unsigned i = 0; i < BLOCKS; i++)
        cr_expect(all_are(block[i], BLOCK_COUNT, i < 2 ? 2 : 4), "block %u", i);
    OK(cuGraphExecDestroy(executable));
    OK(cuGraphDestroy(graph));
    release(block);
    world_end(&world);
}

static CUDA_MEMCPY3D copy_of(CUdeviceptr to, CUdeviceptr from)
{
    return (CUDA_MEMCPY3D){.srcMemoryType = CU_MEMORYTYPE_DEVICE,
                           .srcDevice = from,
                           .dstMemoryType = CU_MEMORYTYPE_DEVICE,
                           .dstDevice = to,
                           .WidthInBytes = BLOCK_BYTES,
                           .Height = 1,
                           .Depth = 1};
}

/* Instantiates, sends everything away once more, and runs. */
static void run_once(const struct world *world, CUgraph graph, const CUdeviceptr *block)
{
    CUgraphExec executable;

    push_out(world, block);
    OK(cuGraphInstantiate(&executable, graph, 0));
    push_out(world, block);
    OK(cuGraphLaunch(executable, NULL));
    OK(cuCtxSynchronize());
    OK(cuGraphExecDestroy(executable));
    OK(cuGraphDestroy(graph));
}

Test(graphs, nodes_are_made_over_blocks_that_are_away)
{
    struct world world = world_make();
    CUdeviceptr block[BLOCKS];
    CUDA_MEMSET_NODE_PARAMS set;
    CUDA_MEMCPY3D copy;
    CUgraphNode node;
    CUgraph graph;

    make(block);
    set = set_of(block[0], 2);
    copy = copy_of(block[1], block[0]);
    OK(cuGraphCreate(&graph, 0));
    push_out(&world, block);
    OK(cuGraphAddMemsetNode(&node, graph, NULL, 0, &set, world.context));
    push_out(&world, block);
    OK(cuGraphAddMemcpyNode(&node, graph, &node, 1, &copy, world.context));
    run_once(&world, graph, block);
    cr_expect(all_are(block[0], BLOCK_COUNT, 2));
    cr_expect(all_are(block[1], BLOCK_COUNT, 2));
    release(block);
    world_end(&world);
}

Test(graphs, nodes_of_any_kind_are_made_over_blocks_that_are_away)
{
    struct world world = world_make();
    CUgraphNodeParams set = {.type = CU_GRAPH_NODE_TYPE_MEMSET}, copy = {.type = CU_GRAPH_NODE_TYPE_MEMCPY};
    CUdeviceptr block[BLOCKS];
    CUDA_MEMSET_NODE_PARAMS whole;
    CUgraphNode node;
    CUgraph graph;

    make(block);
    whole = set_of(block[0], 2);
    memcpy(&set.memset, &whole, sizeof whole);
    copy.memcpy.copyParams = copy_of(block[1], block[0]);
    OK(cuGraphCreate(&graph, 0));
    push_out(&world, block);
    OK(cuGraphAddNode(&node, graph, NULL, NULL, 0, &set));
    push_out(&world, block);
    OK(cuGraphAddNode(&node, graph, &node, NULL, 1, &copy));
    run_once(&world, graph, block);
    cr_expect(all_are(block[1], BLOCK_COUNT, 2));
    cr_expect_eq(cuGraphAddNode(&node, graph, NULL, NULL, 0, NULL), CUDA_ERROR_INVALID_VALUE);
    release(block);
    world_end(&world);
}

/* A set that is to go to block 0 and a copy from there to block 1, made over others that are at hand. */
static CUgraph unlike(const struct world *world, const CUdeviceptr *block, CUgraphNode *set,
                      CUgraphNode *copy)
{
    const CUDA_MEMSET_NODE_PARAMS first = set_of(block[8], 5);
    const CUDA_MEMCPY3D second = copy_of(block[9], block[8]);
    CUgraph graph;

    OK(cuGraphCreate(&graph, 0));
    push_out(world, block);
    OK(cuGraphAddMemsetNode(set, graph, NULL, 0, &first, world->context));
    OK(cuGraphAddMemcpyNode(copy, graph, set, 1, &second, world->context));
    return graph;
}

Test(graphs, nodes_are_given_other_blocks_that_are_away)
{
    struct world world = world_make();
    CUDA_MEMSET_NODE_PARAMS to_set;
    CUDA_MEMCPY3D to_copy;
    CUdeviceptr block[BLOCKS];
    CUgraphNode set, copy;
    CUgraph graph;

    make(block);
    graph = unlike(&world, block, &set, &copy);
    to_set = set_of(block[0], 2);
    to_copy = copy_of(block[1], block[0]);
    OK(cuGraphMemsetNodeSetParams(set, &to_set));
    push_out(&world, block);
    OK(cuGraphMemcpyNodeSetParams(copy, &to_copy));
    run_once(&world, graph, block);
    cr_expect(all_are(block[1], BLOCK_COUNT, 2));
    cr_expect(all_are(block[9], BLOCK_COUNT, 1));
    release(block);
    world_end(&world);
}

Test(graphs, nodes_of_any_kind_are_given_other_blocks_that_are_away)
{
    struct world world = world_make();
    CUgraphNodeParams set = {.type = CU_GRAPH_NODE_TYPE_MEMSET}, copy = {.type = CU_GRAPH_NODE_TYPE_MEMCPY};
    CUdeviceptr block[BLOCKS];
    CUDA_MEMSET_NODE_PARAMS whole;
    CUgraphNode set_node, copy_node;
    CUgraph graph;

    make(block);
    graph = unlike(&world, block, &set_node, &copy_node);
    whole = set_of(block[0], 2);
    memcpy(&set.memset, &whole, sizeof whole);
    copy.memcpy.copyParams = copy_of(block[1], block[0]);
    OK(cuGraphNodeSetParams(set_node, &set));
    push_out(&world, block);
    OK(cuGraphNodeSetParams(copy_node, &copy));
    run_once(&world, graph, block);
    cr_expect(all_are(block[1], BLOCK_COUNT, 2));
    release(block);
    world_end(&world);
}

Test(graphs, executable_nodes_are_given_other_blocks_that_are_away)
{
    struct world world = world_make();
    CUDA_MEMSET_NODE_PARAMS to_set;
    CUDA_MEMCPY3D to_copy;
    CUdeviceptr block[BLOCKS];
    CUgraphNode set, copy;
    CUgraphExec executable;
    CUgraph graph;

    make(block);
    graph = unlike(&world, block, &set, &copy);
    OK(cuGraphInstantiate(&executable, graph, 0));
    to_set = set_of(block[0], 2);
    to_copy = copy_of(block[9], block[0]);
    push_out(&world, block);
    OK(cuGraphExecMemsetNodeSetParams(executable, set, &to_set, world.context));
    push_out(&world, block);
    OK(cuGraphExecMemcpyNodeSetParams(executable, copy, &to_copy, world.context));
    push_out(&world, block);
    OK(cuGraphLaunch(executable, NULL));
    OK(cuCtxSynchronize());
    cr_expect(all_are(block[9], BLOCK_COUNT, 2));
    OK(cuGraphExecDestroy(executable));
    OK(cuGraphDestroy(graph));
    release(block);
    world_end(&world);
}

Test(graphs, nodes_of_memory_operations_are_made_over_blocks_that_are_away)
{
    CUstreamBatchMemOpParams write = {.writeValue = {CU_STREAM_MEM_OP_WRITE_VALUE_32, 0, {7}, 0, 0}};
    CUDA_BATCH_MEM_OP_NODE_PARAMS params = {.count = 1, .paramArray = &write};
    const char *allocator = getenv("EBBTIDE_ALLOCATOR");
    struct world world = world_make();
    CUdeviceptr block[BLOCKS];
    CUgraphNode node;
    CUgraph graph;
    uint32_t words[2];

    if (allocator && strcmp(allocator, "managed") == 0)
        cr_skip("no stream memory operations on managed memory");
    make(block);
    params.ctx = world.context;
    OK(cuGraphCreate(&graph, 0));
    push_out(&world, block);
    write.writeValue.address = block[0];
    OK(cuGraphAddBatchMemOpNode(&node, graph, NULL, 0, &params));
    OK(cuGraphAddBatchMemOpNode(&node, graph, &node, 1, &params));
    push_out(&world, block);
    write.writeValue.address = block[1];
    OK(cuGraphBatchMemOpNodeSetParams(node, &params));
    run_once(&world, graph, block);
    OK(cuMemcpyDtoH(&words[0], block[0], 4));
    OK(cuMemcpyDtoH(&words[1], block[1], 4));
    cr_expect(words[0] == 7 && words[1] == 7);
    release(block);
    world_end(&world);
}

Test(graphs, bodies_of_conditional_nodes_find_their_blocks)
{
    CUgraphNodeParams branch = {.type = CU_GRAPH_NODE_TYPE_CONDITIONAL};
    struct world world = world_make();
    CUdeviceptr block[BLOCKS];
    CUDA_MEMSET_NODE_PARAMS set;
    CUDA_MEMCPY3D copy;
    CUgraphNode node;
    CUgraph graph, body;

    make(block);
    set = set_of(block[0], 2);
    copy = copy_of(block[1], block[0]);
    OK(cuGraphCreate(&graph, 0));
    OK(cuGraphConditionalHandleCreate(&branch.conditional.handle, graph, world.context, 1,
                                      CU_GRAPH_COND_ASSIGN_DEFAULT));
    branch.conditional.type = CU_GRAPH_COND_TYPE_IF;
    branch.conditional.size = 1;
    branch.conditional.ctx = world.context;
    OK(cuGraphAddNode(&node, graph, NULL, NULL, 0, &branch));
    body = branch.conditional.phGraph_out[0];
    push_out(&world, block);
    OK(cuGraphAddMemsetNode(&node, body, NULL, 0, &set, world.context));
    push_out(&world, block);
    OK(cuGraphAddMemcpyNode(&node, body, &node, 1, &copy, world.context));
    run_once(&world, graph, block);
    cr_expect(all_are(block[1], BLOCK_COUNT, 2));
    release(block);
    world_end(&world);
}

Test(graphs, a_node_whose_block_cannot_come_back_is_the_drivers_to_judge)
{
    struct world world = world_make();
    CUdeviceptr block[BLOCKS];
    CUDA_MEMSET_NODE_PARAMS set;
    CUstream stream;
    CUgraphNode node;
    CUgraph graph, captured;
    bool is_reached = strcmp(getenv("EBBTIDE_RESIDENCY"), "strict") != 0;

    make(block);
    push_out(&world, block);
    set = set_of(block[0], 2);
    OK(cuGraphCreate(&graph, 0));
    OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    OK(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_RELAXED)); /* nothing moves meanwhile */
    cr_expect_eq(cuGraphAddMemsetNode(&node, graph, NULL, 0, &set, world.context),
                 is_reached ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY);
    OK(cuStreamEndCapture(stream, &captured));
    OK(cuGraphAddMemsetNode(&node, graph, NULL, 0, &set, world.context));
    OK(cuGraphDestroy(captured));
    OK(cuGraphDestroy(graph));
    release(block);
    world_end(&world);
}

Test(graphs, an_allocation_during_a_capture_succeeds_and_does_not_break_it)
{
    struct world world = world_make();
    CUdeviceptr block[BLOCKS];
    CUdeviceptr more;
    CUstream stream;
    CUgraph graph;

    OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    make(block);
    /* Nothing can leave during a capture; without mapped host memory there must be room. */
    if (strcmp(getenv("EBBTIDE_RESIDENCY"), "strict") == 0) {
        OK(cuMemFree(block[BLOCKS - 1]));
        block[BLOCKS - 1] = 0;
    }
    OK(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
    OK(world_add(&world, block[2], block[1], BLOCK_COUNT, stream));
    OK(cuMemAlloc(&more, BLOCK_BYTES));
    OK(cuStreamEndCapture(stream, &graph));
    OK(cuMemFree(more));
    OK(cuGraphDestroy(graph));
    release(block);
    world_end(&world);
}

struct freeing {
    struct world *world;
    atomic_bool enough;
};

/* A free waits for the device, with an event that no context records while a stream of it captures. */
static void *free_again_and_again(void *arg)
{
    struct freeing *freeing = arg;
    CUdeviceptr block;

    cuCtxSetCurrent(freeing->world->context);
    while (!freeing->enough)
        if (cuMemAlloc(&block, BLOCK_BYTES / 2) ==
            CUDA_SUCCESS) /* not while a capture keeps what was freed */
            cuMemFree(block);
    return NULL;
}

Test(graphs, frees_of_another_thread_break_no_capture)
{
    struct world world = world_make();
    struct freeing freeing = {.world = &world};
    CUcontext others[CONTEXTS]; /* each takes the free a while */
    pthread_t thread[FREEING];
    CUstream stream;
    CUgraph graph;

    for (unsigned i = 0; i < CONTEXTS; i++)
        OK(cuCtxCreate(&others[i], NULL, 0, world.device));
    OK(cuCtxSetCurrent(world.context));
    OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    for (unsigned i = 0; i < FREEING; i++)
        cr_assert_eq(pthread_create(&thread[i], NULL, free_again_and_again, &freeing), 0);
    for (unsigned i = 0; i < CAPTURES; i++) {
        OK(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
        OK(cuStreamEndCapture(stream, &graph));
        OK(cuGraphDestroy(graph));
    }
    freeing.enough = true;
    for (unsigned i = 0; i < FREEING; i++)
        pthread_join(thread[i], NULL);
    for (unsigned i = 0; i < CONTEXTS; i++)
        OK(cuCtxDestroy(others[i]));
    OK(cuStreamDestroy(stream));
    world_end(&world);
}

Test(graphs, a_destroyed_stream_ends_its_capture)
{
    struct world world = world_make();
    CUdeviceptr block[BLOCKS];
    CUstream stream;

    OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    OK(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
    OK(cuStreamDestroy(stream));
    make(block); /* needs evictions, which an open capture forbids */
    release(block);
    world_end(&world);
}

Test(graphs, a_destroyed_context_ends_the_captures_of_its_streams)
{
    struct world world = world_make();
    CUdeviceptr block[BLOCKS];
    CUcontext own;
    CUstream stream;

    OK(cuCtxCreate(&own, NULL, 0, world.device));
    OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    OK(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
    OK(cuCtxDestroy(own));
    OK(cuCtxSetCurrent(world.context));
    make(block); /* needs evictions, which an open capture forbids */
    push_out(&world, block);
    release(block);
    world_end(&world);
}

Test(graphs, a_pool_is_charged_with_what_it_holds)
{
    struct world world = world_make();
    CUdeviceptr memory[4];
    CUmemoryPool pool;
    CUstream stream;
    size_t before, during, after, total;

    OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    OK(cuMemGetInfo(&before, &total));
    for (unsigned i = 0; i < 4; i++)
        OK(cuMemAllocAsync(&memory[i], 1536 * 1024, stream));
    OK(cuMemGetInfo(&during, &total));
    cr_expect_geq(before - during, 6 * MIB);
    for (unsigned i = 0; i < 4; i++)
        OK(cuMemFreeAsync(memory[i], stream));
    OK(cuStreamSynchronize(stream));
    OK(cuDeviceGetMemPool(&pool, world.device));
    OK(cuMemPoolTrimTo(pool, 0));
    OK(cuMemGetInfo(&after, &total));
    cr_expect_eq(after, before, "%zu", before - after);
    world_end(&world);
}

Test(graphs, memory_that_a_node_of_any_kind_allocates_is_charged_until_it_is_given_back)
{
    CUgraphNodeParams allocation = {.type = CU_GRAPH_NODE_TYPE_MEM_ALLOC,
                                    .alloc = {.poolProps = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                                                            .location = {CU_MEM_LOCATION_TYPE_DEVICE, 0}},
                                              .bytesize = 3 * MIB}};
    CUgraphNodeParams freeing = {.type = CU_GRAPH_NODE_TYPE_MEM_FREE};
    struct world world = world_make();
    size_t before, during, after, total;
    CUgraphExec executable;
    CUgraphNode node;
    CUstream stream;
    CUgraph graph;

    OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    OK(cuMemGetInfo(&before, &total));
    OK(cuGraphCreate(&graph, 0));
    OK(cuGraphAddNode(&node, graph, NULL, NULL, 0, &allocation));
    freeing.free.dptr = allocation.alloc.dptr;
    OK(cuGraphAddNode(&node, graph, &node, NULL, 1, &freeing));
    OK(cuGraphAddNode(&node, graph, &node, NULL, 1, &allocation));
    OK(cuGraphInstantiate(&executable, graph, 0));
    OK(cuGraphLaunch(executable, stream));
    OK(cuStreamSynchronize(stream));
    OK(cuMemGetInfo(&during, &total));
    cr_expect_eq(before - during, 8 * MIB, "%zu", before - during);
    OK(cuMemFree(allocation.alloc.dptr));
    OK(cuGraphExecDestroy(executable));
    OK(cuGraphDestroy(graph));
    OK(cuDeviceGraphMemTrim(world.device));
    OK(cuMemGetInfo(&after, &total));
    cr_expect_eq(after, before, "%zu", before - after);
    world_end(&world);
}

Test(graphs, a_block_may_be_freed_in_stream_order)
{
    struct world world = world_make();
    CUdeviceptr block;
    CUstream stream;

    OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    OK(cuMemAlloc(&block, BLOCK_BYTES));
    OK(cuMemsetD8Async(block, 1, BLOCK_BYTES, stream));
    OK(cuMemFreeAsync(block, stream));
    cr_expect_eq(cuMemFree(block), CUDA_ERROR_INVALID_VALUE);
    world_end(&world);
}

Test(graphs, the_programs_own_handles_cost_until_their_last_mapping_is_gone)
{
    struct world world = world_make();
    CUmemAllocationProp prop = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                                .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}};
    CUmemGenericAllocationHandle handle;
    CUdeviceptr address;
    size_t before, during, after, total;

    OK(cuMemGetInfo(&before, &total));
    OK(cuMemCreate(&handle, 8 * MIB, &prop, 0));
    OK(cuMemAddressReserve(&address, 8 * MIB, 0, 0, 0));
    OK(cuMemMap(address, 8 * MIB, 0, handle, 0));
    OK(cuMemRelease(handle));
    OK(cuMemGetInfo(&during, &total));
    cr_expect_eq(before - during, 8 * MIB);
    OK(cuMemUnmap(address, 8 * MIB));
    OK(cuMemAddressFree(address, 8 * MIB));
    OK(cuMemGetInfo(&after, &total));
    cr_expect_eq(after, before);
    world_end(&world);
}
