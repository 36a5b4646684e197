/* SPDX-License-Identifier: Apache-2.0 */
#include "block.h"

#include <stdio.h>
#include <stdlib.h>

const char *place_name(enum place place)
{
    return place == PLACE_DEVICE ? "device" : "host";
}

static CUmemAllocationProp prop_at(CUmemLocation location)
{
    return (CUmemAllocationProp){.type = CU_MEM_ALLOCATION_TYPE_PINNED, .location = location};
}

static CUresult try_location(CUmemLocation location)
{
    CUmemAllocationProp prop = prop_at(location);
    CUmemGenericAllocationHandle handle;
    size_t granularity;
    CUresult result =
        cu.cuMemGetAllocationGranularity(&granularity, &prop, CU_MEM_ALLOC_GRANULARITY_RECOMMENDED);

    if (result == CUDA_SUCCESS)
        result = cu.cuMemCreate(&handle, granularity, &prop, 0);
    if (result == CUDA_SUCCESS)
        result = cu.cuMemRelease(handle);
    return result;
}

/* What block_host_use or the first block has found; of type 0 until then. */
static CUmemLocation host_location;

CUresult block_host_use(CUdevice device, CUmemLocationType type)
{
    CUmemLocation location = {.type = type};
    CUresult result;
    int node = 0;

    /* Machines without NUMA say -1 and want 0. */
    if (type == CU_MEM_LOCATION_TYPE_HOST_NUMA &&
        cu.cuDeviceGetAttribute(&node, CU_DEVICE_ATTRIBUTE_HOST_NUMA_ID, device) == CUDA_SUCCESS && node > 0)
        location.id = node;
    result = try_location(location);
    if (result == CUDA_SUCCESS)
        host_location = location;
    return result;
}

const char *block_host_name(CUmemLocationType type)
{
    return type == CU_MEM_LOCATION_TYPE_HOST_NUMA ? "HOST_NUMA" : "HOST";
}

CUresult block_host_find(CUdevice device)
{
    static const CUmemLocationType types[] = {CU_MEM_LOCATION_TYPE_HOST_NUMA, CU_MEM_LOCATION_TYPE_HOST};
    CUresult result = CUDA_SUCCESS;

    for (unsigned i = 0; i < 2 && !host_location.type; i++) {
        const char *name = block_host_name(types[i]);
        char row[64];

        result = block_host_use(device, types[i]);
        snprintf(row, sizeof(row), "host_location_%s", name);
        if (result != CUDA_SUCCESS)
            measure_result(row, result);
        else if (measure_announces())
            measure_word("host_location", name, "kind");
    }
    return host_location.type ? CUDA_SUCCESS : result;
}

static CUmemLocation location_of(CUdevice device, enum place place)
{
    if (place == PLACE_DEVICE)
        return (CUmemLocation){.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = device};
    if (block_host_find(device) != CUDA_SUCCESS)
        measure_no_host();
    return host_location;
}

size_t block_granularity(CUdevice device)
{
    size_t most = 0;

    for (int place = 0; place < PLACE_COUNT; place++) {
        CUmemAllocationProp prop = prop_at(location_of(device, place));
        size_t granularity;

        MUST(cuMemGetAllocationGranularity, (&granularity, &prop, CU_MEM_ALLOC_GRANULARITY_RECOMMENDED));
        most = granularity > most ? granularity : most;
    }
    return most;
}

CUresult block_handle(CUdevice device, enum place place, size_t bytes, CUmemGenericAllocationHandle *handle)
{
    CUmemAllocationProp prop = prop_at(location_of(device, place));

    return cu.cuMemCreate(handle, bytes, &prop, 0);
}

CUdeviceptr block_reserve(CUdevice device, size_t bytes)
{
    CUdeviceptr address;

    MUST(cuMemAddressReserve, (&address, bytes, block_granularity(device), 0, 0));
    return address;
}

CUresult block_grant(CUdeviceptr address, size_t bytes)
{
    CUmemAccessDesc access = {{CU_MEM_LOCATION_TYPE_DEVICE, 0}, CU_MEM_ACCESS_FLAGS_PROT_READWRITE};

    return cu.cuMemSetAccess(address, bytes, &access, 1);
}

CUresult block_map(CUdeviceptr address, size_t bytes, CUmemGenericAllocationHandle handle)
{
    CUresult result = cu.cuMemMap(address, bytes, 0, handle, 0);

    return result == CUDA_SUCCESS ? block_grant(address, bytes) : result;
}

void block_create(struct block *block, CUdevice device, size_t bytes)
{
    size_t granularity = block_granularity(device);

    block->bytes = (bytes + granularity - 1) / granularity * granularity;
    block->address = block_reserve(device, block->bytes);
    for (int place = 0; place < PLACE_COUNT; place++) {
        measure_must(block_handle(device, place, block->bytes, &block->handles[place]), "cuMemCreate");
        block->aliases[place] = block_reserve(device, block->bytes);
        measure_must(block_map(block->aliases[place], block->bytes, block->handles[place]),
                     "mapping an alias");
    }
    measure_must(block_map(block->address, block->bytes, block->handles[PLACE_DEVICE]), "mapping a block");
    block->place = PLACE_DEVICE;
}

void block_destroy(struct block *block)
{
    MUST(cuCtxSynchronize, ());
    MUST(cuMemUnmap, (block->address, block->bytes));
    MUST(cuMemAddressFree, (block->address, block->bytes));
    for (int place = 0; place < PLACE_COUNT; place++) {
        MUST(cuMemUnmap, (block->aliases[place], block->bytes));
        MUST(cuMemAddressFree, (block->aliases[place], block->bytes));
        MUST(cuMemRelease, (block->handles[place]));
    }
}

void block_copy(struct block *block, enum place to, CUstream stream)
{
    MUST(cuMemcpyAsync, (block->aliases[to], block->aliases[block->place], block->bytes, stream));
    MUST(cuStreamSynchronize, (stream));
}

CUresult block_remap(struct block *block, enum place to, struct block_times *times)
{
    uint64_t started_ns = measure_now_ns(), unmapped_ns, mapped_ns, ended_ns;
    CUresult result = cu.cuMemUnmap(block->address, block->bytes);

    unmapped_ns = measure_now_ns();
    if (result == CUDA_SUCCESS)
        result = cu.cuMemMap(block->address, block->bytes, 0, block->handles[to], 0);
    mapped_ns = measure_now_ns();
    if (result == CUDA_SUCCESS)
        result = block_grant(block->address, block->bytes);
    ended_ns = measure_now_ns();
    if (result != CUDA_SUCCESS)
        return result;
    block->place = to;
    if (times)
        *times = (struct block_times){unmapped_ns - started_ns, mapped_ns - unmapped_ns, ended_ns - mapped_ns,
                                      ended_ns - started_ns};
    return result;
}

void block_move(struct block *block, enum place to)
{
    MUST(cuCtxSynchronize, ());
    if (block->place == to)
        return;
    block_copy(block, to, NULL);
    measure_must(block_remap(block, to, NULL), "remapping a block");
}

void block_renew(struct block *block, CUdevice device)
{
    enum place other = block->place == PLACE_HOST ? PLACE_DEVICE : PLACE_HOST;
    CUmemGenericAllocationHandle fresh;

    /* Made before the old one goes, or the driver might give the same memory again. */
    measure_must(block_handle(device, other, block->bytes, &fresh), "cuMemCreate");
    MUST(cuCtxSynchronize, ());
    MUST(cuMemUnmap, (block->aliases[other], block->bytes));
    MUST(cuMemRelease, (block->handles[other]));
    block->handles[other] = fresh;
    measure_must(block_map(block->aliases[other], block->bytes, fresh), "mapping an alias");
}
