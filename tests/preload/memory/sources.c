/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sources - what a program is told of copies whose source in host memory is not all there, one line for each way to copy.
 *
 * Memory that the driver has pinned is followed by pages that nobody may read. Each way copies what ends with it, what ends a
 * little behind it, and shapes that no memory has.
 */
#include <cuda.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    PAGE = 4096,
    PINNED = 4 * PAGE,
    HOLE = 64 * PAGE,
    DEVICE_BYTES = 4 << 20,
    BLOCKS = 5 /* of the device's 16 MiB: some are away */
};

static CUdeviceptr device;
static CUarray array;
static CUstream stream;
static char *host;

/* Rows of a source, and slices: each way takes what it can express. */
struct shape {
    const char *name;
    size_t first, width, pitch, height, slice_height, depth;
};

static const struct shape shapes[] = {
    {"all of it", 0, PINNED, PINNED, 1, 1, 1},
    {"one byte more", 0, PINNED + 1, PINNED + 1, 1, 1, 1},
    {"at no multiple of four, one byte more", 1, PINNED, PINNED, 1, 1, 1},
    {"the last byte and one more", PINNED - 1, 2, 2, 1, 1, 1},
    {"rows in it", 0, 256, 512, 32, 32, 1},
    {"a row too many", 0, 256, 512, 33, 33, 1},
    {"the last row a byte too long", 256, 257, 512, 32, 32, 1},
    {"rows far apart", 0, 64, HOLE + PAGE, 2, 2, 1},
    {"slices in it", 0, 64, 64, 4, 8, 8},
    {"a slice too many", 0, 64, 64, 64, 64, 5},
    {"rows without a distance", 0, 64, 0, 16, 0, 2},
    {"rows that overlap", 0, 512, 64, 4, 4, 1},
    {"more rows than there is memory", 0, 64, 1 << 20, (size_t)1 << 50, (size_t)1 << 50, 1},
    {"a length that wraps", 0, SIZE_MAX - 64, SIZE_MAX - 64, 1, 1, 1},
    {"a distance that wraps", 0, 8, SIZE_MAX / 2, 4, 4, 4},
    {"nothing", 0, 0, 64, 4, 4, 4},
};

static CUDA_MEMCPY3D space_of(const struct shape *shape, CUmemorytype from, CUmemorytype to)
{
    return (CUDA_MEMCPY3D){.srcMemoryType = from,
                           .srcHost = from == CU_MEMORYTYPE_HOST ? host + shape->first : NULL,
                           .srcDevice =
                               from == CU_MEMORYTYPE_HOST ? 0 : (CUdeviceptr)(uintptr_t)host + shape->first,
                           .srcPitch = shape->pitch,
                           .srcHeight = shape->slice_height,
                           .dstMemoryType = to,
                           .dstDevice = to == CU_MEMORYTYPE_DEVICE ? device : 0,
                           .dstArray = to == CU_MEMORYTYPE_ARRAY ? array : NULL,
                           .dstPitch = shape->width,
                           .dstHeight = shape->height,
                           .WidthInBytes = shape->width,
                           .Height = shape->height,
                           .Depth = shape->depth};
}

static CUDA_MEMCPY2D plane_of(const struct shape *shape, CUmemorytype from, CUmemorytype to)
{
    const CUDA_MEMCPY3D space = space_of(shape, from, to);

    return (CUDA_MEMCPY2D){.srcMemoryType = space.srcMemoryType,
                           .srcHost = space.srcHost,
                           .srcDevice = space.srcDevice,
                           .srcPitch = space.srcPitch,
                           .dstMemoryType = space.dstMemoryType,
                           .dstDevice = space.dstDevice,
                           .dstArray = space.dstArray,
                           .dstPitch = space.dstPitch,
                           .WidthInBytes = space.WidthInBytes,
                           .Height = space.Height};
}

static void told(CUresult result)
{
    printf(" %d", (int)result);
    if (result == CUDA_SUCCESS)
        printf("/%d", (int)cuCtxSynchronize());
}

static void flat(const struct shape *shape)
{
    CUdeviceptr from = (CUdeviceptr)(uintptr_t)host + shape->first, to = device;
    size_t bytes = shape->width, which = 0;
    CUmemcpyAttributes attributes = {.srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_STREAM};

    printf("  flat:");
    told(cuMemcpyHtoD(device, host + shape->first, bytes));
    told(cuMemcpyHtoDAsync(device, host + shape->first, bytes, stream));
    told(cuMemcpy(device, from, bytes));
    told(cuMemcpyAsync(device, from, bytes, stream));
    told(cuMemcpyBatchAsync(&to, &from, &bytes, 1, &attributes, &which, 1, stream));
    told(cuMemcpyHtoA(array, 0, host + shape->first, bytes));
    told(cuMemcpyHtoAAsync(array, 0, host + shape->first, bytes, stream));
    putchar('\n');
}

static void pitched(const struct shape *shape, CUmemorytype from, CUmemorytype to)
{
    const CUDA_MEMCPY2D plane = plane_of(shape, from, to);
    const CUDA_MEMCPY3D space = space_of(shape, from, to);
    CUDA_MEMCPY3D_PEER peer = {.Depth = space.Depth};
    CUcontext context;

    printf("  from %d to %d:", (int)from, (int)to);
    told(cuMemcpy2D(&plane));
    told(cuMemcpy2DUnaligned(&plane));
    told(cuMemcpy2DAsync(&plane, stream));
    told(cuMemcpy3D(&space));
    told(cuMemcpy3DAsync(&space, stream));
    cuCtxGetCurrent(&context);
    peer.srcMemoryType = from;
    peer.srcHost = space.srcHost;
    peer.srcDevice = space.srcDevice;
    peer.srcPitch = space.srcPitch;
    peer.srcHeight = space.srcHeight;
    peer.srcContext = peer.dstContext = context;
    peer.dstMemoryType = to;
    peer.dstDevice = space.dstDevice;
    peer.dstArray = space.dstArray;
    peer.dstPitch = space.dstPitch;
    peer.dstHeight = space.dstHeight;
    peer.WidthInBytes = space.WidthInBytes;
    peer.Height = space.Height;
    told(cuMemcpy3DPeer(&peer));
    told(cuMemcpy3DPeerAsync(&peer, stream));
    putchar('\n');
}

/* As a node of a graph, which is launched twice. */
static void recorded(const struct shape *shape)
{
    const CUDA_MEMCPY3D space = space_of(shape, CU_MEMORYTYPE_HOST, CU_MEMORYTYPE_DEVICE);
    CUgraphExec executable;
    CUgraphNode node;
    CUcontext context;
    CUgraph graph;
    CUresult result;

    cuCtxGetCurrent(&context);
    printf("  graph: %d", (int)cuGraphCreate(&graph, 0));
    result = cuGraphAddMemcpyNode(&node, graph, NULL, 0, &space, context);
    printf(" %d", (int)result);
    if (result == CUDA_SUCCESS && (result = cuGraphInstantiate(&executable, graph, 0)) == CUDA_SUCCESS) {
        told(cuGraphLaunch(executable, stream));
        told(cuGraphLaunch(executable, stream));
        cuGraphExecDestroy(executable);
    }
    cuGraphDestroy(graph);
    putchar('\n');
}

static void look_at(const struct shape *shape)
{
    printf("%s\n", shape->name);
    if (shape->height <= 1 && shape->depth <= 1)
        flat(shape);
    for (int from = CU_MEMORYTYPE_HOST; from <= CU_MEMORYTYPE_UNIFIED;
         from += CU_MEMORYTYPE_UNIFIED - CU_MEMORYTYPE_HOST) {
        pitched(shape, (CUmemorytype)from, CU_MEMORYTYPE_DEVICE);
        pitched(shape, (CUmemorytype)from, CU_MEMORYTYPE_ARRAY);
    }
    recorded(shape);
    fflush(stdout);
}

static void must(CUresult result, const char *what)
{
    if (result == CUDA_SUCCESS)
        return;
    fprintf(stderr, "%s: %d\n", what, (int)result);
    exit(2);
}

int main(void)
{
    const CUDA_ARRAY_DESCRIPTOR rows = {
        .Width = 32768, .Height = 64, .Format = CU_AD_FORMAT_UNSIGNED_INT8, .NumChannels = 1};
    CUdeviceptr block;
    CUcontext context;

    must(cuInit(0), "cuInit");
    must(cuDevicePrimaryCtxRetain(&context, 0), "cuDevicePrimaryCtxRetain");
    must(cuCtxSetCurrent(context), "cuCtxSetCurrent");
    must(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), "cuStreamCreate");
    must(cuMemAlloc(&device, DEVICE_BYTES), "cuMemAlloc");
    must(cuArrayCreate(&array, &rows), "cuArrayCreate");
    for (unsigned i = 0; i < BLOCKS; i++)
        must(cuMemAlloc(&block, DEVICE_BYTES), "cuMemAlloc");
    host = mmap(NULL, PINNED + HOLE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (host == MAP_FAILED || mprotect(host + PINNED, HOLE, PROT_NONE))
        return 2;
    must(cuMemHostRegister(host, PINNED, 0), "cuMemHostRegister");
    for (unsigned i = 0; i < sizeof shapes / sizeof *shapes; i++)
        look_at(&shapes[i]);
    return 0;
}
