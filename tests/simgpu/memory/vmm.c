/* SPDX-License-Identifier: Apache-2.0 */
/* Virtual memory management: reservations, physical handles, mappings. cuMemSetAccess is in vmm_access.c. */
#include "memory/vmm.h"

#include "device/context.h"
#include "driver/handle.h"
#include "memory/host.h"
#include "memory/space.h"
#include "stream/capture.h"
#include "stream/hazard.h"

#include <stdlib.h>

static size_t physicals;

size_t physical_count(void)
{
    return physicals;
}

CUresult vmm_leave(enum vmm_call call, CUresult result, uint64_t started_ns)
{
    struct context *context = context_current();

    device_spend(context ? context->device : &devices[0], SPENT_MAPPING, options.vmm_ns[call]);
    sim_unlock();
    sleep_until(started_ns + options.vmm_ns[call]);
    return result;
}

CUresult sim_cuMemAddressReserve(CUdeviceptr *address, size_t size, size_t alignment, CUdeviceptr hint,
                                 unsigned long long flags)
{
    const size_t page = 4096;
    uintptr_t start;
    CUresult result;

    if (!address || !size || size % page || hint % page || alignment & (alignment - 1) || flags)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    result = capture_forbid();
    if (result == CUDA_SUCCESS)
        result = space_take(size, alignment, hint, true, &start);
    if (result == CUDA_SUCCESS)
        *address = start;
    return sim_leave(result);
}

CUresult sim_cuMemAddressFree(CUdeviceptr address, size_t size)
{
    const struct memory *memory;
    uintptr_t start;
    size_t reserved;
    CUresult result;

    sim_lock();
    result = capture_forbid();
    if (result != CUDA_SUCCESS)
        return sim_leave(result);
    if (!space_reservation(address, &start, &reserved) || start != address || reserved != size)
        return sim_leave(CUDA_ERROR_INVALID_VALUE);
    memory = memory_after(address);
    if (memory && memory->start < address + size)
        return sim_leave(CUDA_ERROR_INVALID_VALUE);
    space_give(address);
    return sim_leave(CUDA_SUCCESS);
}

/* Where a handle may lie, and on whose account. */
static CUresult judge_location(const CUmemLocation *location, struct device **device, bool *host)
{
    const struct context *current = context_current();

    switch (location->type) {
    case CU_MEM_LOCATION_TYPE_DEVICE:
        *device = device_at(location->id);
        *host = false;
        return *device ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
    case CU_MEM_LOCATION_TYPE_HOST_NUMA:
        if (location->id < 0 || location->id >= options.nodes)
            return CUDA_ERROR_INVALID_VALUE;
        break;
    case CU_MEM_LOCATION_TYPE_HOST:
        break;
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
    *device = current ? current->device : &devices[0];
    *host = true;
    return CUDA_SUCCESS;
}

static CUresult judge_prop(const CUmemAllocationProp *prop, struct device **device, bool *host)
{
    CUresult result;

    if (prop->type != CU_MEM_ALLOCATION_TYPE_PINNED)
        return CUDA_ERROR_INVALID_VALUE;
    result = judge_location(&prop->location, device, host);
    if (result != CUDA_SUCCESS)
        return result;
    if (prop->requestedHandleTypes && *host)
        return CUDA_ERROR_INVALID_VALUE;
    if (prop->requestedHandleTypes & ~(unsigned)CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR)
        return CUDA_ERROR_NOT_SUPPORTED;
    return prop->allocFlags.compressionType || prop->allocFlags.usage ? CUDA_ERROR_NOT_SUPPORTED
                                                                      : CUDA_SUCCESS;
}

static enum store store_of(const struct physical *physical)
{
    return physical->host ? STORE_HOST : STORE_PHYSICAL;
}

static uint64_t last_id;

struct physical *physical_import(struct device *device, uint64_t place, size_t size)
{
    struct physical *physical = calloc(1, sizeof *physical);

    if (!physical || !handle_add(physical, HANDLE_PHYSICAL)) {
        free(physical);
        return NULL;
    }
    *physical =
        (struct physical){.device = device, .imported = true, .size = size, .place = place, .handles = 1};
    physical->id = ++last_id;
    physical->prop = (CUmemAllocationProp){.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                                           .location = {CU_MEM_LOCATION_TYPE_DEVICE, device->ordinal}};
    physicals++;
    return physical;
}

CUresult vmm_host_allowed(const CUmemLocation *location)
{
    if (options.host_numa == HOST_NUMA_NONE ||
        (options.host_numa == HOST_NUMA_ANYWHERE && location->type == CU_MEM_LOCATION_TYPE_HOST_NUMA))
        return CUDA_ERROR_NOT_PERMITTED;
    return options.host_needs_context && !context_on_each() ? CUDA_ERROR_INVALID_CONTEXT : CUDA_SUCCESS;
}

static size_t node_used[NODES_MAX];

/* Take from the node that a handle is on, if any, or give back. */
static CUresult node_take(const CUmemLocation *location, size_t bytes)
{
    if (location->type != CU_MEM_LOCATION_TYPE_HOST_NUMA)
        return CUDA_SUCCESS;
    if (bytes > options.node_bytes - node_used[location->id])
        return CUDA_ERROR_OUT_OF_MEMORY;
    node_used[location->id] += bytes;
    return CUDA_SUCCESS;
}

static void node_give(const CUmemLocation *location, size_t bytes)
{
    if (location->type == CU_MEM_LOCATION_TYPE_HOST_NUMA)
        node_used[location->id] -= bytes;
}

size_t simgpu_node_bytes(int node)
{
    size_t bytes;

    if (sim.forked || node < 0 || node >= NODES_MAX)
        return 0;
    sim_lock();
    bytes = node_used[node];
    sim_unlock();
    return bytes;
}

static CUresult physical_take(const CUmemLocation *location, struct physical *physical, size_t size)
{
    CUresult result = node_take(location, size);

    if (result != CUDA_SUCCESS)
        return result;
    result = device_take(physical->device, store_of(physical), size, &physical->place);
    if (result != CUDA_SUCCESS)
        node_give(location, size);
    return result;
}

static void physical_give(const CUmemLocation *location, const struct physical *physical, size_t size)
{
    node_give(location, size);
    device_give(physical->device, store_of(physical), size, physical->place);
}

static CUresult physical_create(const CUmemAllocationProp *prop, size_t size, struct physical **created)
{
    struct physical *physical = calloc(1, sizeof *physical);
    CUresult result;

    if (!physical)
        return CUDA_ERROR_OUT_OF_MEMORY;
    result = judge_prop(prop, &physical->device, &physical->host);
    if (result == CUDA_SUCCESS && physical->host)
        result = vmm_host_allowed(&prop->location);
    if (result == CUDA_SUCCESS)
        result = physical_take(&prop->location, physical, size);
    if (result == CUDA_SUCCESS && !handle_add(physical, HANDLE_PHYSICAL)) {
        physical_give(&prop->location, physical, size);
        result = CUDA_ERROR_OUT_OF_MEMORY;
    }
    if (result != CUDA_SUCCESS) {
        free(physical);
        return result;
    }
    physical->size = size;
    physical->id = ++last_id;
    physical->handles = 1;
    physical->prop = *prop;
    physicals++;
    *created = physical;
    return CUDA_SUCCESS;
}

/* Gives the memory back when neither a handle nor a mapping is left. */
static void physical_settle(struct physical *physical)
{
    if (physical->handles || physical->mappings)
        return;
    if (physical->imported)
        place_forget(physical->place);
    else
        physical_give(&physical->prop.location, physical, physical->size);
    physicals--;
    free(physical);
}

CUresult sim_cuMemCreate(CUmemGenericAllocationHandle *handle, size_t size, const CUmemAllocationProp *prop,
                         unsigned long long flags)
{
    uint64_t started_ns = now_ns();
    struct physical *physical;
    CUresult result;

    if (!handle || !prop || !size || size % GRANULE || flags)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    result = capture_forbid();
    if (result == CUDA_SUCCESS)
        result = physical_create(prop, size, &physical);
    if (result == CUDA_SUCCESS) {
        *handle = (uintptr_t)physical;
        started_ns += physical->host ? host_pin_ns(size) : 0;
    }
    return vmm_leave(VMM_CREATE, result, started_ns);
}

CUresult sim_cuMemRelease(CUmemGenericAllocationHandle handle)
{
    uint64_t started_ns = now_ns();
    struct physical *physical = (struct physical *)handle;
    CUresult result;

    sim_lock();
    result = capture_forbid();
    if (result == CUDA_SUCCESS && !handle_is(physical, HANDLE_PHYSICAL))
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS) {
        if (--physical->handles == 0)
            handle_remove(physical);
        physical_settle(physical);
    }
    return vmm_leave(VMM_RELEASE, result, started_ns);
}

CUresult sim_cuMemRetainAllocationHandle(CUmemGenericAllocationHandle *handle, void *address)
{
    struct memory *memory;

    if (!handle)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    memory = memory_find((uintptr_t)address);
    if (!memory || memory->kind != MEMORY_MAPPED)
        return sim_leave(CUDA_ERROR_INVALID_VALUE);
    if (!memory->physical->handles && !handle_add(memory->physical, HANDLE_PHYSICAL))
        return sim_leave(CUDA_ERROR_OUT_OF_MEMORY);
    memory->physical->handles++;
    *handle = (uintptr_t)memory->physical;
    return sim_leave(CUDA_SUCCESS);
}

CUresult sim_cuMemGetAllocationGranularity(size_t *granularity, const CUmemAllocationProp *prop,
                                           CUmemAllocationGranularity_flags option)
{
    struct device *device;
    CUresult result;
    bool host;

    if (!granularity || !prop ||
        (option != CU_MEM_ALLOC_GRANULARITY_MINIMUM && option != CU_MEM_ALLOC_GRANULARITY_RECOMMENDED))
        return CUDA_ERROR_INVALID_VALUE;
    result = judge_prop(prop, &device, &host);
    if (result == CUDA_SUCCESS)
        *granularity = GRANULE;
    return result;
}

CUresult sim_cuMemGetAllocationPropertiesFromHandle(CUmemAllocationProp *prop,
                                                    CUmemGenericAllocationHandle handle)
{
    const struct physical *physical = (const struct physical *)handle;

    if (!prop)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    if (!handle_is(physical, HANDLE_PHYSICAL))
        return sim_leave(CUDA_ERROR_INVALID_VALUE);
    *prop = physical->prop;
    return sim_leave(CUDA_SUCCESS);
}

static CUresult map(uintptr_t address, size_t size, size_t offset, struct physical *physical)
{
    struct memory *memory;
    uintptr_t start;
    size_t reserved;
    CUresult result;

    if (!handle_is(physical, HANDLE_PHYSICAL) || address % GRANULE || offset || size != physical->size)
        return CUDA_ERROR_INVALID_VALUE;
    if (!space_reservation(address, &start, &reserved) || size > start + reserved - address)
        return CUDA_ERROR_INVALID_VALUE;
    memory = memory_after(address);
    if (memory && memory->start < address + size)
        return CUDA_ERROR_INVALID_VALUE;
    memory = memory_add(address, size, MEMORY_MAPPED,
                        physical->host ? DEVICE_HOST : physical->device->ordinal, physical->place);
    if (!memory)
        return CUDA_ERROR_OUT_OF_MEMORY;
    result = space_map(address, size, physical->place);
    if (result != CUDA_SUCCESS) {
        memory_remove(memory);
        return result;
    }
    memory->physical = physical;
    physical->mappings++;
    return CUDA_SUCCESS;
}

CUresult sim_cuMemMap(CUdeviceptr address, size_t size, size_t offset, CUmemGenericAllocationHandle handle,
                      unsigned long long flags)
{
    uint64_t started_ns = now_ns();
    CUresult result;

    if (flags)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    result = capture_forbid();
    if (result == CUDA_SUCCESS)
        result = map(address, size, offset, (struct physical *)handle);
    return vmm_leave(VMM_MAP, result, started_ns);
}

bool vmm_covers(uintptr_t address, size_t size)
{
    uintptr_t at = address, end = address + size;

    while (at < end) {
        const struct memory *memory = memory_exact(at, MEMORY_MAPPED);

        if (!memory || memory->size > end - at)
            return false;
        at += memory->size;
    }
    return size && end > address;
}

static void unmap(uintptr_t address, size_t size)
{
    for (uintptr_t at = address; at < address + size;) {
        struct memory *memory = memory_exact(at, MEMORY_MAPPED);
        struct physical *physical = memory->physical;

        at += memory->size;
        hazard_lose(memory, "unmapped");
        space_unmap(memory->start, memory->size);
        memory_remove(memory);
        physical->mappings--;
        physical_settle(physical);
    }
}

CUresult sim_cuMemUnmap(CUdeviceptr address, size_t size)
{
    uint64_t started_ns = now_ns();
    CUresult result;

    sim_lock();
    result = capture_forbid();
    if (result == CUDA_SUCCESS && !vmm_covers(address, size))
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        unmap(address, size);
    return vmm_leave(VMM_UNMAP, result, started_ns);
}
