/* SPDX-License-Identifier: Apache-2.0 */
/* pins - ends with blocks alive that must not move: one is exported, two are named by copy and set nodes of a graph. */
#include <cuda.h>

#include <stdio.h>
#include <stdlib.h>

#define MIB ((size_t)1 << 20)

static void must(CUresult result, const char *what)
{
    if (result == CUDA_SUCCESS)
        return;
    fprintf(stderr, "%s: %d\n", what, (int)result);
    exit(2);
}

#define MUST(call) must(call, #call)

int main(void)
{
    const CUmemAccessDesc access = {.location = {CU_MEM_LOCATION_TYPE_DEVICE, 0},
                                    .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    CUdeviceptr exported, source, target, plain;
    CUgraphExec executable, gone;
    CUipcMemHandle handle;
    CUcontext context;
    CUgraph graph, child;
    CUgraphNode node;

    MUST(cuInit(0));
    MUST(cuDevicePrimaryCtxRetain(&context, 0));
    MUST(cuCtxSetCurrent(context));
    MUST(cuMemAlloc(&exported, 2 * MIB));
    MUST(cuMemAlloc(&source, 4 * MIB));
    MUST(cuMemAlloc(&target, 8 * MIB));
    MUST(cuMemAlloc(&plain, 16 * MIB));
    MUST(cuIpcGetMemHandle(&handle, exported));
    const CUDA_MEMCPY3D copy = {.srcMemoryType = CU_MEMORYTYPE_DEVICE,
                                .srcDevice = source,
                                .dstMemoryType = CU_MEMORYTYPE_DEVICE,
                                .dstDevice = target,
                                .WidthInBytes = MIB,
                                .Height = 1,
                                .Depth = 1};

    MUST(cuGraphCreate(&child, 0)); /* seen through a node of another graph */
    MUST(cuGraphAddMemcpyNode(&node, child, NULL, 0, &copy, context));
    MUST(cuGraphCreate(&graph, 0));
    MUST(cuGraphAddChildGraphNode(&node, graph, NULL, 0, child));
    MUST(cuGraphInstantiate(&executable, graph, 0));
    MUST(cuGraphInstantiate(&gone, graph, 0));
    MUST(cuGraphExecDestroy(gone));
    if (cuMemSetAccess(plain, 16 * MIB, &access, 1) != CUDA_ERROR_INVALID_VALUE)
        return 3; /* ordinary memory has no access to set */
    return 0;
}
