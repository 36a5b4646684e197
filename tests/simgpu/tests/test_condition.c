/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes that choose what of their bodies runs. */
#include "driver.h"

#include <criterion/criterion.h>

/* A word of device memory, and a graph whose launch sets it to 0 first. */
struct world {
    CUcontext context;
    CUdeviceptr word;
    CUgraph graph;
    CUgraphNode first;
};

static void add_set(struct world *world, CUgraph graph, const CUgraphNode *after, uint32_t value,
                    CUgraphNode *node)
{
    const CUDA_MEMSET_NODE_PARAMS set = {
        .dst = world->word, .value = value, .elementSize = 4, .width = 1, .height = 1};

    must(cuGraphAddMemsetNode(node, graph, after, after != NULL, &set, world->context));
}

static struct world world_new(void)
{
    struct world world = {.context = start()};

    must(cuMemAlloc(&world.word, 64));
    must(cuGraphCreate(&world.graph, 0));
    add_set(&world, world.graph, NULL, 0, &world.first);
    return world;
}

static CUgraphConditionalHandle condition(const struct world *world, unsigned value)
{
    CUgraphConditionalHandle handle;

    must(cuGraphConditionalHandleCreate(&handle, world->graph, world->context, value,
                                        CU_GRAPH_COND_ASSIGN_DEFAULT));
    return handle;
}

static CUresult add_branch(struct world *world, CUgraphConditionalHandle handle,
                           CUgraphConditionalNodeType type, unsigned count, CUgraphNode *node,
                           CUgraph *bodies)
{
    CUgraphNodeParams params = {.type = CU_GRAPH_NODE_TYPE_CONDITIONAL};
    CUresult result;

    params.conditional.handle = handle;
    params.conditional.type = type;
    params.conditional.size = count;
    params.conditional.ctx = world->context;
    result = cuGraphAddNode(node, world->graph, &world->first, NULL, 1, &params);
    for (unsigned i = 0; result == CUDA_SUCCESS && i < count; i++)
        bodies[i] = params.conditional.phGraph_out[i];
    return result;
}

static uint32_t launched(const struct world *world, CUgraphExec exec)
{
    uint32_t word;

    must(cuGraphLaunch(exec, NULL));
    must(cuMemcpyDtoH(&word, world->word, sizeof word));
    return word;
}

static uint32_t run(const struct world *world)
{
    CUgraphExec exec;
    uint32_t word;

    must(cuGraphInstantiate(&exec, world->graph, 0));
    word = launched(world, exec);
    must(cuGraphExecDestroy(exec));
    return word;
}

Test(condition, that_is_not_0_runs_the_body_and_0_the_other)
{
    for (unsigned value = 0; value < 3; value++) {
        struct world world = world_new();
        CUgraph bodies[2];
        CUgraphNode node;

        must(add_branch(&world, condition(&world, value), CU_GRAPH_COND_TYPE_IF, 2, &node, bodies));
        add_set(&world, bodies[0], NULL, 5, &node);
        add_set(&world, bodies[1], NULL, 6, &node);
        cr_assert_eq(run(&world), value ? 5 : 6);
        must(cuGraphDestroy(world.graph));
    }
}

Test(condition, switches_to_one_body_or_none)
{
    for (unsigned value = 0; value < 4; value++) {
        struct world world = world_new();
        CUgraph bodies[3];
        CUgraphNode node;

        must(add_branch(&world, condition(&world, value), CU_GRAPH_COND_TYPE_SWITCH, 3, &node, bodies));
        for (unsigned i = 0; i < 3; i++)
            add_set(&world, bodies[i], NULL, 10 + i, &node);
        cr_assert_eq(run(&world), value < 3 ? 10 + value : 0);
    }
}

/* A loop that adds to the word and counts another one down. */
static void add_loop(struct world *world, CUdeviceptr left, CUdeviceptr one)
{
    CUgraphConditionalHandle handle = condition(world, 1);
    uint64_t count = 1;
    void *add_params[] = {&world->word, &one, &count}, *down_params[] = {&left, &handle};
    const CUDA_KERNEL_NODE_PARAMS add = {kernel("add"), 1, 1, 1, 1, 1, 1, 0, add_params, NULL, NULL, NULL};
    const CUDA_KERNEL_NODE_PARAMS down = {kernel("count_down"), 1,    1,    1,   1, 1, 1, 0,
                                          down_params,          NULL, NULL, NULL};
    CUgraphNode node;
    CUgraph body;

    must(add_branch(world, handle, CU_GRAPH_COND_TYPE_WHILE, 1, &node, &body));
    must(cuGraphAddKernelNode(&node, body, NULL, 0, &add));
    must(cuGraphAddKernelNode(&node, body, &node, 1, &down));
}

Test(condition, is_set_by_kernels_until_a_loop_ends)
{
    struct world world = world_new();
    CUdeviceptr left, one;
    CUgraphExec exec;

    must(cuMemAlloc(&left, 4));
    must(cuMemAlloc(&one, 4));
    must(cuMemsetD32(one, 1, 1));
    add_loop(&world, left, one);
    must(cuGraphInstantiate(&exec, world.graph, 0));
    must(cuGraphDestroy(world.graph)); /* the instance keeps the condition */
    for (unsigned times = 1; times < 6; times += 2) {
        must(cuMemsetD32(left, times, 1));
        cr_assert_eq(launched(&world, exec), times);
    }
}

Test(condition, runs_its_bodies_before_what_comes_after_its_node)
{
    struct world world = world_new();
    CUgraphNode node, last;
    CUgraph body;

    must(add_branch(&world, condition(&world, 1), CU_GRAPH_COND_TYPE_IF, 1, &node, &body));
    add_set(&world, world.graph, &node, 9, &last);
    add_set(&world, body, NULL, 5, &node);
    cr_assert_eq(run(&world), 9);
}

Test(condition, is_one_graphs_and_one_nodes)
{
    CUgraphConditionalHandle handle;
    struct world world = world_new(), other = {.context = world.context, .word = world.word};
    CUgraph bodies[2], clone;
    CUgraphNode node;

    must(cuGraphCreate(&other.graph, 0));
    add_set(&other, other.graph, NULL, 0, &other.first);
    handle = condition(&world, 1);
    cr_assert_eq(add_branch(&other, handle, CU_GRAPH_COND_TYPE_IF, 1, &node, bodies),
                 CUDA_ERROR_INVALID_VALUE);
    cr_assert_eq(add_branch(&world, handle, CU_GRAPH_COND_TYPE_IF, 3, &node, bodies),
                 CUDA_ERROR_INVALID_VALUE);
    cr_assert_eq(add_branch(&world, handle, CU_GRAPH_COND_TYPE_WHILE, 2, &node, bodies),
                 CUDA_ERROR_INVALID_VALUE);
    must(add_branch(&world, handle, CU_GRAPH_COND_TYPE_IF, 1, &node, bodies));
    cr_assert_eq(add_branch(&world, handle, CU_GRAPH_COND_TYPE_IF, 1, &node, bodies),
                 CUDA_ERROR_INVALID_VALUE);
    cr_assert_eq(cuGraphDestroy(bodies[0]), CUDA_ERROR_INVALID_VALUE);
    cr_assert_eq(cuGraphClone(&clone, world.graph), CUDA_ERROR_NOT_SUPPORTED);
    cr_assert_eq(cuGraphConditionalHandleCreate(&handle, world.graph, world.context, 0, 2),
                 CUDA_ERROR_INVALID_VALUE);
    must(cuGraphDestroy(world.graph));
    cr_assert_eq(add_branch(&other, handle, CU_GRAPH_COND_TYPE_IF, 1, &node, bodies),
                 CUDA_ERROR_INVALID_VALUE);
}
