/* SPDX-License-Identifier: Apache-2.0 */
/* What one device may do with memory of another. */
#include "driver.h"
#include "far_device.h"

#include <criterion/criterion.h>
#include <string.h>

static CUcontext context[2];

/* Two devices; the first one's primary context stays current. */
static void start_two(void)
{
    setenv("SIMGPU_DEVICES", "2", 1);
    context[0] = start();
    must(cuDevicePrimaryCtxRetain(&context[1], 1));
}

static void grant_to(int device, CUdeviceptr address, CUmemAccess_flags flags)
{
    CUmemAccessDesc desc = {{CU_MEM_LOCATION_TYPE_DEVICE, device}, flags};

    must(cuMemSetAccess(address, GRANULE, &desc, 1));
}

/* A granule that lies on the device, which alone may touch it. */
static CUdeviceptr mapped_on(int device)
{
    CUmemAllocationProp prop = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                                .location = {CU_MEM_LOCATION_TYPE_DEVICE, device}};
    CUmemGenericAllocationHandle handle;
    CUdeviceptr address = reserve(GRANULE);

    must(cuMemCreate(&handle, GRANULE, &prop, 0));
    must(cuMemMap(address, GRANULE, 0, handle, 0));
    must(cuMemRelease(handle));
    grant_to(device, address, CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
    return address;
}

static CUdeviceptr allocated_on(int device)
{
    CUdeviceptr address;

    must(cuCtxPushCurrent(context[device]));
    must(cuMemAlloc(&address, GRANULE));
    must(cuCtxPopCurrent(NULL));
    return address;
}

/* Each use, in a stream and, where it does not wait, in the default one. */
static void all_are(CUresult expected, CUdeviceptr far, CUdeviceptr near)
{
    const struct far_use *lists[] = {far_uses, far_uses_ptds};
    CUstream stream;

    must(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    for (size_t i = 0; i < 2; i++) {
        for (const struct far_use *use = lists[i]; use->name; use++) {
            CUresult in_stream = use->make(far, near, stream), by_default;

            must(cuCtxSynchronize());
            by_default = use->make(far, near, NULL);
            must(cuCtxSynchronize());
            cr_assert_eq(in_stream, expected, "%s in a stream: %d", use->name, in_stream);
            cr_assert_eq(by_default, expected, "%s: %d", use->name, by_default);
        }
    }
    must(cuStreamDestroy(stream));
}

Test(devices, every_copy_and_set_of_a_mapping_needs_access_for_its_own_device)
{
    CUdeviceptr far, near;

    start_two();
    far = mapped_on(1);
    near = allocated_on(0);
    all_are(CUDA_ERROR_INVALID_VALUE, far, near);
    grant_to(0, far, CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
    all_are(CUDA_SUCCESS, far, near);
    must(cuCtxSetCurrent(context[1]));
    all_are(CUDA_SUCCESS, far, near);
    grant_to(1, far, CU_MEM_ACCESS_FLAGS_PROT_NONE);
    all_are(CUDA_ERROR_INVALID_VALUE, far, near);
}

Test(devices, peer_access_between_contexts_is_no_access_to_mappings)
{
    CUdeviceptr far, near;

    start_two();
    far = mapped_on(1);
    near = allocated_on(0);
    must(cuCtxEnablePeerAccess(context[1], 0));
    all_are(CUDA_ERROR_INVALID_VALUE, far, near);
}

Test(devices, allocated_memory_is_copied_and_set_without_peer_access)
{
    start_two();
    all_are(CUDA_SUCCESS, allocated_on(1), allocated_on(0));
    all_are(CUDA_SUCCESS, allocated_on(1), mapped_on(0));
}

Test(devices, the_device_of_the_stream_decides_not_the_current_one)
{
    CUdeviceptr far, near;
    CUstream stream;

    start_two();
    far = mapped_on(1);
    near = allocated_on(0);
    must(cuCtxPushCurrent(context[1]));
    must(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    must(cuCtxPopCurrent(NULL));
    must(cuMemcpyAsync(near, far, FAR_BYTES, stream));
    must(cuMemsetD8Async(far, 1, FAR_BYTES, stream));
    must(cuStreamSynchronize(stream));
}

Test(devices, pool_memory_is_granted_by_its_pool_and_to_copies_too)
{
    CUmemAccessDesc desc = {{CU_MEM_LOCATION_TYPE_DEVICE, 0}, CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    CUdeviceptr far, near;
    CUmemoryPool pool;

    start_two();
    near = allocated_on(0);
    must(cuDeviceGetDefaultMemPool(&pool, 1));
    must(cuCtxPushCurrent(context[1]));
    must(cuMemAllocAsync(&far, GRANULE, NULL));
    must(cuCtxPopCurrent(NULL));
    all_are(CUDA_ERROR_INVALID_VALUE, far, near);
    must(cuMemcpyPeer(near, context[0], far, context[1], FAR_BYTES));
    must(cuMemPoolSetAccess(pool, &desc, 1));
    all_are(CUDA_SUCCESS, far, near);
}

static void must_hold(CUdeviceptr address, unsigned char byte)
{
    unsigned char read[FAR_BYTES];

    must(cuMemcpyDtoH(read, address, sizeof read));
    for (size_t i = 0; i < sizeof read; i++)
        cr_assert_eq(read[i], byte);
}

static CUDA_MEMCPY3D_PEER slices_between(CUdeviceptr to, CUcontext to_context, CUdeviceptr from,
                                         CUcontext from_context)
{
    return (CUDA_MEMCPY3D_PEER){.dstMemoryType = CU_MEMORYTYPE_DEVICE,
                                .dstDevice = to,
                                .dstContext = to_context,
                                .dstPitch = FAR_BYTES,
                                .srcMemoryType = CU_MEMORYTYPE_DEVICE,
                                .srcDevice = from,
                                .srcContext = from_context,
                                .srcPitch = FAR_BYTES,
                                .WidthInBytes = FAR_BYTES,
                                .Height = 1,
                                .Depth = 1};
}

Test(devices, a_copy_between_contexts_needs_no_access_beyond_each_one_its_own)
{
    CUDA_MEMCPY3D_PEER slices;
    CUdeviceptr far, near;

    start_two();
    far = mapped_on(1);
    near = mapped_on(0);
    must(cuCtxPushCurrent(context[1]));
    must(cuMemsetD8(far, 1, FAR_BYTES));
    must(cuCtxSynchronize());
    must(cuCtxPopCurrent(NULL));
    must(cuMemcpyPeer(near, context[0], far, context[1], FAR_BYTES));
    must(cuCtxSynchronize());
    must_hold(near, 1);
    must(cuMemsetD8(near, 2, FAR_BYTES));
    must(cuMemcpyPeerAsync(far, context[1], near, context[0], FAR_BYTES, NULL));
    must(cuMemsetD8Async(near, 3, FAR_BYTES, NULL));
    slices = slices_between(near, context[0], far, context[1]);
    must(cuMemcpy3DPeerAsync(&slices, NULL));
    must(cuCtxSynchronize());
    must_hold(near, 2);
    must(cuMemcpy3DPeer(&slices));
}

Test(devices, a_copy_between_contexts_names_the_right_ones)
{
    CUDA_MEMCPY3D_PEER slices;
    CUdeviceptr far, near;

    start_two();
    far = mapped_on(1);
    near = mapped_on(0);
    cr_assert_eq(cuMemcpyPeer(near, context[1], far, context[0], FAR_BYTES), CUDA_ERROR_INVALID_VALUE);
    cr_assert_eq(cuMemcpyPeerAsync(near, context[0], far, context[0], FAR_BYTES, NULL),
                 CUDA_ERROR_INVALID_VALUE);
    slices = slices_between(near, context[1], far, context[1]);
    cr_assert_eq(cuMemcpy3DPeer(&slices), CUDA_ERROR_INVALID_VALUE);
    must(cuDevicePrimaryCtxReset(1));
    slices = slices_between(near, context[0], far, context[1]);
    cr_assert_eq(cuMemcpy3DPeerAsync(&slices, NULL), CUDA_ERROR_INVALID_CONTEXT);
    cr_assert_eq(cuMemcpyPeer(near, context[0], far, context[1], FAR_BYTES), CUDA_ERROR_INVALID_CONTEXT);
}

Test(devices, a_batch_is_refused_as_a_whole)
{
    CUmemcpyAttributes attributes[] = {{.srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_STREAM},
                                       {.srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_ANY}};
    size_t sizes[] = {FAR_BYTES, FAR_BYTES}, first[] = {0, 1};
    CUdeviceptr to[2], from[2];
    CUstream stream;

    start_two();
    must(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    to[0] = allocated_on(0);
    from[0] = allocated_on(1);
    to[1] = allocated_on(0);
    from[1] = mapped_on(1);
    must(cuMemsetD8(to[0], 1, FAR_BYTES));
    must(cuMemsetD8(from[0], 2, FAR_BYTES));
    must(cuCtxSynchronize());
    cr_assert_eq(cuMemcpyBatchAsync(to, from, sizes, 2, attributes, first, 2, stream),
                 CUDA_ERROR_INVALID_VALUE);
    must(cuStreamSynchronize(stream));
    must_hold(to[0], 1);
    grant_to(0, from[1], CU_MEM_ACCESS_FLAGS_PROT_READ);
    must(cuMemcpyBatchAsync(to, from, sizes, 2, attributes, first, 2, stream));
    must(cuStreamSynchronize(stream));
    must_hold(to[0], 2);
    cr_assert_eq(cuMemcpyBatchAsync(to, from, sizes, 2, attributes, first, 2, NULL), CUDA_ERROR_INVALID_VALUE,
                 "the legacy stream");
    first[1] = 0;
    cr_assert_eq(cuMemcpyBatchAsync(to, from, sizes, 2, attributes, first, 2, stream),
                 CUDA_ERROR_INVALID_VALUE);
    attributes[0].srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_INVALID;
    cr_assert_eq(cuMemcpyBatchAsync(to, from, sizes, 2, attributes, first, 1, stream),
                 CUDA_ERROR_INVALID_VALUE);
}

Test(devices, nodes_of_a_graph_run_on_the_device_of_their_context)
{
    CUDA_MEMSET_NODE_PARAMS set = {.value = 7, .elementSize = 1, .width = FAR_BYTES, .height = 1};
    CUDA_MEMCPY3D copy = {.dstMemoryType = CU_MEMORYTYPE_DEVICE,
                          .srcMemoryType = CU_MEMORYTYPE_DEVICE,
                          .WidthInBytes = FAR_BYTES,
                          .Height = 1,
                          .Depth = 1};
    CUgraphNode node, next;
    CUgraphExec exec;
    CUgraph graph;

    start_two();
    set.dst = copy.srcDevice = mapped_on(1);
    copy.dstDevice = allocated_on(0);
    must(cuGraphCreate(&graph, 0));
    cr_assert_eq(cuGraphAddMemsetNode(&node, graph, NULL, 0, &set, context[0]), CUDA_ERROR_INVALID_VALUE);
    cr_assert_eq(cuGraphAddMemcpyNode(&node, graph, NULL, 0, &copy, context[0]), CUDA_ERROR_INVALID_VALUE);
    must(cuGraphAddMemsetNode(&node, graph, NULL, 0, &set, context[1]));
    must(cuGraphAddMemcpyNode(&next, graph, &node, 1, &copy, context[1]));
    must(cuGraphInstantiate(&exec, graph, 0));
    cr_assert_eq(cuGraphExecMemcpyNodeSetParams(exec, next, &copy, context[0]), CUDA_ERROR_INVALID_VALUE);
    cr_assert_eq(cuGraphExecMemsetNodeSetParams(exec, node, &set, context[0]), CUDA_ERROR_INVALID_VALUE);
    must(cuGraphLaunch(exec, NULL));
    must(cuCtxSynchronize());
    must_hold(copy.dstDevice, 7);
}

Test(devices, a_captured_copy_is_judged_when_it_is_captured)
{
    CUdeviceptr far, near;
    CUgraphExec exec;
    CUstream stream;
    CUgraph graph;

    start_two();
    far = mapped_on(1);
    near = allocated_on(0);
    must(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    must(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
    cr_assert_eq(cuMemcpyAsync(near, far, FAR_BYTES, stream), CUDA_ERROR_INVALID_VALUE);
    cr_assert_eq(cuMemsetD8Async(far, 1, FAR_BYTES, stream), CUDA_ERROR_INVALID_VALUE);
    must(cuMemcpyPeerAsync(near, context[0], far, context[1], FAR_BYTES, stream));
    must(cuStreamEndCapture(stream, &graph));
    must(cuGraphInstantiate(&exec, graph, 0));
    must(cuGraphLaunch(exec, stream));
    must(cuStreamSynchronize(stream));
}
