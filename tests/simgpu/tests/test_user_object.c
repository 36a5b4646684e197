/* SPDX-License-Identifier: Apache-2.0 */
#include "driver.h"

#include <criterion/criterion.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

/* How many destructors have run. */
static atomic_int ended;

static void end(void *object)
{
    atomic_fetch_add((atomic_int *)object, 1);
}

static CUuserObject object_new(unsigned references)
{
    CUuserObject object;

    must(cuUserObjectCreate(&object, &ended, end, references, CU_USER_OBJECT_NO_DESTRUCTOR_SYNC));
    return object;
}

/* They run soon. */
static void expect_ended(int count)
{
    time_t until = time(NULL) + 20;

    while (ended < count && time(NULL) < until)
        sched_yield();
    cr_assert_eq(ended, count, "%d", ended);
}

/* Whether none of the objects so far has ended: one that is made now, and given up, would end after them. */
static void expect_alive(int count)
{
    CUuserObject later = object_new(1);

    must(cuUserObjectRelease(later, 1));
    expect_ended(count + 1);
    ended = count;
}

static CUgraph graph_of_calls(void)
{
    CUgraphNode node;
    CUgraph graph;

    must(cuGraphCreate(&graph, 0));
    must(cuGraphAddEmptyNode(&node, graph, NULL, 0));
    return graph;
}

Test(user_object, ends_with_its_last_reference)
{
    CUuserObject object;

    start();
    object = object_new(2);
    must(cuUserObjectRetain(object, 3));
    must(cuUserObjectRelease(object, 4));
    expect_alive(0);
    cr_assert_eq(cuUserObjectRelease(object, 2), CUDA_ERROR_INVALID_VALUE);
    must(cuUserObjectRelease(object, 1));
    expect_ended(1);
    cr_assert_eq(cuUserObjectRelease(object, 1), CUDA_ERROR_INVALID_VALUE);
    cr_assert_eq(cuUserObjectRetain(object, 1), CUDA_ERROR_INVALID_VALUE);
}

Test(user_object, is_made_with_a_destructor_and_references)
{
    CUuserObject object;

    start();
    cr_assert_eq(cuUserObjectCreate(&object, NULL, end, 1, 0), CUDA_ERROR_INVALID_VALUE);
    cr_assert_eq(cuUserObjectCreate(&object, NULL, NULL, 1, CU_USER_OBJECT_NO_DESTRUCTOR_SYNC),
                 CUDA_ERROR_INVALID_VALUE);
    cr_assert_eq(cuUserObjectCreate(&object, NULL, end, 0, CU_USER_OBJECT_NO_DESTRUCTOR_SYNC),
                 CUDA_ERROR_INVALID_VALUE);
}

Test(user_object, is_held_by_its_graph_and_by_what_was_made_of_that)
{
    CUgraph graph, clone;
    CUuserObject object;
    CUgraphExec exec;

    start();
    graph = graph_of_calls();
    object = object_new(1);
    must(cuGraphRetainUserObject(graph, object, 1, CU_GRAPH_USER_OBJECT_MOVE));
    must(cuGraphClone(&clone, graph));
    must(cuGraphInstantiate(&exec, graph, 0));
    must(cuGraphDestroy(graph));
    must(cuGraphExecDestroy(exec));
    expect_alive(0);
    must(cuGraphDestroy(clone));
    expect_ended(1);
}

Test(user_object, is_given_up_by_its_graph)
{
    CUuserObject object;
    CUgraph graph;

    start();
    graph = graph_of_calls();
    object = object_new(1);
    must(cuGraphRetainUserObject(graph, object, 2, 0));
    must(cuUserObjectRelease(object, 1));
    cr_assert_eq(cuGraphReleaseUserObject(graph, object, 3), CUDA_ERROR_INVALID_VALUE);
    must(cuGraphReleaseUserObject(graph, object, 1));
    expect_alive(0);
    must(cuGraphReleaseUserObject(graph, object, 1));
    expect_ended(1);
    cr_assert_eq(cuGraphRetainUserObject(graph, object, 1, 0), CUDA_ERROR_INVALID_VALUE);
    cr_assert_eq(cuGraphReleaseUserObject(graph, object, 1), CUDA_ERROR_INVALID_VALUE);
}

Test(user_object, outlives_the_launches_of_its_graph)
{
    CUuserObject object;
    CUgraphNode node;
    CUgraphExec exec;
    CUgraph graph;
    CUstream stream;
    uint32_t *flag;

    start();
    flag = flags();
    CUDA_KERNEL_NODE_PARAMS wait = {kernel("wait"), 1, 1, 1, 1, 1, 1, 0, (void *[]){&flag}, NULL, NULL, NULL};

    must(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    must(cuGraphCreate(&graph, 0));
    must(cuGraphAddKernelNode(&node, graph, NULL, 0, &wait));
    object = object_new(1);
    must(cuGraphRetainUserObject(graph, object, 1, CU_GRAPH_USER_OBJECT_MOVE));
    must(cuGraphInstantiate(&exec, graph, 0));
    must(cuGraphLaunch(exec, stream));
    must(cuGraphDestroy(graph));
    must(cuGraphExecDestroy(exec));
    expect_alive(0);
    let_go(flag);
    must(cuStreamSynchronize(stream));
    expect_ended(1);
}

Test(user_object, of_a_new_graph_takes_the_place_of_the_old_ones)
{
    CUgraph graph, other, child, parent;
    CUgraphExecUpdateResultInfo info;
    CUuserObject objects[3];
    CUgraphExec exec;
    CUgraphNode node;

    start();
    graph = graph_of_calls();
    other = graph_of_calls();
    child = graph_of_calls();
    for (int i = 0; i < 3; i++)
        objects[i] = object_new(1);
    must(cuGraphRetainUserObject(graph, objects[0], 1, CU_GRAPH_USER_OBJECT_MOVE));
    must(cuGraphRetainUserObject(other, objects[1], 1, CU_GRAPH_USER_OBJECT_MOVE));
    must(cuGraphRetainUserObject(child, objects[2], 1, CU_GRAPH_USER_OBJECT_MOVE));
    must(cuGraphCreate(&parent, 0));
    must(cuGraphAddChildGraphNode(&node, parent, NULL, 0, graph));
    must(cuGraphDestroy(graph));
    must(cuGraphInstantiate(&exec, parent, 0));
    must(cuGraphExecChildGraphNodeSetParams(exec, node, child));
    must(cuGraphDestroy(child));
    must(cuGraphDestroy(parent));
    expect_ended(1); /* the first child's */
    must(cuGraphExecDestroy(exec));
    expect_ended(2);
    graph = graph_of_calls();
    must(cuGraphInstantiate(&exec, other, 0));
    must(cuGraphDestroy(other));
    expect_alive(2);
    must(cuGraphExecUpdate(exec, graph, &info));
    expect_ended(3);
}
