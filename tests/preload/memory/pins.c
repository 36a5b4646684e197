/* SPDX-License-Identifier: Apache-2.0 */
/* pins - ends with blocks alive that must not move: exported, named by a graph, behind a texture, announced to a
 * network card. */
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
    const CUDA_TEXTURE_DESC sampling = {.flags = CU_TRSF_READ_AS_INTEGER};
    CUDA_RESOURCE_DESC desc = {.resType = CU_RESOURCE_TYPE_LINEAR};
    const unsigned on = 1, off = 0;
    CUdeviceptr exported, source, target, plain, sampled, announced;
    CUtexObject texture, refused;
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
    MUST(cuMemAlloc(&sampled, 6 * MIB));
    MUST(cuMemAlloc(&announced, 10 * MIB));
    for (unsigned i = 0; i < 0x10001; i++) /* as often as a program likes */
        MUST(cuPointerSetAttribute(&on, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, announced));
    MUST(cuPointerSetAttribute(&off, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, announced));
    MUST(cuPointerSetAttribute(&off, CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, plain));
    MUST(cuIpcGetMemHandle(&handle, exported));
    desc.res.linear.devPtr = sampled;
    desc.res.linear.format = CU_AD_FORMAT_FLOAT;
    desc.res.linear.numChannels = 1;
    desc.res.linear.sizeInBytes = 6 * MIB;
    MUST(cuTexObjectCreate(&texture, &desc, &sampling, NULL));
    desc.res.linear.devPtr = plain;
    if (cuTexObjectCreate(&refused, &desc, NULL, NULL) == CUDA_SUCCESS)
        return 3; /* what the driver refuses pins nothing */
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
