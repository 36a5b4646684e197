/* SPDX-License-Identifier: Apache-2.0 */
/* vmm_handle.c - see vmm_handle.h. */
#include "cuda/vmm_handle.h"

#include <errno.h>
#include <string.h>

#include "base/table.h"
#include "cuda/call_site.h"
#include "cuda/capture.h"
#include "cuda/device_cuda.h"
#include "cuda/vmm.h"
#include "cuda/vmm_map.h"
#include "engine/core.h"

/* The largest that may be exported: another process is given one piece, so that it moves as one. */
#define WHOLE_LARGEST_BYTES ((uint64_t)64 << 20)

/* One handle of ours, by its value. */
struct handle {
    uint64_t bytes;
    uint64_t at; /* where its block lies: at home, which is the handle's value, or where it is mapped */
    uint64_t memory_id;
    uint32_t references, mappings;
    unsigned ordinal;
    CUmemAllocationProp prop;
};

static struct table handles = TABLE_INIT(struct handle);
static struct lock changing = LOCK_INIT(LOCK_VMM);

static void handle_set(uint64_t value, const struct handle *handle)
{
    struct handle *known;

    table_lock(&handles);
    known = table_find(&handles, value);
    if (known)
        *known = *handle;
    table_unlock(&handles);
}

/* A handle that the program has. */
static bool handle_get(CUmemGenericAllocationHandle value, struct handle *out)
{
    return value && core_addresses_lent(value) && table_get(&handles, value, out) && out->references;
}

/* While a capture is open the driver says what it forbids, by a call that changes nothing. */
static CUresult allowed(void)
{
    CUdeviceptr address;
    CUresult result;

    if (LIKELY(!capture_open()))
        return CUDA_SUCCESS;
    result = real.cuMemAddressReserve(&address, GRANULE_BYTES, 0, 0, 0);
    return result == CUDA_SUCCESS ? real.cuMemAddressFree(address, GRANULE_BYTES) : result;
}

/* ---- addresses -------------------------------------------------------------------------------------------------- */

/* Addresses of ours: from the hint on, if they are free; else any. */
static bool reserve(CUdeviceptr *out, size_t size, size_t alignment, CUdeviceptr hint)
{
    uint64_t address;
    bool is_ours;

    lock_acquire(&changing);
    is_ours = (hint && vmm_reserve(size, alignment, hint, &address) == 0) ||
              vmm_reserve(size, alignment, 0, &address) == 0;
    lock_release(&changing);
    if (is_ours)
        *out = address;
    return is_ours;
}

CUresult vmm_handle_reserve(__typeof__(cuMemAddressReserve) *next, CUdeviceptr *out, size_t size,
                            size_t alignment, CUdeviceptr hint, unsigned long long flags)
{
    CUdeviceptr drivers;
    CUresult result;

    if (!out || !size || size % GRANULE_BYTES || flags || alignment & (alignment - 1) || capture_open() ||
        core_is_bypassed())
        return next(out, size, alignment, hint, flags);
    if ((!hint || core_addresses_lent(hint)) && reserve(out, size, alignment, hint))
        return CUDA_SUCCESS;
    result = next(&drivers, size, alignment, hint, flags);
    if (result != CUDA_SUCCESS)
        return result;
    /* Any address does where the one that was asked for is not to be had. */
    if (drivers != hint && reserve(out, size, alignment, 0))
        real.cuMemAddressFree(drivers, size);
    else
        *out = drivers;
    return CUDA_SUCCESS;
}

CUresult vmm_handle_unreserve(__typeof__(cuMemAddressFree) *next, CUdeviceptr address, size_t size)
{
    CUresult result = CUDA_SUCCESS;

    if (!core_addresses_lent(address))
        return next(address, size);
    result = allowed();
    if (result != CUDA_SUCCESS)
        return result;
    lock_acquire(&changing);
    result = vmm_unreserve(address, size) ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
    lock_release(&changing);
    return result;
}

/* ---- handles ---------------------------------------------------------------------------------------------------- */

enum stay vmm_handle_refuses(const CUmemAllocationProp *prop, size_t size)
{
    const struct device_kind kind = device_probe_kind((unsigned)prop->location.id);
    unsigned types = (unsigned)prop->requestedHandleTypes;

    if (types & ~(unsigned)CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR || (types && !kind.is_shareable) ||
        (types && size > WHOLE_LARGEST_BYTES))
        return STAY_SHAREABLE;
    return prop->type != CU_MEM_ALLOCATION_TYPE_PINNED || prop->allocFlags.compressionType ||
                   prop->allocFlags.usage || (prop->allocFlags.gpuDirectRDMACapable && !kind.has_rdma)
               ? STAY_OWN
               : STAY_NOT;
}

bool vmm_handle_create(CUmemGenericAllocationHandle *out, size_t size, const CUmemAllocationProp *prop,
                       const void *call_site, CUresult *out_result)
{
    static _Atomic uint64_t last_id;
    struct handle handle = {
        .bytes = size, .references = 1, .ordinal = (unsigned)prop->location.id, .prop = *prop};
    const struct wanted wanted = {.bytes = size,
                                  .call_site = call_site,
                                  .ordinal = (uint8_t)prop->location.id,
                                  .is_fixed = call_site_is_nvidia(call_site),
                                  .is_handle = true,
                                  .is_whole = prop->requestedHandleTypes != 0};
    int error = size % GRANULE_BYTES || capture_open() ? -ENOTSUP : core_allocate_wanted(&wanted, &handle.at);

    if (error == -ENOTSUP)
        return false;
    *out_result = error ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS;
    if (error)
        return true;
    handle.memory_id = ++last_id;
    if (table_put(&handles, handle.at, &handle)) {
        core_free_handle(handle.at);
        *out_result = CUDA_ERROR_OUT_OF_MEMORY;
        return true;
    }
    *out = handle.at;
    return true;
}

/* Without handle and mapping its memory goes; its block is at home then. */
static void handle_settle(uint64_t value, const struct handle *handle)
{
    struct handle gone;

    handle_set(value, handle);
    if (handle->references || handle->mappings)
        return;
    table_take(&handles, value, &gone);
    core_free_handle(value);
}

CUresult vmm_handle_release(__typeof__(cuMemRelease) *next, CUmemGenericAllocationHandle value)
{
    struct handle handle;
    CUresult result;

    if (!value || !core_addresses_lent(value))
        return vmm_release(next, value);
    result = allowed();
    if (result != CUDA_SUCCESS)
        return result;
    lock_acquire(&changing);
    if (handle_get(value, &handle)) {
        handle.references--;
        handle_settle(value, &handle);
    } else {
        result = CUDA_ERROR_INVALID_VALUE;
    }
    lock_release(&changing);
    return result;
}

CUresult vmm_handle_retain(__typeof__(cuMemRetainAllocationHandle) *next, CUmemGenericAllocationHandle *out,
                           void *address)
{
    struct vmm_mapping mapping = {.backing = VMM_DRIVER};
    struct handle handle;
    uint64_t base;
    CUresult result;
    bool is_mapped = vmm_mapping_at(real_key(address), &base, &mapping);

    if (!out)
        return CUDA_ERROR_INVALID_VALUE;
    if (mapping.backing == VMM_DRIVER) {
        if (!is_mapped && core_owns(real_key(address)))
            return CUDA_ERROR_INVALID_VALUE;
        result = next(out, address);
        if (result == CUDA_SUCCESS)
            vmm_retained(out, is_mapped ? base : real_key(address));
        return result;
    }
    lock_acquire(&changing);
    if (table_get(&handles, mapping.handle, &handle)) {
        handle.references++;
        handle_set(mapping.handle, &handle);
        *out = mapping.handle;
        result = CUDA_SUCCESS;
    } else {
        result = CUDA_ERROR_INVALID_VALUE;
    }
    lock_release(&changing);
    return result;
}

CUresult vmm_handle_properties(__typeof__(cuMemGetAllocationPropertiesFromHandle) *next,
                               CUmemAllocationProp *out, CUmemGenericAllocationHandle value)
{
    struct handle handle;

    if (!out || !value || !core_addresses_lent(value))
        return next(out, value);
    if (!handle_get(value, &handle))
        return CUDA_ERROR_INVALID_VALUE;
    *out = handle.prop;
    return CUDA_SUCCESS;
}

/* The one piece that the handle's block is; pinned from then on. */
static CUresult export(void *out, const struct handle *handle)
{
    uint64_t bytes;
    int fd, error = core_pin(handle->at, PIN_EXPORTED);

    if (!error)
        error = core_share(handle->at, 0, &bytes, &fd);
    if (error)
        return error == -ENOMEM ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_ERROR_INVALID_VALUE;
    *(int *)out = fd;
    return CUDA_SUCCESS;
}

CUresult vmm_handle_export(__typeof__(cuMemExportToShareableHandle) *next, void *out,
                           CUmemGenericAllocationHandle value, CUmemAllocationHandleType type,
                           unsigned long long flags)
{
    struct handle handle;
    CUresult result = CUDA_ERROR_INVALID_VALUE;

    if (!out || flags || type != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR || !value ||
        !core_addresses_lent(value))
        return next(out, value, type, flags);
    lock_acquire(&changing);
    if (handle_get(value, &handle) && handle.prop.requestedHandleTypes & type)
        result = export(out, &handle);
    lock_release(&changing);
    return result;
}

CUresult vmm_handle_bind(__typeof__(cuMulticastBindMem) *next, CUmemGenericAllocationHandle multicast,
                         size_t multicast_offset, CUmemGenericAllocationHandle value, size_t offset,
                         size_t size, unsigned long long flags)
{
    struct handle handle;
    CUresult result = CUDA_ERROR_INVALID_VALUE;
    int error;

    if (!value || !core_addresses_lent(value))
        return next(multicast, multicast_offset, value, offset, size, flags);
    lock_acquire(&changing);
    if (handle_get(value, &handle) && offset <= handle.bytes && size <= handle.bytes - offset) {
        error = core_pin(handle.at, PIN_EXPORTED);
        if (error)
            result = error == -ENOMEM ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_ERROR_INVALID_VALUE;
        else
            result = real.cuMulticastBindAddr(multicast, multicast_offset, handle.at + offset, size, flags);
        if (!error && result != CUDA_SUCCESS)
            core_unpin(handle.at, PIN_EXPORTED);
    }
    lock_release(&changing);
    return result;
}

/* ---- mappings --------------------------------------------------------------------------------------------------- */

/* A handle of the driver's in a range of ours. */
static CUresult map_driver(__typeof__(cuMemMap) *next, CUdeviceptr address, size_t size, size_t offset,
                           CUmemGenericAllocationHandle value, unsigned long long flags)
{
    const struct vmm_mapping mapping = {.bytes = size, .handle = value, .backing = VMM_DRIVER};
    int error = size && size % GRANULE_BYTES == 0 ? vmm_mapping_add(address, &mapping) : -EINVAL;
    CUresult result;

    if (error)
        return error == -ENOMEM ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_ERROR_INVALID_VALUE;
    result = next(address, size, offset, value, flags);
    if (result == CUDA_SUCCESS)
        core_guest(address, size, true);
    else
        vmm_mapping_remove(address);
    return result;
}

/* A handle of ours. */
static CUresult map_ours(CUdeviceptr address, CUmemGenericAllocationHandle value, struct handle *handle)
{
    struct vmm_mapping mapping = {.bytes = handle->bytes, .handle = value, .backing = VMM_NOTHING};
    int error;

    if (!core_addresses_lent(address))
        mapping.backing = VMM_ALIAS;
    error = vmm_mapping_add(address, &mapping);
    if (!error && mapping.backing == VMM_ALIAS) {
        error = core_map_alias(handle->at, address);
        if (error)
            vmm_mapping_remove(address);
    }
    if (error)
        return error == -ENOMEM ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_ERROR_INVALID_VALUE;
    handle->mappings++;
    handle_set(value, handle);
    return CUDA_SUCCESS;
}

CUresult vmm_handle_map(__typeof__(cuMemMap) *next, CUdeviceptr address, size_t size, size_t offset,
                        CUmemGenericAllocationHandle value, unsigned long long flags)
{
    bool is_ours = value && core_addresses_lent(value);
    struct handle handle;
    CUresult result;

    if (is_ours) {
        if (flags)
            return CUDA_ERROR_INVALID_VALUE;
        result = allowed();
        if (result != CUDA_SUCCESS)
            return result;
    }
    lock_acquire(&changing);
    if (!is_ours)
        result = core_addresses_lent(address) ? map_driver(next, address, size, offset, value, flags)
                                              : next(address, size, offset, value, flags);
    else if (!handle_get(value, &handle) || offset || size != handle.bytes || address % GRANULE_BYTES)
        result = CUDA_ERROR_INVALID_VALUE;
    else
        result = map_ours(address, value, &handle);
    lock_release(&changing);
    if (!is_ours && result == CUDA_SUCCESS)
        vmm_mapped(address, size, value);
    return result;
}

/* Do mappings that we know make up the whole of a range? */
static bool covers(CUdeviceptr address, size_t size)
{
    struct vmm_mapping mapping;
    CUdeviceptr at = address, end = address + size;

    while (at < end && vmm_mapping_get(at, &mapping) && mapping.bytes <= end - at)
        at += mapping.bytes;
    return size && at == end;
}

/* Is it for the driver alone: no range of ours, and no mapping that we know? */
static bool is_drivers(CUdeviceptr address)
{
    struct vmm_mapping mapping;

    return !core_addresses_lent(address) && !vmm_mapping_get(address, &mapping);
}

/* Take one mapping away; on success it is forgotten. */
static CUresult unmap_one(__typeof__(cuMemUnmap) *next, CUdeviceptr address,
                          const struct vmm_mapping *mapping)
{
    struct handle handle;
    CUresult result;
    int error = 0;

    if (mapping->backing == VMM_DRIVER) {
        result = next(address, mapping->bytes);
        if (result != CUDA_SUCCESS)
            return result;
        core_guest(address, mapping->bytes, false);
        vmm_mapping_remove(address);
        vmm_unmapped(address, mapping->bytes);
        return result;
    }
    if (!table_get(&handles, mapping->handle, &handle))
        return CUDA_ERROR_INVALID_VALUE;
    if (mapping->backing == VMM_BLOCK)
        error = core_relocate(address, mapping->handle, 0);
    else if (mapping->backing == VMM_ALIAS)
        error = core_unmap_alias(handle.at, address);
    if (error)
        return error == -ENOMEM ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_ERROR_UNKNOWN;
    if (mapping->backing == VMM_BLOCK)
        handle.at = mapping->handle;
    else if (mapping->backing == VMM_ALIAS && core_addresses_lent(address))
        core_guest(address, mapping->bytes, false);
    vmm_mapping_remove(address);
    handle.mappings--;
    handle_settle(mapping->handle, &handle);
    return CUDA_SUCCESS;
}

CUresult vmm_handle_unmap(__typeof__(cuMemUnmap) *next, CUdeviceptr address, size_t size)
{
    struct vmm_mapping mapping;
    CUresult result;

    if (is_drivers(address)) {
        result = next(address, size);
        if (result == CUDA_SUCCESS)
            vmm_unmapped(address, size);
        return result;
    }
    result = allowed();
    if (result != CUDA_SUCCESS)
        return result;
    lock_acquire(&changing);
    if (!covers(address, size))
        result = CUDA_ERROR_INVALID_VALUE;
    for (CUdeviceptr at = address; result == CUDA_SUCCESS && at - address < size; at += mapping.bytes) {
        vmm_mapping_get(at, &mapping);
        result = unmap_one(next, at, &mapping);
    }
    lock_release(&changing);
    return result;
}

/* ---- access ----------------------------------------------------------------------------------------------------- */

/* As the driver judges a grant of memory that is all of a device. */
static CUresult judge(const CUmemAccessDesc *grant)
{
    if (grant->flags != CU_MEM_ACCESS_FLAGS_PROT_NONE && grant->flags != CU_MEM_ACCESS_FLAGS_PROT_READ &&
        grant->flags != CU_MEM_ACCESS_FLAGS_PROT_READWRITE)
        return CUDA_ERROR_INVALID_VALUE;
    if (grant->location.type != CU_MEM_LOCATION_TYPE_DEVICE)
        return CUDA_ERROR_INVALID_VALUE;
    return (unsigned)grant->location.id < contexts_device_count() ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

static CUresult judge_all(const CUmemAccessDesc *grants, size_t count)
{
    CUresult result = CUDA_SUCCESS;

    for (size_t i = 0; i < count && result == CUDA_SUCCESS; i++)
        result = judge(&grants[i]);
    return result;
}

/* The block of a handle goes where it is mapped, or is mapped there, too, if it is elsewhere by the program's word. */
static CUresult give_backing(CUdeviceptr address, struct vmm_mapping *mapping, struct handle *handle)
{
    bool is_home = handle->at == mapping->handle;
    uint64_t range, range_bytes;
    int error = -EINVAL;

    if (vmm_reserved(address, &range, &range_bytes))
        error = is_home ? core_relocate(handle->at, address, range) : core_map_alias(handle->at, address);

    if (error)
        return error == -ENOMEM ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_ERROR_UNKNOWN;
    mapping->backing = is_home ? VMM_BLOCK : VMM_ALIAS;
    if (is_home)
        handle->at = address;
    else
        core_guest(address, mapping->bytes, true);
    handle_set(mapping->handle, handle);
    vmm_mapping_set(address, mapping);
    return CUDA_SUCCESS;
}

/* One mapping is reached so from now on. What moves is always reached by its own device. */
static CUresult grant_one(__typeof__(cuMemSetAccess) *next, CUdeviceptr address, struct vmm_mapping *mapping,
                          const CUmemAccessDesc *grants, size_t count)
{
    CUresult result = CUDA_SUCCESS;
    struct handle handle;

    if (mapping->backing == VMM_DRIVER)
        return next(address, mapping->bytes, grants, count);
    if (!table_get(&handles, mapping->handle, &handle))
        return CUDA_ERROR_INVALID_VALUE;
    mapping->reach = device_reach_granted(mapping->reach, grants, count);
    if (mapping->backing == VMM_NOTHING && mapping->reach)
        result = give_backing(address, mapping, &handle);
    if (result == CUDA_SUCCESS && mapping->backing == VMM_ALIAS)
        result = next(address, mapping->bytes, grants, count);
    if (result != CUDA_SUCCESS)
        return result;
    vmm_mapping_set(address, mapping);
    device_cuda_handle_peers(handle.ordinal, mapping->reach);
    if (mapping->backing == VMM_BLOCK)
        device_cuda_let_in(handle.ordinal, address, mapping->reach | device_reach(1u << handle.ordinal));
    return CUDA_SUCCESS;
}

CUresult vmm_handle_set_access(__typeof__(cuMemSetAccess) *next, CUdeviceptr address, size_t size,
                               const CUmemAccessDesc *grants, size_t count)
{
    struct vmm_mapping mapping;
    CUresult result;

    if (!grants || !count || is_drivers(address))
        return next(address, size, grants, count);
    result = allowed();
    if (result != CUDA_SUCCESS)
        return result;
    lock_acquire(&changing);
    result = covers(address, size) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
    for (CUdeviceptr at = address; result == CUDA_SUCCESS && at - address < size; at += mapping.bytes) {
        vmm_mapping_get(at, &mapping);
        if (mapping.backing != VMM_DRIVER)
            result = judge_all(grants, count);
    }
    for (CUdeviceptr at = address; result == CUDA_SUCCESS && at - address < size; at += mapping.bytes) {
        vmm_mapping_get(at, &mapping);
        result = grant_one(next, at, &mapping, grants, count);
    }
    lock_release(&changing);
    return result;
}

CUresult vmm_handle_get_access(__typeof__(cuMemGetAccess) *next, unsigned long long *flags,
                               const CUmemLocation *location, CUdeviceptr address)
{
    struct vmm_mapping mapping;
    uint64_t base;
    CUresult result;

    if (!flags || !location || !vmm_mapping_at(address, &base, &mapping))
        return core_owns(address) ? CUDA_ERROR_INVALID_VALUE : next(flags, location, address);
    if (mapping.backing == VMM_DRIVER)
        return next(flags, location, address);
    if (location->type == CU_MEM_LOCATION_TYPE_HOST || location->type == CU_MEM_LOCATION_TYPE_HOST_NUMA) {
        *flags = 0;
        return CUDA_SUCCESS;
    }
    result = judge(&(const CUmemAccessDesc){.location = *location});
    if (result == CUDA_SUCCESS)
        *flags = device_reach_flags(mapping.reach, (unsigned)location->id);
    return result;
}

/* ---- questions about an address --------------------------------------------------------------------------------- */

bool vmm_handle_pointer(CUdeviceptr address, struct vmm_pointer *out)
{
    struct vmm_pointer pointer = {0};
    struct vmm_mapping mapping;
    struct handle handle;
    uint64_t base, bytes;

    if (!vmm_reserved(address, &base, &bytes))
        return false;
    pointer.range = base;
    pointer.range_bytes = bytes;
    if (vmm_mapping_at(address, &base, &mapping)) {
        pointer.mapping = base;
        pointer.mapping_bytes = mapping.bytes;
        pointer.reach = mapping.reach;
        pointer.is_driver = mapping.backing == VMM_DRIVER || !table_get(&handles, mapping.handle, &handle);
        if (!pointer.is_driver) {
            pointer.ordinal = handle.ordinal;
            pointer.memory_id = handle.memory_id;
            pointer.prop = handle.prop;
        }
    }
    *out = pointer;
    return true;
}
