/* SPDX-License-Identifier: Apache-2.0 */
/* Managed memory: which processor holds its pages, and what moves them. */
#include "driver.h"
#include "pages.h"

#include <criterion/criterion.h>
#include <dlfcn.h>
#include <time.h>

Test(managed, an_allocation_takes_no_memory_until_it_is_used)
{
    CUdeviceptr first, second;
    size_t free_bytes, total_bytes;

    start_small("1");
    first = managed(32 * MIB);
    second = managed(4096);
    cr_assert_eq(simgpu_used_bytes(0), 0);
    cr_assert_eq(mib(first, 32 * MIB, HOST), 0);
    use(second, 4096);
    must(cuMemGetInfo(&free_bytes, &total_bytes));
    cr_assert_eq(free_bytes, 14 * MIB);
    must(cuMemFree(first));
    must(cuMemFree(second));
    cr_assert_eq(simgpu_used_bytes(0), 0);
}

Test(managed, a_part_moves_by_whole_pages_and_counts_exactly)
{
    CUdeviceptr block;

    start_small("1");
    block = managed(16 * MIB);
    fetch(block + 4 * MIB, 6 * MIB, 0);
    cr_assert_eq(mib(block, 16 * MIB, 0), 6);
    cr_assert_eq(mib(block, 4 * MIB, 0), 0);
    cr_assert_eq(simgpu_managed_bytes(block + 5 * MIB, 100, 0), 100);
    cr_assert_eq(simgpu_used_bytes(0), 6 * MIB);
    fetch(block + 15 * MIB, 1, 0);
    cr_assert_eq(mib(block + 14 * MIB, 2 * MIB, 0), 2);
    fetch(block + 6 * MIB, 2 * MIB, HOST);
    cr_assert_eq(mib(block, 16 * MIB, 0), 6);
    cr_assert_eq(mib(block + 6 * MIB, 2 * MIB, HOST), 2);
    cr_assert_eq(mib(block, 16 * MIB, HOST), 2);
    must(cuMemFree(block));
    cr_assert_eq(simgpu_used_bytes(0), 0);
}

Test(managed, a_prefetch_runs_in_the_order_of_its_stream)
{
    uint32_t *flag;
    CUstream stream = start_small("1"), other;
    CUdeviceptr block = managed(4 * MIB);

    must(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
    flag = flags();
    must(launch("wait", stream, (void *[]){&flag}));
    must(cuMemPrefetchAsync(block, 2 * MIB, at(0), 0, stream));
    must(cuMemPrefetchAsync(block + 2 * MIB, 2 * MIB, at(0), 0, other));
    must(cuStreamSynchronize(other));
    cr_assert_eq(mib(block, 2 * MIB, 0), 0, "it is behind the kernel");
    cr_assert_eq(mib(block + 2 * MIB, 2 * MIB, 0), 2);
    let_go(flag);
    must(cuStreamSynchronize(stream));
    cr_assert_eq(mib(block, 4 * MIB, 0), 4);
}

Test(managed, two_that_are_larger_than_the_device_share_it_by_last_fault)
{
    CUdeviceptr first, second, third;

    start_small("1");
    first = managed(8 * MIB);
    second = managed(10 * MIB);
    third = managed(4 * MIB);
    fetch(first, 8 * MIB, 0);
    fetch(second, 10 * MIB, 0);
    cr_assert_eq(mib(second, 10 * MIB, 0), 10);
    cr_assert_eq(mib(first, 2 * MIB, HOST), 2, "the oldest page");
    cr_assert_eq(mib(first, 8 * MIB, 0), 6);
    use(first + 2 * MIB, 6 * MIB);
    fetch(third, 4 * MIB, 0);
    cr_assert_eq(mib(first, 8 * MIB, 0), 2, "used since, which the driver does not see");
    cr_assert_eq(mib(second, 10 * MIB, 0), 10);
    fetch(first, 8 * MIB, HOST);
    use(first, 2 * MIB);
    use(second, 10 * MIB);
    use(first + 2 * MIB, 4 * MIB);
    cr_assert_eq(mib(second, 4 * MIB, HOST), 4, "its own fault is older");
    cr_assert_eq(mib(first, 2 * MIB, 0), 2);
    cr_assert_eq(simgpu_used_bytes(0), 16 * MIB);
}

Test(managed, allocations_drive_pages_out_if_that_helps)
{
    CUmemGenericAllocationHandle handle;
    CUdeviceptr block, plain, none;

    start_small("1");
    block = managed(16 * MIB);
    fetch(block, 16 * MIB, 0);
    must(cuMemAlloc(&plain, 8 * MIB));
    cr_assert_eq(mib(block, 8 * MIB, HOST), 8);
    handle = physical();
    cr_assert_eq(mib(block, 16 * MIB, 0), 6);
    cr_assert_eq(cuMemAlloc(&none, 8 * MIB), CUDA_ERROR_OUT_OF_MEMORY);
    cr_assert_eq(mib(block, 16 * MIB, 0), 6, "nothing has left for what fails");
    must(cuMemFree(plain));
    must(cuMemRelease(handle));
}

Test(managed, what_a_prefetch_has_no_room_for_stays_behind)
{
    CUdeviceptr block, plain;

    start_small("1");
    must(cuMemAlloc(&plain, 8 * MIB));
    block = managed(12 * MIB);
    fetch(block, 12 * MIB, 0);
    cr_assert_eq(mib(block, 8 * MIB, 0), 8);
    cr_assert_eq(mib(block, 12 * MIB, HOST), 4);
}

Test(managed, copies_sets_and_undeclared_parameters_are_uses)
{
    CUdeviceptr block, copied;
    uint64_t count = 4;
    uint32_t value = 7, seen = 0;

    start_small("1");
    block = managed(8 * MIB);
    copied = managed(4 * MIB);
    fetch(block, 8 * MIB, HOST);
    must(launch("fill", NULL, (void *[]){&block, &value, &count}));
    must(cuCtxSynchronize());
    cr_assert_eq(mib(block, 8 * MIB, 0), 8, "all of what a parameter points to");
    fetch(block, 8 * MIB, HOST);
    must(cuMemsetD32(block + 2 * MIB, 9, 1));
    must(cuMemcpyDtoD(copied, block + 2 * MIB, 4));
    must(cuMemcpyDtoH(&seen, copied, 4));
    cr_assert_eq(seen, 9);
    cr_assert_eq(mib(block, 8 * MIB, 0), 2);
    cr_assert_eq(mib(copied, 4 * MIB, 0), 2);
    must(cuMemcpyDtoH(&seen, block, 4));
    cr_assert_eq(seen, 7, "moving changes nothing");
    cr_assert_eq(mib(block, 2 * MIB, 0), 2, "it was read");
}

Test(managed, the_end_of_a_context_frees_it)
{
    CUcontext context;

    start_small("1");
    must(cuCtxCreate(&context, NULL, 0, 0));
    fetch(managed(4 * MIB), 4 * MIB, 0);
    cr_assert_eq(simgpu_used_bytes(0), 4 * MIB);
    must(cuCtxDestroy(context));
    cr_assert_eq(simgpu_used_bytes(0), 0);
}

Test(managed, bad_ranges_and_places_are_refused)
{
    CUresult (*old)(CUdeviceptr, size_t, CUdevice, CUstream);
    CUmemLocation nowhere = {CU_MEM_LOCATION_TYPE_INVALID, 0}, node = {CU_MEM_LOCATION_TYPE_HOST_NUMA, 3};
    CUdeviceptr block, plain, small;

    start_small("1");
    block = managed(4 * MIB);
    small = managed(4096);
    must(cuMemAlloc(&plain, 4 * MIB));
    *(void **)&old = dlsym(RTLD_DEFAULT, "cuMemPrefetchAsync");
    cr_assert_eq(cuMemPrefetchAsync(plain, 4096, at(0), 0, NULL), CUDA_ERROR_INVALID_VALUE);
    cr_assert_eq(cuMemPrefetchAsync(block + MIB, 4 * MIB, at(0), 0, NULL), CUDA_ERROR_INVALID_VALUE);
    cr_assert_eq(cuMemPrefetchAsync(small, 8192, at(0), 0, NULL), CUDA_ERROR_INVALID_VALUE);
    cr_assert_eq(cuMemPrefetchAsync(block, 0, at(0), 0, NULL), CUDA_ERROR_INVALID_VALUE);
    cr_assert_eq(cuMemPrefetchAsync(block, 4096, at(0), 1, NULL), CUDA_ERROR_INVALID_VALUE);
    cr_assert_eq(cuMemPrefetchAsync(block, 4096, nowhere, 0, NULL), CUDA_ERROR_INVALID_VALUE);
    cr_assert_eq(cuMemPrefetchAsync(block, 4096, node, 0, NULL), CUDA_ERROR_INVALID_VALUE);
    cr_assert_eq(cuMemPrefetchAsync(block, 4096, at(1), 0, NULL), CUDA_ERROR_INVALID_DEVICE);
    cr_assert_eq(cuMemPrefetchAsync(block, 4096, at(0), 0, (CUstream)plain), CUDA_ERROR_INVALID_HANDLE);
    cr_assert_eq(old(block, 4096, 1, NULL), CUDA_ERROR_INVALID_DEVICE);
    must(old(block, 4096, CU_DEVICE_CPU, NULL));
    cr_assert_eq(cuMemAdvise(plain, 4096, CU_MEM_ADVISE_SET_READ_MOSTLY, at(0)), CUDA_ERROR_INVALID_VALUE);
    cr_assert_eq(cuMemAdvise(block, 4096, 0, at(0)), CUDA_ERROR_INVALID_VALUE);
    cr_assert_eq(cuMemAdvise(block, 4096, CU_MEM_ADVISE_SET_PREFERRED_LOCATION, at(1)),
                 CUDA_ERROR_INVALID_DEVICE);
    node.id = 0;
    cr_assert_eq(cuMemAdvise(block, 4096, CU_MEM_ADVISE_SET_ACCESSED_BY, node), CUDA_ERROR_INVALID_VALUE);
    must(cuMemAdvise(block, 4096, CU_MEM_ADVISE_SET_PREFERRED_LOCATION, node));
    must(cuCtxSynchronize());
    cr_assert_eq(simgpu_used_bytes(0), 4 * MIB);
}

Test(managed, a_prefetch_cannot_be_captured)
{
    CUstream stream = start_small("1");
    CUdeviceptr block = managed(2 * MIB);
    CUgraph graph;

    must(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
    cr_assert_eq(cuMemPrefetchAsync(block, 2 * MIB, at(0), 0, stream), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    cr_assert_eq(cuStreamEndCapture(stream, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    cr_assert_eq(mib(block, 2 * MIB, 0), 0);
}

Test(managed, a_prefetch_can_be_made_to_fail)
{
    CUdeviceptr block;

    setenv("SIMGPU_FAIL", "cuMemPrefetchAsync_v2:1", 1);
    start_small("1");
    block = managed(2 * MIB);
    cr_assert_eq(cuMemPrefetchAsync(block, 2 * MIB, at(0), 0, NULL), CUDA_ERROR_OUT_OF_MEMORY);
    cr_assert_eq(mib(block, 2 * MIB, 0), 0);
    fetch(block, 2 * MIB, 0);
    cr_assert_eq(mib(block, 2 * MIB, 0), 2);
}

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Out, then in, then the next fault: by what is counted, and the link's ways are never both at work. */
Test(managed, faults_have_a_cost_of_their_own_and_overlap_with_nothing)
{
    enum {
        COST_NS = 1000,
        PAGE_NS = 2 * MIB /* at 1 GB/s */
    };
    CUdeviceptr block, other;
    double began;

    setenv("SIMGPU_LINK_GBPS", "1", 1);
    setenv("SIMGPU_FAULT_NS", "1000", 1);
    start_small("1");
    block = managed(16 * MIB);
    other = managed(16 * MIB);
    use(block, 16 * MIB);
    cr_expect_eq(simgpu_spent_ns(0, FAULTS), 8 * COST_NS, "a first use is one, too");
    cr_expect_eq(simgpu_spent_ns(0, TO_DEVICE), 0);
    use(block, 16 * MIB);
    cr_expect_eq(simgpu_spent_ns(0, FAULTS), 8 * COST_NS, "what is there faults no more");
    fetch(other, 16 * MIB, HOST);
    began = seconds();
    use(other, 16 * MIB);
    cr_expect_geq(seconds() - began, 8e-9 * (COST_NS + 2 * PAGE_NS));
    cr_expect_eq(simgpu_spent_ns(0, FAULTS), 16 * COST_NS);
    cr_expect_eq(simgpu_spent_ns(0, TO_DEVICE), 8 * PAGE_NS);
    cr_expect_eq(simgpu_spent_ns(0, FROM_DEVICE), 8 * PAGE_NS);
}

Test(managed, a_cycle_one_page_larger_than_the_device_faults_at_every_page)
{
    CUdeviceptr block;

    setenv("SIMGPU_FAULT_NS", "1000", 1);
    start_small("1");
    block = managed(18 * MIB);
    for (unsigned i = 0; i < 3; i++)
        for (unsigned page = 0; page < 9; page++)
            use(block + page * 2 * MIB, 2 * MIB);
    cr_expect_eq(simgpu_spent_ns(0, FAULTS), 3 * 9 * 1000);
}

Test(managed, what_moves_takes_the_links_time)
{
    CUdeviceptr block;
    double began;

    setenv("SIMGPU_LINK_GBPS", "1", 1);
    start_small("1");
    block = managed(16 * MIB);
    fetch(block, 16 * MIB, HOST);
    began = seconds();
    fetch(block, 16 * MIB, 0);
    cr_assert_geq(seconds() - began, 0.016);
    began = seconds();
    fetch(block, 16 * MIB, HOST);
    cr_assert_geq(seconds() - began, 0.016);
    began = seconds();
    use(block, 16 * MIB);
    cr_assert_geq(seconds() - began, 0.016);
    fetch(block, 16 * MIB, HOST);
    advise(block, 16 * MIB, CU_MEM_ADVISE_SET_ACCESSED_BY, 0);
    began = seconds();
    use(block, 16 * MIB);
    cr_assert_geq(seconds() - began, 0.016, "reached where it is");
    cr_assert_eq(mib(block, 16 * MIB, HOST), 16);
}

Test(managed, without_concurrent_access_it_takes_capacity_and_stays)
{
    CUdeviceptr block, none;
    int concurrent = 1, has = 0;

    setenv("SIMGPU_MANAGED", "0", 1);
    start_small("2");
    must(cuDeviceGetAttribute(&has, CU_DEVICE_ATTRIBUTE_MANAGED_MEMORY, 0));
    must(cuDeviceGetAttribute(&concurrent, CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS, 0));
    cr_assert(has && !concurrent);
    block = managed(12 * MIB);
    cr_assert_eq(mib(block, 12 * MIB, 0), 12);
    cr_assert_eq(cuMemAllocManaged(&none, 6 * MIB, CU_MEM_ATTACH_GLOBAL), CUDA_ERROR_OUT_OF_MEMORY);
    cr_assert_eq(cuMemAlloc(&none, 6 * MIB), CUDA_ERROR_OUT_OF_MEMORY);
    cr_assert_eq(cuMemPrefetchAsync(block, 4096, at(0), 0, NULL), CUDA_ERROR_INVALID_DEVICE);
    cr_assert_eq(cuMemPrefetchAsync(block, 4096, at(HOST), 0, NULL), CUDA_ERROR_INVALID_DEVICE);
    cr_assert_eq(cuMemAdvise(block, 4096, CU_MEM_ADVISE_SET_ACCESSED_BY, at(0)), CUDA_ERROR_INVALID_DEVICE);
    use(block, 12 * MIB);
    must(cuMemFree(block));
    cr_assert_eq(simgpu_used_bytes(0), 0);
}
