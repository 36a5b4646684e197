/* SPDX-License-Identifier: Apache-2.0 */
/* Options that make the driver one of those that refuse, or allow, what others do not. */
#include "driver.h"

#include <criterion/criterion.h>
#include <sys/wait.h>
#include <unistd.h>

static CUresult create(const CUmemAllocationProp *prop, CUmemGenericAllocationHandle *handle)
{
    return cuMemCreate(handle, GRANULE, prop, 0);
}

static const CUmemAllocationProp host_located[] = {
    {.type = CU_MEM_ALLOCATION_TYPE_PINNED, .location = {CU_MEM_LOCATION_TYPE_HOST_NUMA, 0}},
    {.type = CU_MEM_ALLOCATION_TYPE_PINNED, .location = {CU_MEM_LOCATION_TYPE_HOST, 0}},
};

Test(driver_options, host_located_memory_may_need_a_context_on_every_device)
{
    CUmemGenericAllocationHandle handle;
    CUcontext first, second;

    setenv("SIMGPU_DEVICES", "2", 1);
    setenv("SIMGPU_HOST_NEEDS_CONTEXT", "1", 1);
    must(cuInit(0));
    for (size_t i = 0; i < 2; i++)
        cr_assert_eq(create(&host_located[i], &handle), CUDA_ERROR_INVALID_CONTEXT);
    must(cuDevicePrimaryCtxRetain(&first, 0));
    must(cuCtxSetCurrent(first));
    for (size_t i = 0; i < 2; i++)
        cr_assert_eq(create(&host_located[i], &handle), CUDA_ERROR_INVALID_CONTEXT);
    must(cuCtxCreate(&second, NULL, 0, 1));
    for (size_t i = 0; i < 2; i++) {
        must(create(&host_located[i], &handle));
        must(cuMemRelease(handle));
    }
    must(cuMemRelease(physical()));
}

Test(driver_options, access_to_host_located_memory_needs_it_too)
{
    CUmemGenericAllocationHandle handle;
    CUdeviceptr address;

    setenv("SIMGPU_HOST_NEEDS_CONTEXT", "1", 1);
    start();
    address = reserve(GRANULE);
    must(create(&host_located[0], &handle));
    must(cuMemMap(address, GRANULE, 0, handle, 0));
    must(cuDevicePrimaryCtxReset(0));
    cr_assert_eq(grant(address, GRANULE), CUDA_ERROR_INVALID_CONTEXT);
    must(cuDevicePrimaryCtxRetain(&(CUcontext){NULL}, 0));
    must(grant(address, GRANULE));
}

Test(driver_options, host_located_memory_needs_no_context_otherwise)
{
    CUmemGenericAllocationHandle handle;

    must(cuInit(0));
    must(create(&host_located[0], &handle));
    must(cuMemRelease(handle));
}

Test(driver_options, memory_for_rdma_may_be_mapped_and_used_by_nobody)
{
    CUmemAllocationProp prop = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                                .location = {CU_MEM_LOCATION_TYPE_DEVICE, 0},
                                .allocFlags.gpuDirectRDMACapable = 1};
    CUmemGenericAllocationHandle handle;
    CUdeviceptr address;
    int has_rdma;

    setenv("SIMGPU_RDMA", "refuse", 1);
    start();
    must(cuDeviceGetAttribute(&has_rdma, CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_WITH_CUDA_VMM_SUPPORTED, 0));
    cr_assert_eq(has_rdma, 1, "it says that it can");
    address = reserve(2 * GRANULE);
    must(cuMemMap(address, GRANULE, 0, physical(), 0));
    must(create(&prop, &handle));
    must(cuMemMap(address + GRANULE, GRANULE, 0, handle, 0));
    cr_assert_eq(grant(address + GRANULE, GRANULE), CUDA_ERROR_UNKNOWN);
    cr_assert_eq(grant(address, 2 * GRANULE), CUDA_ERROR_UNKNOWN);
    cr_assert_eq(cuMemsetD8(address, 0, 4), CUDA_ERROR_INVALID_VALUE, "a refused grant grants nothing");
    must(grant(address, GRANULE));
    must(cuMemsetD8(address, 0, 4));
}

Test(driver_options, a_word_that_is_not_known_is_refused)
{
    setenv("SIMGPU_RDMA", "yes", 1);
    cr_assert_eq(cuInit(0), CUDA_ERROR_INVALID_VALUE);
}

/* Whether a kernel may use what malloc gave out, and the attribute says so. */
static CUresult use_of_malloc(int *says)
{
    void *memory = malloc(4096);
    uint64_t bytes = 4096;
    CUresult result;

    start();
    must(cuDeviceGetAttribute(says, CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS, 0));
    must(launch("declare", NULL, (void *[]){&memory, &bytes}));
    result = cuCtxSynchronize();
    free(memory);
    return result;
}

Test(driver_options, kernels_may_not_use_what_malloc_gave_out)
{
    int says;

    cr_assert_eq(use_of_malloc(&says), CUDA_ERROR_ILLEGAL_ADDRESS);
    cr_assert_eq(says, 0);
}

Test(driver_options, kernels_may_where_the_device_shares_the_processes_pages)
{
    int says;

    setenv("SIMGPU_PAGEABLE", "1", 1);
    cr_assert_eq(use_of_malloc(&says), CUDA_SUCCESS);
    cr_assert_eq(says, 1);
}

Test(driver_options, nodes_hold_what_they_have_room_for)
{
    CUmemAllocationProp prop = host_located[0];
    CUmemGenericAllocationHandle first, second;
    int node;

    setenv("SIMGPU_NODES", "2", 1);
    setenv("SIMGPU_NODE_MEMORY", "2M", 1);
    setenv("SIMGPU_DEVICES", "2", 1);
    must(cuInit(0));
    must(cuDeviceGetAttribute(&node, CU_DEVICE_ATTRIBUTE_HOST_NUMA_ID, 1));
    cr_expect_eq(node, 1);
    must(create(&prop, &first));
    cr_expect_eq(create(&prop, &second), CUDA_ERROR_OUT_OF_MEMORY);
    prop.location.id = 1;
    must(create(&prop, &second));
    must(cuMemRelease(first));
    must(create(&host_located[0], &first));
    prop.location.id = 2;
    cr_expect_eq(create(&prop, &second), CUDA_ERROR_INVALID_VALUE);
}

Test(driver_options, a_container_refuses_handles_on_a_node_only)
{
    CUmemGenericAllocationHandle handle;

    setenv("SIMGPU_HOST_NUMA", "anywhere", 1);
    must(cuInit(0));
    cr_expect_eq(create(&host_located[0], &handle), CUDA_ERROR_NOT_PERMITTED);
    must(create(&host_located[1], &handle));
}

Test(driver_options, the_compute_capability_is_an_option)
{
    int major = 0, minor = 0, version = 0;
    CUfunction function;

    setenv("SIMGPU_COMPUTE_CAPABILITY", "12.1", 1);
    start();
    must(cuDeviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 0));
    must(cuDeviceGetAttribute(&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, 0));
    cr_assert(major == 12 && minor == 1);
    must(cuModuleGetFunction(&function, module(), "count_up"));
    must(cuFuncGetAttribute(&version, CU_FUNC_ATTRIBUTE_BINARY_VERSION, function));
    cr_assert_eq(version, 121);
}

Test(driver_options, a_compute_capability_is_two_numbers)
{
    static const char *const words[] = {"9",   "9.",   "90",   "9.0a",  ".5",
                                        "0.3", "-1.0", "9.10", "123.0", "sm_90"};

    for (unsigned i = 0; i < sizeof words / sizeof *words; i++) {
        pid_t child = fork();

        if (!child) {
            setenv("SIMGPU_COMPUTE_CAPABILITY", words[i], 1);
            _exit(cuInit(0) == CUDA_ERROR_INVALID_VALUE ? 0 : 1);
        }
        int status = -1;

        cr_assert(child > 0 && waitpid(child, &status, 0) == child);
        cr_assert_eq(status, 0, "%s", words[i]);
    }
}
