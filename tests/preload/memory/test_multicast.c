/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that the program binds to a multicast object, which the simulated driver does not have: it says, by the codes that its
 * entries are told to fail with, which of them was asked. */
#include "../world.h"

#include <ebbtide.h>

enum {
    BY_HANDLE = 400, /* SIMGPU_FAIL of cuMulticastBindMem */
    BY_ADDRESS = 401 /* of cuMulticastBindAddr */
};

static CUresult bind(CUmemGenericAllocationHandle handle, size_t offset, size_t bytes)
{
    return cuMulticastBindMem(77, 0, handle, offset, bytes, 0);
}

static CUmemGenericAllocationHandle make(size_t bytes, CUmemLocationType type)
{
    const CUmemAllocationProp prop = {.type = CU_MEM_ALLOCATION_TYPE_PINNED, .location = {.type = type}};
    CUmemGenericAllocationHandle handle;

    OK(cuMemCreate(&handle, bytes, &prop, 0));
    return handle;
}

Test(multicast, memory_that_moves_is_bound_by_its_address)
{
    struct world world = world_make();
    CUmemGenericAllocationHandle handle = make(4 * MIB, CU_MEM_LOCATION_TYPE_DEVICE);

    cr_expect_eq(bind(handle, 0, 4 * MIB), BY_ADDRESS);
    cr_expect_eq(bind(handle, 2 * MIB, 2 * MIB), BY_ADDRESS);
    cr_expect_eq(bind(handle, 2 * MIB, 4 * MIB), CUDA_ERROR_INVALID_VALUE);
    OK(cuMemRelease(handle));
    cr_expect_eq(bind(handle, 0, 4 * MIB), CUDA_ERROR_INVALID_VALUE);
    world_end(&world);
}

Test(multicast, memory_of_the_drivers_is_bound_by_its_handle)
{
    struct world world = world_make();
    CUmemGenericAllocationHandle handle = make(4 * MIB, CU_MEM_LOCATION_TYPE_HOST);

    cr_expect_eq(bind(handle, 0, 4 * MIB), BY_HANDLE);
    OK(cuMemRelease(handle));
    world_end(&world);
}

Test(multicast, memory_whose_binding_fails_moves_as_before)
{
    struct world world = world_make();
    const CUmemAccessDesc access = {.location = {.type = CU_MEM_LOCATION_TYPE_DEVICE},
                                    .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    CUmemGenericAllocationHandle handle = make(4 * MIB, CU_MEM_LOCATION_TYPE_DEVICE);
    CUdeviceptr address;

    OK(cuMemAddressReserve(&address, 4 * MIB, 0, 0, 0));
    OK(cuMemMap(address, 4 * MIB, 0, handle, 0));
    OK(cuMemSetAccess(address, 4 * MIB, &access, 1));
    cr_assert_eq(ebb_register((void *)(uintptr_t)address, 4 * MIB, 0, "bound"), 0);
    cr_expect_eq(bind(handle, 0, 4 * MIB), BY_ADDRESS);
    cr_expect_eq(ebb_evict((void *)(uintptr_t)address, 0, EBB_TIER_HOST), (long)(4 * MIB));
    OK(cuMemUnmap(address, 4 * MIB));
    OK(cuMemRelease(handle));
    OK(cuMemAddressFree(address, 4 * MIB));
    world_end(&world);
}
