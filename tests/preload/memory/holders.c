/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holders - some allocations of each kind on two devices, some of them freed, some in a way that keeps them where they are; then
 * one that is refused. Prints for each device and kind how many there are and how many there ever were, as the program knows it:
 * calls that fail are no allocations.
 */
#include <cuda.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

enum {
    DEVICES = 2,
    BLOCKS = 4,
    SMALL = 40,
    FEW = 3
};

enum kind {
    BLOCK,
    SMALL_ONE,
    ASYNC,
    ASYNC_SMALL,
    POOL,
    GRAPH,
    MANAGED,
    ARRAY,
    VMM,
    KINDS
};

static const char *const name[KINDS] = {"block", "small",   "async", "async_small", "pool",
                                        "graph", "managed", "array", "vmm"};

struct count {
    unsigned now, ever;
};

static struct count counts[DEVICES][KINDS];
static CUcontext contexts[DEVICES];
static int here;

static void must(CUresult result, const char *what)
{
    if (result == CUDA_SUCCESS)
        return;
    fprintf(stderr, "%s: %d\n", what, (int)result);
    exit(2);
}

static bool made(enum kind kind, CUresult result)
{
    bool good = result == CUDA_SUCCESS;

    counts[here][kind].now += good;
    counts[here][kind].ever += good;
    return good;
}

static void gone(enum kind kind, CUresult result)
{
    counts[here][kind].now -= result == CUDA_SUCCESS;
}

static void plain(void)
{
    CUdeviceptr block[BLOCKS], small[SMALL];
    CUipcMemHandle handle;

    for (int i = 0; i < BLOCKS; i++)
        if (!made(BLOCK, cuMemAlloc(&block[i], (2 + (size_t)i) * MIB)))
            block[i] = 0;
    for (int i = 0; i < SMALL; i++)
        if (!made(SMALL_ONE, cuMemAlloc(&small[i], 1 + (size_t)i * KIB)))
            small[i] = 0;
    if (block[0])
        cuIpcGetMemHandle(&handle, block[0]); /* another process may have it from now on */
    if (block[1])
        gone(BLOCK, cuMemFree(block[1]));
    for (int i = 0; i < SMALL; i += 2)
        if (small[i])
            gone(SMALL_ONE, cuMemFree(small[i]));
}

static void ordered(CUstream stream)
{
    CUdeviceptr at[FEW], small[FEW];

    for (int i = 0; i < FEW; i++) {
        if (!made(ASYNC, cuMemAllocAsync(&at[i], 3 * MIB, stream)))
            at[i] = 0;
        if (!made(ASYNC_SMALL, cuMemAllocAsync(&small[i], 5000, stream)))
            small[i] = 0;
    }
    if (at[0])
        gone(ASYNC, cuMemFreeAsync(at[0], stream));
    if (small[0])
        gone(ASYNC_SMALL, cuMemFreeAsync(small[0], stream));
    if (at[1])
        gone(ASYNC, cuMemFree(at[1]));
}

/* A pool that other processes may import is the driver's own; what it gave out lives on when it is destroyed. */
static void out_of_pool(CUstream stream, bool destroyed)
{
    const CUmemPoolProps properties = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                                       .handleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR,
                                       .location = {CU_MEM_LOCATION_TYPE_DEVICE, here}};
    CUdeviceptr at[FEW];
    CUmemoryPool pool;

    if (cuMemPoolCreate(&pool, &properties) != CUDA_SUCCESS)
        return;
    for (int i = 0; i < FEW; i++)
        if (!made(POOL, cuMemAllocFromPoolAsync(&at[i], (1 + (size_t)i) * MIB, pool, stream)))
            at[i] = 0;
    if (at[0])
        gone(POOL, cuMemFreeAsync(at[0], stream));
    if (destroyed)
        cuMemPoolDestroy(pool);
    if (at[1])
        gone(POOL, cuMemFreeAsync(at[1], stream));
}

static void never_moving(void)
{
    const CUDA_ARRAY_DESCRIPTOR flat = {
        .Width = 512, .Height = 512, .Format = CU_AD_FORMAT_FLOAT, .NumChannels = 1};
    const CUmemAllocationProp prop = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                                      .location = {CU_MEM_LOCATION_TYPE_DEVICE, here}};
    CUmemGenericAllocationHandle handle[2];
    CUarray array[2];
    CUdeviceptr managed;

    for (int i = 0; i < 2; i++) {
        if (!made(ARRAY, cuArrayCreate(&array[i], &flat)))
            array[i] = NULL;
        if (!made(VMM, cuMemCreate(&handle[i], 2 * MIB, &prop, 0)))
            handle[i] = 0;
    }
    if (array[0])
        gone(ARRAY, cuArrayDestroy(array[0]));
    if (handle[0])
        gone(VMM, cuMemRelease(handle[0]));
    made(MANAGED, cuMemAllocManaged(&managed, 3 * MIB, CU_MEM_ATTACH_GLOBAL));
}

/* One by a node, one by a capture; the second graph goes again. */
static void graphs(CUstream stream)
{
    CUDA_MEM_ALLOC_NODE_PARAMS params = {.poolProps = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                                                       .location = {CU_MEM_LOCATION_TYPE_DEVICE, here}},
                                         .bytesize = 3 * MIB};
    CUgraphExec instance[2];
    CUgraph graph[2];
    CUgraphNode node;
    CUdeviceptr at;
    bool captured;

    must(cuGraphCreate(&graph[0], 0), "cuGraphCreate");
    must(cuGraphAddMemAllocNode(&node, graph[0], NULL, 0, &params), "cuGraphAddMemAllocNode");
    must(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_RELAXED), "cuStreamBeginCapture");
    captured = cuMemAllocAsync(&at, 2 * MIB, stream) == CUDA_SUCCESS;
    must(cuStreamEndCapture(stream, &graph[1]), "cuStreamEndCapture");
    if (!made(GRAPH, cuGraphInstantiate(&instance[0], graph[0], 0)) ||
        (captured && !made(GRAPH, cuGraphInstantiate(&instance[1], graph[1], 0))))
        return;
    cuGraphLaunch(instance[0], stream);
    if (captured)
        gone(GRAPH, cuGraphExecDestroy(instance[1]));
}

int main(int argc, char **argv)
{
    CUdeviceptr too_large;
    CUstream stream;

    must(cuInit(0), "cuInit");
    for (here = 0; here < DEVICES; here++) {
        must(cuDevicePrimaryCtxRetain(&contexts[here], here), "cuDevicePrimaryCtxRetain");
        must(cuCtxSetCurrent(contexts[here]), "cuCtxSetCurrent");
        must(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), "cuStreamCreate");
        plain();
        ordered(stream);
        out_of_pool(stream, here);
        never_moving();
        graphs(stream);
        if (argc > 1)
            printf("refused %d\n",
                   cuMemAlloc(&too_large, strtoull(argv[1], NULL, 10) * MIB) == CUDA_ERROR_OUT_OF_MEMORY);
        must(cuCtxSynchronize(), "cuCtxSynchronize");
    }
    for (here = 0; here < DEVICES; here++)
        for (int kind = 0; kind < KINDS; kind++)
            printf("%d %s %u %u\n", here, name[kind], counts[here][kind].now, counts[here][kind].ever);
    return 0;
}
