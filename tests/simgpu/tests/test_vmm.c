/* SPDX-License-Identifier: Apache-2.0 */
#include "driver.h"

#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

static CUresult last_set_access(CUdeviceptr address, size_t size, CUmemLocation location,
                                CUmemAccess_flags flags)
{
    CUmemAccessDesc desc = {location, flags};

    return cuMemSetAccess(address, size, &desc, 1);
}

Test(vmm, a_reservation_of_four_tebibytes_is_granted_and_freed_only_whole)
{
    CUdeviceptr address;

    start();
    must(cuMemAddressReserve(&address, (size_t)4 << 40, 0, 0, 0));
    cr_assert_eq(cuMemAddressFree(address, GRANULE), CUDA_ERROR_INVALID_VALUE);
    cr_assert_eq(cuMemAddressFree(address + GRANULE, (size_t)4 << 40), CUDA_ERROR_INVALID_VALUE);
    must(cuMemAddressFree(address, (size_t)4 << 40));
    cr_assert_eq(cuMemAddressFree(address, (size_t)4 << 40), CUDA_ERROR_INVALID_VALUE);
}

Test(vmm, a_reservation_obeys_alignment_and_a_free_hint)
{
    CUdeviceptr first, second;

    start();
    must(cuMemAddressReserve(&first, GRANULE, (size_t)1 << 30, 0, 0));
    cr_assert_eq(first % ((size_t)1 << 30), 0);
    must(cuMemAddressReserve(&second, GRANULE, 0, first + 8 * GRANULE, 0));
    cr_assert_eq(second, first + 8 * GRANULE);
    must(cuMemAddressReserve(&second, GRANULE, 0, first, 0));
    cr_assert_neq(second, first);
    cr_assert_eq(cuMemAddressReserve(&second, GRANULE, 3, 0, 0), CUDA_ERROR_INVALID_VALUE);
    cr_assert_eq(cuMemAddressReserve(&second, 100, 0, 0, 0), CUDA_ERROR_INVALID_VALUE);
}

Test(vmm, a_handle_is_created_in_granules_where_it_may_lie)
{
    CUmemAllocationProp prop = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                                .location = {CU_MEM_LOCATION_TYPE_DEVICE, 0}};
    CUmemGenericAllocationHandle handle;
    size_t granularity;

    start();
    must(cuMemGetAllocationGranularity(&granularity, &prop, CU_MEM_ALLOC_GRANULARITY_MINIMUM));
    cr_assert_eq(granularity, GRANULE);
    cr_assert_eq(cuMemCreate(&handle, GRANULE + 4096, &prop, 0), CUDA_ERROR_INVALID_VALUE);
    cr_assert_eq(cuMemCreate(&handle, 0, &prop, 0), CUDA_ERROR_INVALID_VALUE);
    prop.location.id = 1;
    cr_assert_eq(cuMemCreate(&handle, GRANULE, &prop, 0), CUDA_ERROR_INVALID_DEVICE);
    prop.location = (CUmemLocation){CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT, 0};
    cr_assert_eq(cuMemCreate(&handle, GRANULE, &prop, 0), CUDA_ERROR_INVALID_VALUE);
    prop.location = (CUmemLocation){CU_MEM_LOCATION_TYPE_HOST_NUMA, 0};
    prop.requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
    cr_assert_eq(cuMemCreate(&handle, GRANULE, &prop, 0), CUDA_ERROR_INVALID_VALUE);
}

Test(vmm, no_mapping_call_needs_a_current_context)
{
    CUmemGenericAllocationHandle handle;
    CUdeviceptr address;

    must(cuInit(0));
    address = reserve(GRANULE);
    handle = physical();
    must(cuMemMap(address, GRANULE, 0, handle, 0));
    must(grant(address, GRANULE));
    must(cuMemUnmap(address, GRANULE));
    must(cuMemRelease(handle));
}

Test(vmm, a_handle_is_mapped_whole_at_offset_zero_in_a_reservation)
{
    CUdeviceptr address;
    CUmemGenericAllocationHandle handle;

    start();
    address = reserve(4 * GRANULE);
    handle = physical();
    cr_assert_eq(cuMemMap(address, 2 * GRANULE, 0, handle, 0), CUDA_ERROR_INVALID_VALUE);
    cr_assert_eq(cuMemMap(address, GRANULE, GRANULE, handle, 0), CUDA_ERROR_INVALID_VALUE);
    cr_assert_eq(cuMemMap(address + 4096, GRANULE, 0, handle, 0), CUDA_ERROR_INVALID_VALUE);
    cr_assert_eq(cuMemMap(address + 4 * GRANULE, GRANULE, 0, handle, 0), CUDA_ERROR_INVALID_VALUE);
    cr_assert_eq(cuMemMap(address, GRANULE, 0, handle + 64, 0), CUDA_ERROR_INVALID_VALUE);
    must(cuMemMap(address, GRANULE, 0, handle, 0));
}

Test(vmm, mapping_needs_an_unmapped_range_and_may_be_repeated_after_unmapping)
{
    CUmemGenericAllocationHandle handle;
    CUdeviceptr address;

    start();
    address = mapped(&handle);
    cr_assert_eq(cuMemMap(address, GRANULE, 0, physical(), 0), CUDA_ERROR_INVALID_VALUE);
    must(cuMemUnmap(address, GRANULE));
    must(cuMemMap(address, GRANULE, 0, handle, 0));
    cr_assert_eq(cuMemAddressFree(address, GRANULE), CUDA_ERROR_INVALID_VALUE, "the range is mapped");
}

Test(vmm, a_mapping_starts_without_access)
{
    CUdeviceptr address;
    uint32_t word = 1;

    start();
    address = reserve(GRANULE);
    must(cuMemMap(address, GRANULE, 0, physical(), 0));
    cr_assert_eq(cuMemcpyHtoD(address, &word, sizeof word), CUDA_ERROR_INVALID_VALUE);
    must(grant(address, GRANULE));
    must(cuMemcpyHtoD(address, &word, sizeof word));
}

Test(vmm, read_access_refuses_writes)
{
    CUmemGenericAllocationHandle handle;
    unsigned long long access;
    CUdeviceptr address;
    CUmemLocation device = {CU_MEM_LOCATION_TYPE_DEVICE, 0};
    uint32_t word = 1;

    start();
    address = mapped(&handle);
    must(last_set_access(address, GRANULE, device, CU_MEM_ACCESS_FLAGS_PROT_READ));
    must(cuMemGetAccess(&access, &device, address));
    cr_assert_eq(access, CU_MEM_ACCESS_FLAGS_PROT_READ);
    must(cuMemcpyDtoH(&word, address, sizeof word));
    cr_assert_eq(cuMemcpyHtoD(address, &word, sizeof word), CUDA_ERROR_INVALID_VALUE);
    cr_assert_eq(cuMemsetD8(address, 0, 4), CUDA_ERROR_INVALID_VALUE);
}

Test(vmm, set_access_needs_whole_mappings_without_a_gap)
{
    CUdeviceptr address;

    start();
    address = reserve(3 * GRANULE);
    must(cuMemMap(address, GRANULE, 0, physical(), 0));
    must(cuMemMap(address + 2 * GRANULE, GRANULE, 0, physical(), 0));
    cr_assert_eq(grant(address, 3 * GRANULE), CUDA_ERROR_INVALID_VALUE);
    cr_assert_eq(grant(address, GRANULE / 2), CUDA_ERROR_INVALID_VALUE);
    must(cuMemMap(address + GRANULE, GRANULE, 0, physical(), 0));
    must(grant(address, 3 * GRANULE));
}

Test(vmm, the_cpu_gets_access_to_host_located_memory_only)
{
    CUmemLocation host = {CU_MEM_LOCATION_TYPE_HOST_NUMA, 0};
    CUmemGenericAllocationHandle handle;
    CUdeviceptr device_side, host_side;

    start();
    device_side = mapped(&handle);
    cr_assert_eq(last_set_access(device_side, GRANULE, host, CU_MEM_ACCESS_FLAGS_PROT_READWRITE),
                 CUDA_ERROR_INVALID_VALUE);
    host_side = reserve(GRANULE);
    must(cuMemMap(host_side, GRANULE, 0, physical_host(), 0));
    must(last_set_access(host_side, GRANULE, host, CU_MEM_ACCESS_FLAGS_PROT_READWRITE));
    memset((void *)host_side, 5, GRANULE);
    cr_assert_eq(cuMemsetD8(host_side, 1, 4), CUDA_ERROR_INVALID_VALUE, "the device has none");
    must(grant(host_side, GRANULE));
    must(cuMemcpyDtoD(device_side, host_side, GRANULE));
    must(cuCtxSynchronize());
}

Test(vmm, a_device_pointer_is_no_host_operand)
{
    CUdeviceptr native, address;
    CUmemGenericAllocationHandle handle;

    start();
    address = mapped(&handle);
    must(cuMemAlloc(&native, 4096));
    cr_assert_eq(cuMemcpyHtoD(address, (void *)native, 64), CUDA_ERROR_INVALID_VALUE);
    cr_assert_eq(cuMemcpyDtoH((void *)address, native, 64), CUDA_ERROR_INVALID_VALUE);
    must(cuMemcpy(address, native, 64));
}

Test(vmm, unmapping_takes_whole_mappings_one_or_many)
{
    CUdeviceptr address;

    start();
    address = reserve(4 * GRANULE);
    for (int i = 0; i < 3; i++)
        must(cuMemMap(address + (size_t)i * GRANULE, GRANULE, 0, physical(), 0));
    cr_assert_eq(cuMemUnmap(address, GRANULE / 2), CUDA_ERROR_INVALID_VALUE);
    cr_assert_eq(cuMemUnmap(address + GRANULE / 2, GRANULE), CUDA_ERROR_INVALID_VALUE);
    cr_assert_eq(cuMemUnmap(address, 4 * GRANULE), CUDA_ERROR_INVALID_VALUE);
    must(cuMemUnmap(address, 2 * GRANULE));
    must(cuMemUnmap(address + 2 * GRANULE, GRANULE));
    cr_assert_eq(cuMemUnmap(address, GRANULE), CUDA_ERROR_INVALID_VALUE);
}

Test(vmm, releasing_a_mapped_handle_keeps_the_memory_until_it_is_unmapped)
{
    CUmemGenericAllocationHandle handle;
    size_t before, free_bytes, total;
    CUdeviceptr address;
    uint32_t word = 17;

    start();
    must(cuMemGetInfo(&before, &total));
    address = mapped(&handle);
    must(cuMemRelease(handle));
    must(cuMemGetInfo(&free_bytes, &total));
    cr_assert_eq(before - free_bytes, GRANULE);
    must(cuMemcpyHtoD(address, &word, sizeof word));
    cr_assert_eq(cuMemRelease(handle), CUDA_ERROR_INVALID_VALUE, "released twice");
    cr_assert_eq(cuMemMap(reserve(GRANULE), GRANULE, 0, handle, 0), CUDA_ERROR_INVALID_VALUE);
    must(cuMemRetainAllocationHandle(&handle, (void *)address));
    must(cuMemUnmap(address, GRANULE));
    must(cuMemRelease(handle));
    must(cuMemGetInfo(&free_bytes, &total));
    cr_assert_eq(before, free_bytes);
}

Test(vmm, two_mappings_of_a_handle_are_the_same_memory)
{
    CUmemGenericAllocationHandle handle;
    CUdeviceptr first, second;
    uint32_t word = 99, read = 0;

    start();
    first = mapped(&handle);
    second = reserve(GRANULE);
    must(cuMemMap(second, GRANULE, 0, handle, 0));
    must(grant(second, GRANULE));
    must(cuMemcpyHtoD(first + 64, &word, sizeof word));
    must(cuMemcpyDtoH(&read, second + 64, sizeof read));
    cr_assert_eq(read, 99);
}

Test(vmm, content_stays_with_the_handle_and_new_handles_are_zero)
{
    CUmemGenericAllocationHandle handle;
    CUdeviceptr address;
    uint32_t word = 5, read = 0;

    start();
    address = mapped(&handle);
    must(cuMemcpyHtoD(address, &word, sizeof word));
    must(cuMemUnmap(address, GRANULE));
    must(cuMemMap(address, GRANULE, 0, handle, 0));
    must(grant(address, GRANULE));
    must(cuMemcpyDtoH(&read, address, sizeof read));
    cr_assert_eq(read, 5);
    must(cuMemUnmap(address, GRANULE));
    must(cuMemRelease(handle));
    must(cuMemMap(address, GRANULE, 0, physical(), 0));
    must(grant(address, GRANULE));
    must(cuMemcpyDtoH(&read, address, sizeof read));
    cr_assert_eq(read, 0);
}

Test(vmm, capacity_is_shared_with_native_allocations_and_host_handles_are_outside_it)
{
    CUmemAllocationProp prop = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                                .location = {CU_MEM_LOCATION_TYPE_DEVICE, 0}};
    CUmemGenericAllocationHandle handle;
    CUdeviceptr native;

    setenv("SIMGPU_MEMORY", "64M", 1);
    start();
    must(cuMemAlloc(&native, 40 * MIB));
    cr_assert_eq(cuMemCreate(&handle, 32 * MIB, &prop, 0), CUDA_ERROR_OUT_OF_MEMORY);
    prop.location.type = CU_MEM_LOCATION_TYPE_HOST_NUMA;
    must(cuMemCreate(&handle, 128 * MIB, &prop, 0));
    prop.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
    must(cuMemCreate(&handle, 24 * MIB, &prop, 0));
    cr_assert_eq(cuMemAlloc(&native, 1), CUDA_ERROR_OUT_OF_MEMORY);
}

Test(vmm, a_container_without_numa_rights_refuses_host_located_handles)
{
    CUmemAllocationProp prop = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                                .location = {CU_MEM_LOCATION_TYPE_HOST_NUMA, 0}};
    CUmemGenericAllocationHandle handle;

    setenv("SIMGPU_HOST_NUMA", "0", 1);
    start();
    cr_assert_eq(cuMemCreate(&handle, GRANULE, &prop, 0), CUDA_ERROR_NOT_PERMITTED);
    prop.location.type = CU_MEM_LOCATION_TYPE_HOST;
    cr_assert_eq(cuMemCreate(&handle, GRANULE, &prop, 0), CUDA_ERROR_NOT_PERMITTED);
    physical();
}

static long map_limit(void)
{
    FILE *file = fopen("/proc/sys/vm/max_map_count", "r");
    long limit = 0;

    cr_assert(file && fscanf(file, "%ld", &limit) == 1);
    fclose(file);
    return limit;
}

Test(vmm, at_the_kernels_limit_of_mappings_map_is_out_of_memory_and_unmap_still_works)
{
    long limit = map_limit(), count = 0;
    CUmemGenericAllocationHandle handle;
    CUdeviceptr address;
    CUresult result;

    start();
    address = reserve((size_t)(limit + 1000) * 2 * GRANULE);
    handle = physical();
    /* Every second granule, so that no two mappings can merge. */
    while ((result = cuMemMap(address + (size_t)count * 2 * GRANULE, GRANULE, 0, handle, 0)) == CUDA_SUCCESS)
        count++;
    cr_assert_eq(result, CUDA_ERROR_OUT_OF_MEMORY);
    cr_assert(count > limit / 4 && count <= limit);
    must(grant(address, GRANULE));
    for (long i = 0; i < count; i++)
        must(cuMemUnmap(address + (size_t)i * 2 * GRANULE, GRANULE));
    must(cuMemMap(address, GRANULE, 0, handle, 0));
    must(grant(address, GRANULE));
    must(cuMemsetD8(address, 1, GRANULE));
    must(cuCtxSynchronize());
}

Test(vmm, pointer_attributes_of_a_mapping_tell_its_handle_and_its_reservation)
{
    CUmemGenericAllocationHandle handle;
    unsigned type, is_mapped;
    CUdeviceptr address, start_address, mapping;
    size_t size, mapping_size;
    int ordinal;

    start();
    address = reserve(4 * GRANULE);
    handle = physical();
    must(cuMemMap(address + GRANULE, GRANULE, 0, handle, 0));
    must(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, address + GRANULE + 5));
    cr_assert_eq(type, CU_MEMORYTYPE_DEVICE);
    must(cuPointerGetAttribute(&ordinal, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, address + GRANULE + 5));
    cr_assert_eq(ordinal, 0);
    must(cuPointerGetAttribute(&start_address, CU_POINTER_ATTRIBUTE_RANGE_START_ADDR, address + GRANULE));
    must(cuPointerGetAttribute(&size, CU_POINTER_ATTRIBUTE_RANGE_SIZE, address + GRANULE));
    cr_assert(start_address == address && size == 4 * GRANULE);
    must(cuPointerGetAttribute(&mapping, CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR, address + GRANULE + 9));
    must(cuPointerGetAttribute(&mapping_size, CU_POINTER_ATTRIBUTE_MAPPING_SIZE, address + GRANULE + 9));
    cr_assert(mapping == address + GRANULE && mapping_size == GRANULE);
    must(cuPointerGetAttribute(&is_mapped, CU_POINTER_ATTRIBUTE_MAPPED, address));
    cr_assert_eq(is_mapped, 0);
    cr_assert_eq(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, (CUdeviceptr)&type),
                 CUDA_ERROR_INVALID_VALUE);
}
