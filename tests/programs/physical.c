/* SPDX-License-Identifier: Apache-2.0 */
/* physical.c - see physical.h. */
#include "physical.h"

#include "peak.h"

CUdeviceptr physical_reserve(size_t bytes)
{
    CUdeviceptr address;

    DRIVER(cuMemAddressReserve, (&address, bytes, 0, 0, 0));
    return address;
}

void physical_unreserve(CUdeviceptr address, size_t bytes)
{
    DRIVER(cuMemAddressFree, (address, bytes));
}

CUmemGenericAllocationHandle physical_map(CUdeviceptr address, size_t bytes, bool may_export)
{
    const CUmemAllocationProp properties = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                                            .requestedHandleTypes =
                                                may_export ? CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR
                                                           : CU_MEM_HANDLE_TYPE_NONE,
                                            .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}};
    const CUmemAccessDesc access = {.location = properties.location,
                                    .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    CUmemGenericAllocationHandle handle;

    DRIVER(cuMemCreate, (&handle, bytes, &properties, 0));
    DRIVER(cuMemMap, (address, bytes, 0, handle, 0));
    DRIVER(cuMemSetAccess, (address, bytes, &access, 1));
    peak_add(bytes);
    return handle;
}

void physical_unmap(CUdeviceptr address, size_t bytes, CUmemGenericAllocationHandle handle)
{
    DRIVER(cuMemUnmap, (address, bytes));
    DRIVER(cuMemRelease, (handle));
    peak_remove(bytes);
}
