/* SPDX-License-Identifier: Apache-2.0 */
#include "driver.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static size_t used(void)
{
    size_t free_bytes, total;

    must(cuMemGetInfo(&free_bytes, &total));
    return total - free_bytes;
}

Test(memory, small_allocations_share_a_slab_that_goes_back_when_empty)
{
    CUdeviceptr first, second, large;

    start();
    must(cuMemAlloc(&first, 1));
    cr_assert_eq(used(), GRANULE);
    must(cuMemAlloc(&second, 1000));
    cr_assert_eq(used(), GRANULE);
    cr_assert_eq(second - first, 512);
    must(cuMemAlloc(&large, MIB + 1));
    cr_assert_eq(used(), 2 * GRANULE);
    must(cuMemFree(first));
    must(cuMemFree(large));
    cr_assert_eq(used(), GRANULE);
    must(cuMemFree(second));
    cr_assert_eq(used(), 0);
}

Test(memory, what_was_not_allocated_is_not_freed)
{
    CUdeviceptr address;
    int local = 0;

    start();
    must(cuMemAlloc(&address, 4096));
    cr_assert_eq(cuMemFree(address + 512), CUDA_ERROR_INVALID_VALUE);
    cr_assert_eq(cuMemFree((CUdeviceptr)&local), CUDA_ERROR_INVALID_VALUE);
    must(cuMemFree(address));
    cr_assert_eq(cuMemFree(address), CUDA_ERROR_INVALID_VALUE);
    must(cuMemFree(0));
    cr_assert_eq(cuMemAlloc(&address, 0), CUDA_ERROR_INVALID_VALUE);
}

Test(memory, address_range_and_attributes_describe_the_allocation)
{
    CUdeviceptr address, base;
    size_t size;
    unsigned long long first_id, second_id;
    CUcontext context, owner;

    context = start();
    must(cuMemAlloc(&address, 1000));
    must(cuMemGetAddressRange(&base, &size, address + 999));
    cr_assert(base == address && size == 1000);
    cr_assert_eq(cuMemGetAddressRange(&base, &size, address + 1000), CUDA_ERROR_NOT_FOUND);
    must(cuPointerGetAttribute(&owner, CU_POINTER_ATTRIBUTE_CONTEXT, address));
    cr_assert_eq(owner, context);
    must(cuPointerGetAttribute(&first_id, CU_POINTER_ATTRIBUTE_BUFFER_ID, address));
    must(cuMemFree(address));
    must(cuMemAlloc(&address, 1000));
    must(cuPointerGetAttribute(&second_id, CU_POINTER_ATTRIBUTE_BUFFER_ID, address));
    cr_assert_neq(first_id, second_id);
}

Test(memory, a_copy_past_the_end_of_an_allocation_is_refused)
{
    CUdeviceptr address;
    char bytes[2000] = {0};

    start();
    must(cuMemAlloc(&address, 1000));
    cr_assert_eq(cuMemcpyHtoD(address, bytes, 1001), CUDA_ERROR_INVALID_VALUE);
    cr_assert_eq(cuMemsetD32(address, 0, 251), CUDA_ERROR_INVALID_VALUE);
    cr_assert_eq(cuMemsetD32(address + 2, 0, 1), CUDA_ERROR_INVALID_VALUE, "misaligned");
    must(cuMemcpyHtoD(address, bytes, 1000));
    must(cuMemcpyHtoD(address, bytes, 0));
}

Test(memory, sets_and_flat_copies_reach_every_byte)
{
    CUDA_MEMCPY2D copy = {.srcMemoryType = CU_MEMORYTYPE_DEVICE, .dstMemoryType = CU_MEMORYTYPE_HOST};
    uint16_t read[4][3];
    CUdeviceptr address;
    size_t pitch;

    start();
    must(cuMemAllocPitch(&address, &pitch, 8, 4, 4));
    cr_assert_eq(pitch, 512);
    must(cuMemsetD2D16(address, pitch, 0x1111, 4, 4));
    must(cuMemsetD2D16(address + 2, pitch, 0x2222, 1, 4));
    copy.srcDevice = address;
    copy.srcPitch = pitch;
    copy.dstHost = read;
    copy.WidthInBytes = 6;
    copy.Height = 4;
    must(cuMemcpy2D(&copy));
    for (int y = 0; y < 4; y++)
        cr_assert(read[y][0] == 0x1111 && read[y][1] == 0x2222 && read[y][2] == 0x1111);
    copy.srcPitch = 4;
    cr_assert_eq(cuMemcpy2D(&copy), CUDA_ERROR_INVALID_VALUE);
    copy.srcPitch = pitch;
    copy.Height = 5;
    cr_assert_eq(cuMemcpy2D(&copy), CUDA_ERROR_INVALID_VALUE, "past the allocation");
}

Test(memory, a_box_copy_keeps_its_slices)
{
    enum {
        X = 3,
        Y = 4,
        Z = 5
    };
    CUDA_MEMCPY3D in = {.srcMemoryType = CU_MEMORYTYPE_HOST, .dstMemoryType = CU_MEMORYTYPE_DEVICE};
    unsigned char from[Z][Y][X], to[Z][Y][X] = {0};
    CUdeviceptr address;

    start();
    for (int i = 0; i < X * Y * Z; i++)
        (&from[0][0][0])[i] = (unsigned char)i;
    must(cuMemAlloc(&address, 64 * 8 * Z));
    in.srcHost = from;
    in.dstDevice = address;
    in.dstPitch = 64;
    in.dstHeight = 8;
    in.WidthInBytes = X;
    in.Height = Y;
    in.Depth = Z;
    must(cuMemcpy3D(&in));
    in = (CUDA_MEMCPY3D){.srcMemoryType = CU_MEMORYTYPE_DEVICE,
                         .srcDevice = address,
                         .srcPitch = 64,
                         .srcHeight = 8,
                         .dstMemoryType = CU_MEMORYTYPE_UNIFIED,
                         .dstDevice = (CUdeviceptr)to,
                         .WidthInBytes = X,
                         .Height = Y,
                         .Depth = Z};
    must(cuMemcpy3D(&in));
    cr_assert_arr_eq(from, to, sizeof from);
}

Test(memory, host_memory_is_pinned_once_and_used_at_its_own_address)
{
    static char own[8192];
    void *pinned;
    CUdeviceptr device;
    unsigned type;

    start();
    must(cuMemHostAlloc(&pinned, 4096, CU_MEMHOSTALLOC_DEVICEMAP));
    must(cuMemHostGetDevicePointer(&device, (char *)pinned + 8, 0));
    cr_assert_eq(device, (CUdeviceptr)pinned + 8);
    must(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, (CUdeviceptr)pinned));
    cr_assert_eq(type, CU_MEMORYTYPE_HOST);
    must(cuMemHostRegister(own, sizeof own, 0));
    cr_assert_eq(cuMemHostRegister(own + 4096, 4096, 0), CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
    cr_assert_eq(cuMemFreeHost(own), CUDA_ERROR_INVALID_VALUE);
    must(cuMemHostUnregister(own));
    cr_assert_eq(cuMemHostUnregister(own), CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
    must(cuMemFreeHost(pinned));
    cr_assert_eq(cuMemFreeHost(pinned), CUDA_ERROR_INVALID_VALUE);
}

Test(memory, a_copy_takes_pinned_memory_whole_or_not_at_all)
{
    static char own[3 * 4096];
    CUdeviceptr device;

    start();
    must(cuMemAlloc(&device, sizeof own));
    must(cuMemcpyHtoD(device, own, sizeof own));
    must(cuMemHostRegister(own + 4096, 4096, 0));
    must(cuMemcpyHtoD(device, own + 4096, 4096));
    must(cuMemcpyDtoH(own, device, 4096));
    cr_assert_eq(cuMemcpyHtoD(device, own + 4096, 4097), CUDA_ERROR_INVALID_VALUE);
    cr_assert_eq(cuMemcpyHtoD(device, own, 4097), CUDA_ERROR_INVALID_VALUE);
    cr_assert_eq(cuMemcpyDtoH(own + 4096, device, 4097), CUDA_ERROR_INVALID_VALUE);
    must(cuMemHostUnregister(own + 4096));
    must(cuMemcpyHtoD(device, own, sizeof own));
}

Test(memory, managed_memory_serves_both_sides)
{
    uint32_t one = 1, *managed;
    CUdeviceptr address;
    uint64_t count = 4;

    start();
    must(cuMemAllocManaged(&address, 4096, CU_MEM_ATTACH_GLOBAL));
    managed = (uint32_t *)address;
    for (int i = 0; i < 4; i++)
        managed[i] = one;
    must(launch("add", NULL, (void *[]){&address, &address, &count}));
    must(cuCtxSynchronize());
    cr_assert_eq(managed[3], 2);
    must(cuMemcpyHtoD(address, managed + 8, 4));
    must(cuMemFree(address));
}

Test(memory, pool_memory_comes_and_goes_in_stream_order)
{
    CUmemoryPool pool;
    cuuint64_t reserved, used_bytes, threshold = UINT64_MAX;
    CUdeviceptr address, again;
    CUstream stream;
    CUdevice device = 0;

    start();
    must(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    must(cuDeviceGetDefaultMemPool(&pool, device));
    must(cuMemAllocAsync(&address, 4 * MIB, stream));
    must(cuMemsetD8Async(address, 1, 4 * MIB, stream));
    must(cuMemFreeAsync(address, stream));
    must(cuStreamSynchronize(stream));
    must(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT, &reserved));
    cr_assert(reserved == 0 && used() == 0);
    must(cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &threshold));
    must(cuMemAllocAsync(&address, 4 * MIB, stream));
    must(cuMemFreeAsync(address, stream));
    must(cuStreamSynchronize(stream));
    must(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT, &reserved));
    must(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT, &used_bytes));
    cr_assert(reserved == 4 * MIB && used_bytes == 0 && used() == 4 * MIB);
    must(cuMemAllocAsync(&again, 4 * MIB, stream));
    cr_assert_eq(again, address);
    must(cuMemFreeAsync(again, stream));
    must(cuStreamSynchronize(stream));
    must(cuMemPoolTrimTo(pool, 0));
    cr_assert_eq(used(), 0);
}

static void wait_for_go(void *go)
{
    while (!atomic_load((atomic_bool *)go))
        ;
}

/* As NVIDIA tells of cudaFreeAsync: it frees what cudaMalloc gave, no later than when the stream is waited for. */
Test(memory, a_stream_frees_what_is_out_of_no_pool)
{
    static const size_t sizes[] = {1000, 4 * MIB};
    static atomic_bool go;
    CUdeviceptr address;
    CUstream stream;

    start();
    must(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    for (unsigned i = 0; i < 2; i++) {
        must(cuMemAlloc(&address, sizes[i]));
        cr_assert_eq(cuMemFreeAsync(address + 256, stream), CUDA_ERROR_INVALID_VALUE);
        atomic_store(&go, false);
        must(cuLaunchHostFunc(stream, wait_for_go, &go));
        must(cuMemsetD8Async(address, 1, sizes[i], stream));
        must(cuMemFreeAsync(address, stream));
        cr_assert_eq(cuMemFreeAsync(address, stream), CUDA_ERROR_INVALID_VALUE);
        cr_assert_eq(cuMemFree(address), CUDA_ERROR_INVALID_VALUE);
        cr_assert_eq(used(), i ? 4 * MIB : 2 * MIB);
        atomic_store(&go, true);
        must(cuStreamSynchronize(stream));
        cr_assert_eq(used(), 0);
    }
}

Test(memory, destroying_a_context_frees_its_allocations_and_leaves_mappings)
{
    CUmemGenericAllocationHandle handle;
    CUdeviceptr address;
    CUcontext context;

    start();
    must(cuCtxCreate(&context, NULL, 0, 0));
    must(cuMemAlloc(&address, 8 * MIB));
    mapped(&handle);
    must(cuCtxDestroy(context));
    cr_assert_eq(used(), GRANULE);
    cr_assert_eq(cuCtxSetCurrent(context), CUDA_ERROR_INVALID_CONTEXT);
}

Test(memory, another_device_needs_peer_access_to_run_a_kernel_on_it)
{
    CUcontext other, context;
    CUdeviceptr there;
    CUmodule own;
    CUfunction declare;
    uint64_t bytes = 64;
    int can;

    setenv("SIMGPU_DEVICES", "2", 1);
    context = start();
    must(cuDeviceCanAccessPeer(&can, 0, 1));
    cr_assert_eq(can, 1);
    must(cuDevicePrimaryCtxRetain(&other, 1));
    must(cuCtxPushCurrent(other));
    must(cuMemAlloc(&there, 4096));
    must(cuCtxPopCurrent(NULL));
    must(cuModuleLoad(&own, getenv("SIMGPU_TEST_KERNELS")));
    must(cuModuleGetFunction(&declare, own, "declare"));
    must(cuMemsetD8(there, 1, 64));
    must(cuCtxEnablePeerAccess(other, 0));
    cr_assert_eq(cuCtxEnablePeerAccess(other, 0), CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED);
    must(cuLaunchKernel(declare, 1, 1, 1, 1, 1, 1, 0, NULL, (void *[]){&there, &bytes}, NULL));
    must(cuCtxSynchronize());
    must(cuCtxDisablePeerAccess(other));
    must(cuLaunchKernel(declare, 1, 1, 1, 1, 1, 1, 0, NULL, (void *[]){&there, &bytes}, NULL));
    cr_assert_eq(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
    cr_assert_eq(cuCtxSetCurrent(context), CUDA_SUCCESS);
}

static void *allocate_and_free(void *argument)
{
    must(cuCtxSetCurrent(argument));
    for (int i = 0; i < 200; i++) {
        CUdeviceptr small, large;
        uint32_t word = (uint32_t)i, read = 0;

        must(cuMemAlloc(&small, 100 + (size_t)i));
        must(cuMemAlloc(&large, 3 * MIB));
        must(cuMemcpyHtoD(large, &word, sizeof word));
        must(cuMemcpyDtoD(small, large, sizeof word));
        must(cuMemcpyDtoH(&read, small, sizeof read));
        if (read != word)
            return argument;
        must(cuMemFree(small));
        must(cuMemFree(large));
    }
    return NULL;
}

Test(memory, threads_may_allocate_copy_and_free_at_once)
{
    CUcontext context = start();
    pthread_t threads[16];
    void *failed;

    for (int i = 0; i < 16; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, allocate_and_free, context), 0);
    for (int i = 0; i < 16; i++) {
        pthread_join(threads[i], &failed);
        cr_assert_null(failed);
    }
    cr_assert_eq(used(), 0);
}

Test(memory, a_forked_child_is_refused_and_does_not_hang)
{
    CUdeviceptr address;
    int status;
    pid_t child;

    start();
    must(cuMemAlloc(&address, 4096));
    must(cuMemsetD8(address, 1, 4096));
    child = fork();
    if (child == 0)
        _exit(cuMemAlloc(&address, 1) == CUDA_ERROR_NOT_INITIALIZED && cuInit(0) == CUDA_ERROR_NOT_INITIALIZED
                  ? 0
                  : 1);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

Test(memory, an_array_takes_whole_granules_until_it_is_destroyed)
{
    const CUDA_ARRAY_DESCRIPTOR flat = {
        .Width = 1024, .Height = 1024, .Format = CU_AD_FORMAT_FLOAT, .NumChannels = 1};
    const CUDA_ARRAY3D_DESCRIPTOR deep = {
        .Width = 1024, .Height = 1024, .Depth = 2, .Format = CU_AD_FORMAT_HALF, .NumChannels = 1};
    CUDA_ARRAY_MEMORY_REQUIREMENTS needs;
    CUarray array, volume;
    CUmipmappedArray mipmap;

    start();
    must(cuArrayCreate(&array, &flat));
    cr_assert_eq(used(), 2 * GRANULE);
    must(cuArrayGetMemoryRequirements(&needs, array, 0));
    cr_assert_eq(needs.size, 2 * GRANULE);
    must(cuArray3DCreate(&volume, &deep));
    cr_assert_eq(used(), 4 * GRANULE);
    must(cuMipmappedArrayCreate(&mipmap, &deep, 2)); /* 4 MiB and 512 KiB */
    cr_assert_eq(used(), 7 * GRANULE);
    must(cuArrayDestroy(array));
    must(cuArrayDestroy(volume));
    must(cuMipmappedArrayDestroy(mipmap));
    cr_assert_eq(used(), 0);
    cr_assert_eq(cuArrayDestroy(array), CUDA_ERROR_INVALID_HANDLE);
}

Test(memory, the_first_free_units_of_a_fresh_slab_are_its_first)
{
    CUdeviceptr address[6], half;

    start();
    /* A slab with enough units free for the last one, but none of them side by side. */
    for (unsigned i = 0; i < 6; i++)
        must(cuMemAlloc(&address[i], MIB / 4));
    must(cuMemFree(address[1]));
    must(cuMemFree(address[3]));
    must(cuMemAlloc(&address[1], MIB));
    must(cuMemAlloc(&half, MIB));
    cr_assert_eq(used(), 2 * GRANULE);
    must(cuMemcpyHtoD(half + MIB - 1, "x", 1));
}
