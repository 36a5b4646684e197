/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded with a device budget of 16 MiB and patience for ten minutes: functions of the host are work of their stream, which a
 * free waits for; and may call malloc, which waits for nobody who waits for them.
 */
#include "../world.h"

#include <stdatomic.h>
#include <string.h>
#include <time.h>

TestSuite(host_work, .timeout = 60);

#define BLOCK_BYTES (4 * MIB)

static atomic_bool has_run;

/* Takes its time: whoever waits for it finds it done, however long that is. */
static void run(void *unused)
{
    (void)unused;
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    atomic_store(&has_run, true);
}

static void run_behind(CUstream stream, CUresult status, void *unused)
{
    (void)stream;
    (void)status;
    run(unused);
}

static void by_launch(CUstream stream)
{
    OK(cuLaunchHostFunc(stream, run, NULL));
}

static void by_callback(CUstream stream)
{
    OK(cuStreamAddCallback(stream, run_behind, NULL, 0));
}

static void by_graph(CUstream stream)
{
    const CUDA_HOST_NODE_PARAMS params = {.fn = run};
    CUgraphExec executable;
    CUgraphNode node;
    CUgraph graph;

    OK(cuGraphCreate(&graph, 0));
    OK(cuGraphAddHostNode(&node, graph, NULL, 0, &params));
    OK(cuGraphInstantiate(&executable, graph, 0));
    OK(cuGraphLaunch(executable, stream));
}

static void by_capture(CUstream stream)
{
    CUgraphExec executable;
    CUgraph graph;

    OK(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
    OK(cuLaunchHostFunc(stream, run, NULL));
    OK(cuStreamEndCapture(stream, &graph));
    OK(cuGraphInstantiate(&executable, graph, 0));
    OK(cuGraphLaunch(executable, stream));
}

static void (*const ways[])(CUstream) = {by_launch, by_callback, by_graph, by_capture};

/* A block of a device that was found at rest, and has been given nothing since. */
static CUdeviceptr block_at_rest(void)
{
    CUdeviceptr block, other;

    OK(cuMemAlloc(&block, BLOCK_BYTES));
    OK(cuMemAlloc(&other, BLOCK_BYTES));
    OK(cuMemFree(other));
    return block;
}

Test(host_work, free_waits_for_a_function_of_the_host_as_for_any_work)
{
    struct world world = world_make();
    CUstream stream;

    OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    for (unsigned i = 0; i < sizeof ways / sizeof *ways; i++) {
        CUdeviceptr block = block_at_rest();

        atomic_store(&has_run, false);
        ways[i](stream);
        OK(cuMemFree(block));
        cr_expect(atomic_load(&has_run), "way %u", i);
        OK(cuStreamSynchronize(stream));
    }
    world_end(&world);
}

/* ---- functions that call the driver, which it forbids ------------------------------------------------------------- */

static atomic_int answer;

static void free_it(void *block)
{
    atomic_store(&answer, (int)cuMemFree((CUdeviceptr)(uintptr_t)block));
}

Test(host_work, free_in_a_function_is_the_drivers_to_refuse_and_waits_for_nothing)
{
    struct world world = world_make();
    CUdeviceptr block, other;
    CUstream stream;

    OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    OK(cuMemAlloc(&block, BLOCK_BYTES));
    OK(cuMemAlloc(&other, BLOCK_BYTES));
    OK(cuLaunchHostFunc(stream, free_it, (void *)(uintptr_t)block));
    OK(cuMemFree(other));
    OK(cuStreamSynchronize(stream));
    cr_expect_eq(atomic_load(&answer), CUDA_ERROR_INVALID_CONTEXT);
    OK(cuMemFree(block));
    world_end(&world);
}

/* ---- functions that allocate ------------------------------------------------------------------------------------- */

enum {
    OBJECTS = 24
};

static atomic_uint got, wrong;

/* More than the heap has room for, kept; and small objects. */
static void allocate(void *unused)
{
    void *object[OBJECTS];

    (void)unused;
    for (unsigned i = 0; i < OBJECTS; i++) {
        size_t bytes = (size_t)(i % 4 ? 1000 : 4 * MIB);

        object[i] = malloc(bytes);
        if (!object[i])
            continue;
        atomic_fetch_add(&got, 1);
        memset(object[i], (int)i, bytes);
    }
    for (unsigned i = 0; i < OBJECTS; i++) {
        if (object[i] && *(unsigned char *)object[i] != i)
            atomic_fetch_add(&wrong, 1);
        free(object[i]);
    }
}

Test(host_work, functions_allocate_while_blocks_move_to_make_room)
{
    enum {
        BLOCKS = 10
    };
    struct world world = world_make();
    CUdeviceptr block[BLOCKS];
    CUstream stream;

    OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < BLOCKS; i++) {
            OK(cuLaunchHostFunc(stream, allocate, NULL));
            OK(cuMemAlloc(&block[i], BLOCK_BYTES));
            OK(cuMemsetD32Async(block[i], bits_of((float)i), BLOCK_BYTES / sizeof(float), stream));
        }
        OK(cuStreamSynchronize(stream));
        for (unsigned i = 0; i < BLOCKS; i++) {
            cr_expect(all_are(block[i], BLOCK_BYTES / sizeof(float), (float)i));
            OK(cuLaunchHostFunc(stream, allocate, NULL));
            OK(cuMemFree(block[i]));
        }
    }
    OK(cuCtxSynchronize());
    cr_expect_gt(atomic_load(&got), 0);
    cr_expect_eq(atomic_load(&wrong), 0);
    world_end(&world);
}
