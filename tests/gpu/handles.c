/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which handles of memory can be made, mapped, made accessible and used: on the device and in both kinds of host
 * memory, for export and for RDMA or not, before the process has a context and after. Some drivers make what they then
 * refuse to map or to grant, and some want a context first. And whether the CPU can be given access to host memory.
 */
#include "block.h"

#include <stdio.h>
#include <string.h>

enum flags {
    PLAIN,
    EXPORTED,
    RDMA,
    EXPORTED_RDMA,
    FLAGS,
};

static const char *const flag_names[] = {"plain", "fd", "rdma", "fd_rdma"};

enum location {
    DEVICE,
    HOST_NUMA,
    HOST,
    LOCATIONS,
};

static const char *const location_names[] = {"device", "HOST_NUMA", "HOST"};

struct attempt {
    CUdevice device;
    CUmemAllocationProp prop;
    CUdeviceptr address;
    CUmemGenericAllocationHandle handle;
    size_t bytes;
    bool uses; /* there is a context */
};

static CUmemLocation locate(enum location location, CUdevice device)
{
    int node = 0;

    if (location == DEVICE)
        return (CUmemLocation){.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = device};
    if (location == HOST)
        return (CUmemLocation){.type = CU_MEM_LOCATION_TYPE_HOST};
    if (cu.cuDeviceGetAttribute(&node, CU_DEVICE_ATTRIBUTE_HOST_NUMA_ID, device) != CUDA_SUCCESS || node < 0)
        node = 0;
    return (CUmemLocation){.type = CU_MEM_LOCATION_TYPE_HOST_NUMA, .id = node};
}

/* Grants access, and uses the memory where there is a context. Returns the call that was refused, or NULL. */
static const char *use(struct attempt *attempt, CUresult *result)
{
    unsigned char found[64] = {0};

    *result = block_grant(attempt->address, attempt->bytes);
    if (*result != CUDA_SUCCESS)
        return "cuMemSetAccess";
    if (!attempt->uses)
        return NULL;
    *result = cu.cuMemsetD8(attempt->address, 0x5a, attempt->bytes);
    if (*result == CUDA_SUCCESS)
        *result = cu.cuMemcpyDtoH(found, attempt->address, sizeof(found));
    if (*result == CUDA_SUCCESS && found[0] != 0x5a)
        *result = CUDA_ERROR_UNKNOWN;
    return *result == CUDA_SUCCESS ? NULL : "use";
}

/* The whole way; what was made is given back. Returns the call that was refused, or NULL. */
static const char *go(struct attempt *attempt, CUresult *result)
{
    const char *refused;

    *result = cu.cuMemGetAllocationGranularity(&attempt->bytes, &attempt->prop,
                                               CU_MEM_ALLOC_GRANULARITY_RECOMMENDED);
    if (*result != CUDA_SUCCESS)
        return "cuMemGetAllocationGranularity";
    *result = cu.cuMemCreate(&attempt->handle, attempt->bytes, &attempt->prop, 0);
    if (*result != CUDA_SUCCESS)
        return "cuMemCreate";
    *result = cu.cuMemAddressReserve(&attempt->address, attempt->bytes, 0, 0, 0);
    if (*result != CUDA_SUCCESS) {
        cu.cuMemRelease(attempt->handle);
        return "cuMemAddressReserve";
    }
    refused = "cuMemMap";
    *result = cu.cuMemMap(attempt->address, attempt->bytes, 0, attempt->handle, 0);
    if (*result == CUDA_SUCCESS) {
        refused = use(attempt, result);
        cu.cuMemUnmap(attempt->address, attempt->bytes);
    }
    cu.cuMemAddressFree(attempt->address, attempt->bytes);
    cu.cuMemRelease(attempt->handle);
    return refused;
}

/* Every location and kind; a bit for each location where one works. */
static int try_all(CUdevice device, bool has_context)
{
    int works = 0;

    for (enum location location = 0; location < LOCATIONS; location++) {
        for (enum flags flags = 0; flags < FLAGS; flags++) {
            struct attempt attempt = {.device = device, .uses = has_context};
            const char *refused;
            CUresult result;
            char name[96];

            attempt.prop.type = CU_MEM_ALLOCATION_TYPE_PINNED;
            attempt.prop.location = locate(location, device);
            if (flags & EXPORTED)
                attempt.prop.requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
            attempt.prop.allocFlags.gpuDirectRDMACapable = (flags & RDMA) != 0;
            refused = go(&attempt, &result);
            snprintf(name, sizeof(name), "%s_context_%s_%s%s%s", has_context ? "with" : "without",
                     location_names[location], flag_names[flags], refused ? "_" : "", refused ? refused : "");
            measure_result(name, result);
            works |= refused ? 0 : 1 << location;
        }
    }
    return works;
}

static int without_context(void *unused)
{
    CUdevice device;

    (void)unused;
    if (libcuda_open() || cu.cuInit(0) != CUDA_SUCCESS || cu.cuDeviceGet(&device, 0) != CUDA_SUCCESS)
        return MEASURE_NO_GPU;
    return try_all(device, false);
}

static int with_context(void *unused)
{
    (void)unused;
    return try_all(measure_open(), true);
}

/* Whether the CPU can be given the mapping too, by either way to say so. */
static void try_cpu(CUdevice device, enum location location)
{
    CUmemAllocationProp prop = {.type = CU_MEM_ALLOCATION_TYPE_PINNED, .location = locate(location, device)};
    CUmemGenericAllocationHandle handle;
    CUdeviceptr address;
    size_t bytes;

    if (cu.cuMemGetAllocationGranularity(&bytes, &prop, CU_MEM_ALLOC_GRANULARITY_RECOMMENDED) !=
            CUDA_SUCCESS ||
        cu.cuMemCreate(&handle, bytes, &prop, 0) != CUDA_SUCCESS)
        return;
    MUST(cuMemAddressReserve, (&address, bytes, 0, 0, 0));
    MUST(cuMemMap, (address, bytes, 0, handle, 0));
    for (enum location to = HOST_NUMA; to <= HOST; to++) {
        CUmemAccessDesc access = {locate(to, device), CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
        CUresult result = cu.cuMemSetAccess(address, bytes, &access, 1);
        char name[96];

        snprintf(name, sizeof(name), "%s_granted_to_%s", location_names[location], location_names[to]);
        measure_result(name, result);
        if (result == CUDA_SUCCESS)
            memset((void *)(uintptr_t)address, 1, bytes);
    }
    MUST(cuMemUnmap, (address, bytes));
    MUST(cuMemAddressFree, (address, bytes));
    MUST(cuMemRelease, (handle));
}

static int cpu(void *argument)
{
    try_cpu(measure_open(), *(enum location *)argument);
    return 0;
}

int main(int argc, char **argv)
{
    int before, after;

    measure_begin(argc, argv, "which handles can be made, mapped, granted and used?");
    after = measure_isolated("with_context", with_context, NULL);
    before = measure_isolated("without_context", without_context, NULL);
    for (enum location location = HOST_NUMA; location <= HOST; location++)
        measure_isolated(location_names[location], cpu, &location);
    after = after < 0 ? 0 : after;
    before = before < 0 ? 0 : before;
    return measure_verdict(
        after & 1 << DEVICE && after & (1 << HOST_NUMA | 1 << HOST), false,
        "device memory %s, HOST_NUMA %s, HOST %s; before there is a context %s, %s, %s",
        after & 1 << DEVICE ? "works" : "fails", after & 1 << HOST_NUMA ? "works" : "fails",
        after & 1 << HOST ? "works" : "fails", before & 1 << DEVICE ? "works" : "fails",
        before & 1 << HOST_NUMA ? "works" : "fails", before & 1 << HOST ? "works" : "fails");
}
