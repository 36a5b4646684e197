/* SPDX-License-Identifier: Apache-2.0 */
#include "kinds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

uint64_t kinds_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state * UINT64_C(0x2545f4914f6cdd1d) >> 11;
}

/* Mostly small, sometimes a block, sometimes large. */
static size_t random_bytes(uint64_t *random)
{
    uint64_t choice = kinds_random(random) % 8;
    size_t most = choice < 4 ? 64 * KIB : choice < 6 ? MIB : choice < 7 ? 3 * MIB : 9 * MIB;

    return 1 + kinds_random(random) % most;
}

/* An injected failure ends; a call that goes on failing is a broken test. */
#define INSIST(call)                                                                                         \
    do {                                                                                                     \
        CUresult insist_result = (call);                                                                     \
        for (int tries = 0; insist_result != CUDA_SUCCESS && tries < 100; tries++)                           \
            insist_result = (call);                                                                          \
        if (insist_result != CUDA_SUCCESS) {                                                                 \
            fprintf(stderr, "%s goes on failing: %d\n", #call, (int)insist_result);                          \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

static bool make_pool(uint64_t *random, int ordinal, CUstream stream, struct object *out)
{
    const CUmemPoolProps props = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                                  .location = {CU_MEM_LOCATION_TYPE_DEVICE, ordinal}};
    cuuint64_t threshold = kinds_random(random) % 2 ? UINT64_MAX : 0;

    out->early = kinds_random(random) % 2;
    if (cuMemPoolCreate(&out->pool, &props) != CUDA_SUCCESS)
        return false;
    INSIST(cuMemPoolSetAttribute(out->pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &threshold));
    for (int i = 0; i < PARTS; i++)
        if (cuMemAllocFromPoolAsync(&out->address[i], out->bytes, out->pool, stream) != CUDA_SUCCESS)
            out->address[i] = 0;
    if (kinds_random(random) % 2)
        INSIST(cuMemPoolTrimTo(out->pool, 0));
    return true;
}

static void give_pool(struct object *object, CUstream stream)
{
    if (object->early)
        INSIST(cuMemPoolDestroy(object->pool));
    for (int i = 0; i < PARTS; i++) {
        if (object->address[i] && i % 2)
            INSIST(cuMemFree(object->address[i]));
        else if (object->address[i])
            INSIST(cuMemFreeAsync(object->address[i], stream));
    }
    INSIST(cuStreamSynchronize(stream));
    if (!object->early)
        INSIST(cuMemPoolDestroy(object->pool));
}

/* Reached by its own device, by both, or by nobody any more; refused, all is as it was. */
static void grant_vmm(uint64_t *random, int ordinal, CUdeviceptr address, struct object *out, bool *is_open)
{
    CUmemAccess_flags flags =
        kinds_random(random) % 4 ? CU_MEM_ACCESS_FLAGS_PROT_READWRITE : CU_MEM_ACCESS_FLAGS_PROT_NONE;
    const CUmemAccessDesc grants[] = {{{CU_MEM_LOCATION_TYPE_DEVICE, ordinal}, flags},
                                      {{CU_MEM_LOCATION_TYPE_DEVICE, !ordinal}, flags}};

    if (cuMemSetAccess(address, out->bytes, grants, 1 + kinds_random(random) % 2) == CUDA_SUCCESS)
        *is_open = flags == CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
}

/* What has been mapped is reached, written, moved to the addresses behind it, and mapped there a second time. */
static void use_vmm(uint64_t *random, int ordinal, CUstream stream, CUmemGenericAllocationHandle handle,
                    struct object *out)
{
    bool is_open = false, is_second_open = false;

    for (unsigned i = kinds_random(random) % 8; i; i--)
        switch (kinds_random(random) % 5) {
        case 0:
        case 1:
            grant_vmm(random, ordinal, out->address[0], out, &is_open);
            break;
        case 2:
            if (is_open)
                (void)cuMemsetD8Async(out->address[0], 5, out->bytes, stream);
            INSIST(cuStreamSynchronize(stream));
            break;
        case 3:
            INSIST(cuMemUnmap(out->address[0], out->bytes));
            INSIST(cuMemMap(out->address[0], out->bytes, 0, handle, 0));
            is_open = false;
            break;
        default:
            if (!out->address[2] &&
                cuMemMap(out->address[0] + out->bytes, out->bytes, 0, handle, 0) == CUDA_SUCCESS)
                out->address[2] = out->address[0] + out->bytes;
            if (out->address[2])
                grant_vmm(random, ordinal, out->address[2], out, &is_second_open);
        }
}

/* In the first half of a reservation; what is given back may be reached still. */
static bool make_vmm(uint64_t *random, int ordinal, CUstream stream, struct object *out)
{
    const CUmemAllocationProp prop = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                                      .location = {CU_MEM_LOCATION_TYPE_DEVICE, ordinal}};
    CUmemGenericAllocationHandle handle, again;

    out->bytes = (out->bytes + 2 * MIB - 1) / (2 * MIB) * (2 * MIB);
    out->early = kinds_random(random) % 2;
    if (cuMemCreate(&handle, out->bytes, &prop, 0) != CUDA_SUCCESS)
        return false;
    INSIST(cuMemAddressReserve(&out->address[0], 2 * out->bytes, 0, 0, 0));
    INSIST(cuMemMap(out->address[0], out->bytes, 0, handle, 0));
    use_vmm(random, ordinal, stream, handle, out);
    INSIST(cuMemRelease(handle));
    if (out->early)
        return true;
    INSIST(cuMemRetainAllocationHandle(&again, (void *)(uintptr_t)out->address[0]));
    out->address[1] = again;
    return true;
}

static void give_vmm(struct object *object)
{
    INSIST(cuMemUnmap(object->address[0], object->bytes));
    if (object->address[2])
        INSIST(cuMemUnmap(object->address[2], object->bytes));
    INSIST(cuMemAddressFree(object->address[0], 2 * object->bytes));
    if (!object->early)
        INSIST(cuMemRelease(object->address[1]));
}

static bool make_array(uint64_t *random, struct object *out)
{
    const CUDA_ARRAY_DESCRIPTOR flat = {.Width = 1 + kinds_random(random) % 1024,
                                        .Height = kinds_random(random) % 1024,
                                        .Format = CU_AD_FORMAT_FLOAT,
                                        .NumChannels = 1 + kinds_random(random) % 2};
    const CUDA_ARRAY3D_DESCRIPTOR deep = {.Width = flat.Width,
                                          .Height = flat.Height + 1,
                                          .Depth = out->kind == KIND_VOLUME ? 3 : 0,
                                          .Format = CU_AD_FORMAT_HALF,
                                          .NumChannels = 4};

    if (out->kind == KIND_ARRAY)
        return cuArrayCreate(&out->array, &flat) == CUDA_SUCCESS;
    if (out->kind == KIND_VOLUME)
        return cuArray3DCreate(&out->array, &deep) == CUDA_SUCCESS;
    return cuMipmappedArrayCreate(&out->mipmap, &deep, 1 + (unsigned)(kinds_random(random) % 5)) ==
           CUDA_SUCCESS;
}

/* Two allocations, the second of which the graph frees itself: by nodes, by nodes of the entry for any, or as a capture makes them. */
static void build_graph(int ordinal, struct object *out)
{
    CUDA_MEM_ALLOC_NODE_PARAMS params = {.poolProps = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                                                       .location = {CU_MEM_LOCATION_TYPE_DEVICE, ordinal}},
                                         .bytesize = out->bytes};
    CUgraphNode node[2];

    INSIST(cuGraphCreate(&out->graph, 0));
    for (int i = 0; i < 2; i++) {
        INSIST(cuGraphAddMemAllocNode(&node[i], out->graph, NULL, 0, &params));
        out->address[i] = params.dptr;
    }
    INSIST(cuGraphAddMemFreeNode(&node[1], out->graph, &node[1], 1, out->address[1]));
}

static void build_any_graph(int ordinal, struct object *out)
{
    CUgraphNodeParams params = {.type = CU_GRAPH_NODE_TYPE_MEM_ALLOC,
                                .alloc = {.poolProps = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                                                        .location = {CU_MEM_LOCATION_TYPE_DEVICE, ordinal}},
                                          .bytesize = out->bytes}};
    CUgraphNodeParams freeing = {.type = CU_GRAPH_NODE_TYPE_MEM_FREE};
    CUgraphNode node[2];

    INSIST(cuGraphCreate(&out->graph, 0));
    for (int i = 0; i < 2; i++) {
        INSIST(cuGraphAddNode(&node[i], out->graph, NULL, NULL, 0, &params));
        out->address[i] = params.alloc.dptr;
    }
    freeing.free.dptr = out->address[1];
    INSIST(cuGraphAddNode(&node[1], out->graph, &node[1], NULL, 1, &freeing));
}

static bool capture_graph(CUstream stream, struct object *out)
{
    bool good = true;

    INSIST(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
    for (int i = 0; i < 2; i++)
        good = good && cuMemAllocAsync(&out->address[i], out->bytes, stream) == CUDA_SUCCESS;
    good = good && cuMemFreeAsync(out->address[1], stream) == CUDA_SUCCESS;
    INSIST(cuStreamEndCapture(stream, &out->graph));
    if (!good)
        INSIST(cuGraphDestroy(out->graph));
    return good;
}

static bool make_graph(uint64_t *random, int ordinal, CUstream stream, struct object *out)
{
    bool good;

    out->early = kinds_random(random) % 2;
    switch (kinds_random(random) % 4) {
    case 0:
        build_graph(ordinal, out);
        break;
    case 1:
        build_any_graph(ordinal, out);
        break;
    default:
        if (!capture_graph(stream, out))
            return false;
    }
    good = cuGraphInstantiate(&out->instance, out->graph, 0) == CUDA_SUCCESS;
    if (good && cuGraphLaunch(out->instance, stream) == CUDA_SUCCESS)
        return true;
    if (good)
        INSIST(cuGraphExecDestroy(out->instance));
    INSIST(cuGraphDestroy(out->graph));
    return false;
}

static void give_graph(struct object *object, CUstream stream)
{
    int ordinal;

    INSIST(cuPointerGetAttribute(&ordinal, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, object->address[0]));
    if (object->early)
        INSIST(cuGraphDestroy(object->graph));
    INSIST(cuMemFreeAsync(object->address[0], stream));
    INSIST(cuStreamSynchronize(stream));
    if (object->bytes % 2)
        INSIST(cuDeviceGraphMemTrim(ordinal));
    INSIST(cuGraphExecDestroy(object->instance));
    if (!object->early)
        INSIST(cuGraphDestroy(object->graph));
}

/* Pages come and go, as they are used, asked for and advised about; a call that fails does nothing. */
static bool make_managed(uint64_t *random, int ordinal, CUstream stream, struct object *out)
{
    static const CUmem_advise advice[] = {CU_MEM_ADVISE_SET_READ_MOSTLY, CU_MEM_ADVISE_SET_PREFERRED_LOCATION,
                                          CU_MEM_ADVISE_SET_ACCESSED_BY, CU_MEM_ADVISE_UNSET_READ_MOSTLY};
    const CUmemLocation device = {CU_MEM_LOCATION_TYPE_DEVICE, ordinal},
                        host = {CU_MEM_LOCATION_TYPE_HOST, 0};
    size_t part = 1 + kinds_random(random) % out->bytes;

    if (cuMemAllocManaged(&out->address[0], out->bytes, CU_MEM_ATTACH_GLOBAL) != CUDA_SUCCESS)
        return false;
    for (unsigned i = 0; i < kinds_random(random) % 5; i++)
        switch (kinds_random(random) % 4) {
        case 0:
            (void)cuMemAdvise(out->address[0], part, advice[kinds_random(random) % 4], device);
            break;
        case 1:
            (void)cuMemPrefetchAsync(out->address[0], part, kinds_random(random) % 2 ? device : host, 0,
                                     stream);
            break;
        case 2:
            (void)cuMemsetD8Async(out->address[0], 7, part, stream);
            break;
        default:
            (void)cuStreamAttachMemAsync(stream, out->address[0], 0, CU_MEM_ATTACH_GLOBAL);
        }
    return true;
}

/* The runtime's and the driver's ways to pin and to let go. */
static bool make_host(uint64_t *random, struct object *out)
{
    if (out->kind == KIND_PINNED)
        return (kinds_random(random) % 2 ? cuMemHostAlloc(&out->host, out->bytes, 0)
                                         : cuMemAllocHost(&out->host, out->bytes)) == CUDA_SUCCESS;
    /* Not from the heap, whose bytes are charged already. */
    out->host = mmap(NULL, out->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (out->host == MAP_FAILED)
        return false;
    out->address[0] = (uintptr_t)out->host;
    if (cuMemHostRegister((void *)(uintptr_t)out->address[0], out->bytes, 0) == CUDA_SUCCESS)
        return true;
    munmap(out->host, out->bytes);
    return false;
}

static bool make_context(uint64_t *random, int ordinal, struct object *out)
{
    static const enum kind inside[] = {KIND_PLAIN, KIND_MANAGED, KIND_ARRAY, KIND_MIPMAP, KIND_PINNED};
    struct object lost;
    CUcontext popped;

    if (cuCtxCreate(&out->own, NULL, 0, ordinal) != CUDA_SUCCESS)
        return false;
    for (unsigned i = 0; i < sizeof inside / sizeof *inside; i++)
        kinds_make(inside[i], random, out->own, ordinal, NULL, &lost);
    INSIST(cuCtxPopCurrent(&popped));
    return true;
}

bool kinds_make(enum kind kind, uint64_t *random, CUcontext context, int ordinal, CUstream stream,
                struct object *out)
{
    size_t pitch;

    *out = (struct object){.kind = kind, .context = context, .bytes = random_bytes(random)};
    switch (kind) {
    case KIND_PLAIN:
        return cuMemAlloc(&out->address[0], out->bytes) == CUDA_SUCCESS;
    case KIND_PITCH:
        return cuMemAllocPitch(&out->address[0], &pitch, 1 + out->bytes % 5000, 1 + out->bytes / 5000, 4) ==
               CUDA_SUCCESS;
    case KIND_MANAGED:
        return make_managed(random, ordinal, stream, out);
    case KIND_ASYNC:
        return cuMemAllocAsync(&out->address[0], out->bytes, stream) == CUDA_SUCCESS;
    case KIND_POOL:
        return make_pool(random, ordinal, stream, out);
    case KIND_VMM:
        return make_vmm(random, ordinal, stream, out);
    case KIND_ARRAY:
    case KIND_VOLUME:
    case KIND_MIPMAP:
        return make_array(random, out);
    case KIND_GRAPH:
        return make_graph(random, ordinal, stream, out);
    case KIND_PINNED:
    case KIND_REGISTERED:
        return make_host(random, out);
    case KIND_CONTEXT:
        return make_context(random, ordinal, out);
    default:
        return false;
    }
}

void kinds_give(struct object *object, CUstream stream)
{
    switch (object->kind) {
    case KIND_PLAIN:
    case KIND_PITCH:
    case KIND_MANAGED:
        INSIST(cuMemFree(object->address[0]));
        break;
    case KIND_ASYNC:
        INSIST(cuMemFreeAsync(object->address[0], stream));
        break;
    case KIND_POOL:
        give_pool(object, stream);
        break;
    case KIND_VMM:
        give_vmm(object);
        break;
    case KIND_ARRAY:
    case KIND_VOLUME:
        INSIST(cuArrayDestroy(object->array));
        break;
    case KIND_MIPMAP:
        INSIST(cuMipmappedArrayDestroy(object->mipmap));
        break;
    case KIND_GRAPH:
        give_graph(object, stream);
        break;
    case KIND_PINNED:
        INSIST(cuMemFreeHost(object->host));
        break;
    case KIND_REGISTERED:
        INSIST(cuMemHostUnregister((void *)(uintptr_t)object->address[0]));
        munmap(object->host, object->bytes);
        break;
    case KIND_CONTEXT:
        INSIST(cuCtxDestroy(object->own));
        break;
    default:
        break;
    }
}
