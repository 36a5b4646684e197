/* SPDX-License-Identifier: Apache-2.0 */
/* Questions of the program about memory: a block answers as the cudaMalloc memory that it stands for, wherever it is. */
#include <errno.h>
#include <unistd.h>

#include "base/log.h"
#include "base/options.h"
#include "cuda/async.h"
#include "cuda/contexts.h"
#include "cuda/device_cuda.h"
#include "cuda/pools.h"
#include "cuda/vmm_handle.h"
#include "engine/core.h"
#include "hook/hooks.h"
#include "policy/cells.h"

CUresult hook_cuMemGetInfo_v2(__typeof__(cuMemGetInfo_v2) *next, size_t *free, size_t *total)
{
    struct place place;
    CUresult result = next(free, total);

    if (result != CUDA_SUCCESS || !free || !total || options_of_process()->meminfo == MEMINFO_REAL ||
        !contexts_here(&place))
        return result;
    uint64_t free_bytes = *free;
    uint64_t total_bytes = *total;

    pools_settle();
    core_memory(place.ordinal, &free_bytes, &total_bytes);
    *free = free_bytes;
    *total = total_bytes;
    return result;
}

CUresult hook_cuDeviceTotalMem_v2(__typeof__(cuDeviceTotalMem_v2) *next, size_t *bytes, CUdevice dev)
{
    uint64_t free_bytes;
    uint64_t total_bytes;
    unsigned ordinal = contexts_ordinal(dev);
    CUresult result = next(bytes, dev);

    if (result != CUDA_SUCCESS || !bytes || options_of_process()->meminfo == MEMINFO_REAL ||
        ordinal == DEVICE_MAX)
        return result;
    if (core_memory(ordinal, &free_bytes, &total_bytes))
        *bytes = total_bytes;
    return result;
}

/* A mapping of the program's at which no block lies, told as one. */
static bool mapping_found(CUdeviceptr address, struct block_info *out)
{
    struct vmm_pointer pointer;

    if (!vmm_handle_pointer(address, &pointer) || !pointer.mapping || pointer.is_driver)
        return false;
    *out = (struct block_info){.base = pointer.mapping,
                               .bytes = pointer.mapping_bytes,
                               .ordinal = pointer.ordinal,
                               .id = pointer.memory_id << 32, /* of no block */
                               .is_handle = true};
    return true;
}

/* Is something of the driver's mapped at an address that the program has reserved in the arena? */
static bool is_driver_mapping(CUdeviceptr address)
{
    struct vmm_pointer pointer;

    return vmm_handle_pointer(address, &pointer) && pointer.is_driver;
}

CUresult hook_cuMemGetAddressRange_v2(__typeof__(cuMemGetAddressRange_v2) *next, CUdeviceptr *pbase,
                                      size_t *psize, CUdeviceptr dptr)
{
    struct block_info block;

    if (!core_owns(dptr) || !contexts_any_here())
        return next(pbase, psize, dptr);
    if (core_find(dptr, &block) && !mapping_found(dptr, &block))
        return is_driver_mapping(dptr) ? next(pbase, psize, dptr) : CUDA_ERROR_NOT_FOUND;
    if (pbase)
        *pbase = block.base;
    if (psize)
        *psize = block.bytes;
    return CUDA_SUCCESS;
}

static bool rdma_capable(unsigned ordinal)
{
    int capable = 0;

    return real.cuDeviceGetAttribute(&capable, CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_SUPPORTED,
                                     contexts_device(ordinal)) == CUDA_SUCCESS &&
           capable;
}

/* What the current context's device may do with the block, as the driver tells of memory that cudaMalloc gave. */
static CUmemAccess_flags access_of(const struct block_info *block)
{
    struct place place;

    return contexts_here(&place) ? device_cuda_access(block->ordinal, block->base, place.ordinal)
                                 : CU_MEM_ACCESS_FLAGS_PROT_NONE;
}

/* What a reach of the program's handle allows the current context's device. */
static CUmemAccess_flags allowed_here(uint32_t reach)
{
    struct place place;

    return contexts_here(&place) ? device_reach_flags(reach, place.ordinal) : CU_MEM_ACCESS_FLAGS_PROT_NONE;
}

/* The block's address is the same on every device; one that may not use it is told so. */
static CUresult device_pointer(const struct block_info *block, CUdeviceptr address, CUdeviceptr *out)
{
    struct place place;

    *out = address;
    return contexts_here(&place) && !device_cuda_access(block->ordinal, block->base, place.ordinal)
               ? CUDA_ERROR_INVALID_VALUE
               : CUDA_SUCCESS;
}

/* Of a handle of the program's some are others than of cudaMalloc memory. CUDA_ERROR_NOT_SUPPORTED: none of these. */
static CUresult handle_attribute(CUpointer_attribute attribute, CUdeviceptr address, void *data)
{
    struct vmm_pointer pointer;

    if (!vmm_handle_pointer(address, &pointer))
        return CUDA_ERROR_INVALID_VALUE;
    switch (attribute) {
    case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
        *(unsigned *)data = 0;
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
        *(unsigned *)data = pointer.prop.allocFlags.gpuDirectRDMACapable;
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES:
        *(unsigned long long *)data = pointer.prop.requestedHandleTypes;
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID:
        *(unsigned long long *)data = pointer.memory_id;
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
        *(CUdeviceptr *)data = pointer.range;
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
        *(size_t *)data = pointer.range_bytes;
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
        *(CUmemAccess_flags *)data = allowed_here(pointer.reach);
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
        *(CUdeviceptr *)data = address;
        return contexts_any_here() && !allowed_here(pointer.reach) ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
    default:
        return CUDA_ERROR_NOT_SUPPORTED;
    }
}

/* An address that the program has reserved, and mapped nothing at, is known too, a little. */
static CUresult reserved_attribute(const struct vmm_pointer *pointer, CUpointer_attribute attribute,
                                   void *data)
{
    switch (attribute) {
    case CU_POINTER_ATTRIBUTE_MAPPED:
        *(unsigned *)data = 0;
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
        *(CUdeviceptr *)data = pointer->range;
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
        *(size_t *)data = pointer->range_bytes;
        return CUDA_SUCCESS;
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
}

/* The driver's answer, but for the reservation, which it tells as all of the arena. */
static CUresult of_range(const struct vmm_pointer *pointer, CUpointer_attribute attribute, void *data,
                         CUresult result)
{
    if (attribute != CU_POINTER_ATTRIBUTE_RANGE_START_ADDR && attribute != CU_POINTER_ATTRIBUTE_RANGE_SIZE)
        return result;
    return reserved_attribute(pointer, attribute, data);
}

/* One attribute of a block. CUDA_ERROR_NOT_SUPPORTED: for the driver to answer. */
static CUresult block_attribute(const struct block_info *block, CUpointer_attribute attribute,
                                CUdeviceptr address, void *data)
{
    CUresult own = block->is_handle ? handle_attribute(attribute, address, data) : CUDA_ERROR_NOT_SUPPORTED;

    if (own != CUDA_ERROR_NOT_SUPPORTED)
        return own;
    switch (attribute) {
    case CU_POINTER_ATTRIBUTE_CONTEXT:
        *(CUcontext *)data = (CUcontext)(uintptr_t)block->context;
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
        *(unsigned *)data = CU_MEMORYTYPE_DEVICE;
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
        return device_pointer(block, address, data);
    case CU_POINTER_ATTRIBUTE_HOST_POINTER: /* the host's memory behind a block is ours alone */
        *(void **)data = NULL;
        return CUDA_ERROR_INVALID_VALUE;
    case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
        *(unsigned *)data = rdma_capable(block->ordinal);
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
    case CU_POINTER_ATTRIBUTE_IS_MANAGED:
    case CU_POINTER_ATTRIBUTE_IS_HW_DECOMPRESS_CAPABLE:
        *(unsigned *)data = 0;
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_BUFFER_ID:
    case CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID:
        *(unsigned long long *)data = block->id;
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
        *(int *)data = (int)block->ordinal;
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
    case CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR:
        *(CUdeviceptr *)data = block->base;
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
    case CU_POINTER_ATTRIBUTE_MAPPING_SIZE:
        *(size_t *)data = block->bytes;
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_MAPPED:
    case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE: /* ipc_block.c sees to that */
        *(unsigned *)data = 1;
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES:
        *(unsigned long long *)data = 0;
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
        *(CUmemAccess_flags *)data = access_of(block);
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE:
        *(CUmemoryPool *)data = async_pool_of(block->base);
        return CUDA_SUCCESS;
    default:
        return CUDA_ERROR_NOT_SUPPORTED;
    }
}

/* Attributes that let others reach the memory behind the driver's back keep the block where it is. */
static bool is_export(CUpointer_attribute attribute)
{
    return attribute == CU_POINTER_ATTRIBUTE_P2P_TOKENS;
}

CUresult hook_cuPointerGetAttribute(__typeof__(cuPointerGetAttribute) *next, void *data,
                                    CUpointer_attribute attribute, CUdeviceptr ptr)
{
    struct vmm_pointer pointer;
    struct block_info block;

    if (!data || !core_owns(ptr))
        return next(data, attribute, ptr);
    if (core_find(ptr, &block) && !mapping_found(ptr, &block)) {
        /* Else mapped, but nothing of the program's: the driver would tell of the mapping. */
        if (vmm_handle_pointer(ptr, &pointer) && pointer.is_driver)
            return of_range(&pointer, attribute, data, next(data, attribute, ptr));
        return vmm_handle_pointer(ptr, &pointer) ? reserved_attribute(&pointer, attribute, data)
                                                 : CUDA_ERROR_INVALID_VALUE;
    }
    if (is_export(attribute) && core_pin(ptr, PIN_REGISTERED))
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUresult result = block_attribute(&block, attribute, ptr, data);

    return result == CUDA_ERROR_NOT_SUPPORTED ? next(data, attribute, ptr) : result;
}

CUresult hook_cuPointerGetAttributes(__typeof__(cuPointerGetAttributes) *next, unsigned int numAttributes,
                                     CUpointer_attribute *attributes, void **data, CUdeviceptr ptr)
{
    struct vmm_pointer pointer;
    struct block_info block;
    bool is_known = !core_find(ptr, &block) || mapping_found(ptr, &block);
    bool is_reserved = !is_known && vmm_handle_pointer(ptr, &pointer);
    /* Of what is mapped but nothing of the program's the driver would tell as of a mapping: it is asked of no memory. */
    bool is_told = !core_owns(ptr) || core_find(ptr, &block) == 0 || is_driver_mapping(ptr);
    CUresult result = next(numAttributes, attributes, data, is_told ? ptr : 0);

    /* Attributes that do not apply come out as zeros and are no error: the driver's answer stands for those. */
    if (result != CUDA_SUCCESS || !attributes || !data || (!is_known && !is_reserved))
        return result;
    for (unsigned i = 0; i < numAttributes; i++) {
        if (!data[i])
            continue;
        if (is_reserved) {
            if (pointer.is_driver)
                of_range(&pointer, attributes[i], data[i], CUDA_SUCCESS);
            else
                reserved_attribute(&pointer, attributes[i], data[i]);
            continue;
        }
        if (is_export(attributes[i]) && core_pin(ptr, PIN_REGISTERED))
            return CUDA_ERROR_OUT_OF_MEMORY;
        block_attribute(&block, attributes[i], ptr, data[i]);
    }
    return result;
}

/* Virtual memory takes no SYNC_MEMOPS; the flag of the context that the block was made in has the same effect on all
 * of that context's memory. */
static CUresult set_sync_memops(CUcontext context)
{
    unsigned flags;

    if (!real.cuCtxGetFlags || !real.cuCtxSetFlags)
        return CUDA_ERROR_NOT_SUPPORTED;
    CUresult result = real.cuCtxPushCurrent_v2(context);

    if (result != CUDA_SUCCESS)
        return result;
    result = real.cuCtxGetFlags(&flags);
    if (result == CUDA_SUCCESS)
        result = real.cuCtxSetFlags(flags | CU_CTX_SYNC_MEMOPS);
    real.cuCtxPopCurrent_v2(&context);
    return result;
}

/* The one call that NVIDIA asks for before memory is registered with a network card's driver (GPUDirect RDMA, "Allowing
 * Synchronous Memory Operations"): nothing else tells us that the card will hold the pages behind the block. */
CUresult hook_cuPointerSetAttribute(__typeof__(cuPointerSetAttribute) *next, const void *value,
                                    CUpointer_attribute attribute, CUdeviceptr ptr)
{
    struct block_info block;

    if (!value || attribute != CU_POINTER_ATTRIBUTE_SYNC_MEMOPS || core_find(ptr, &block) || block.is_handle)
        return next(value, attribute, ptr);
    if (!*(const unsigned *)value)
        return CUDA_SUCCESS; /* whoever registered the memory may still reach it */
    if (core_pin(ptr, PIN_REGISTERED))
        return CUDA_ERROR_OUT_OF_MEMORY;
    return set_sync_memops((CUcontext)(uintptr_t)block.context);
}

/* The next allocation of the program's that has some of what lies from `*at` to `end`; `*at` goes on behind it. */
static bool range_next(CUdeviceptr *at, CUdeviceptr end, struct block_info *out)
{
    for (; *at < end; *at += CELL_UNIT_BYTES)
        if (!core_find(*at, out)) {
            *at = (out->base + out->bytes + CELL_UNIT_BYTES - 1) / CELL_UNIT_BYTES * CELL_UNIT_BYTES;
            return true;
        }
    return false;
}

/* Pin all that lies in a range of pages. Returns how far it has some of each page: the driver wants whole ones, so that
 * whoever asks goes beyond an allocation, but not by a page. */
static CUdeviceptr range_pin(CUdeviceptr start, CUdeviceptr end)
{
    const CUdeviceptr page = (CUdeviceptr)sysconf(_SC_PAGESIZE);
    CUdeviceptr at = start, covered = start;
    struct block_info found;

    while (range_next(&at, covered < end - page ? covered + page : end, &found)) {
        if (core_pin(found.base, PIN_EXPORTED))
            return covered;
        covered = (found.base + found.bytes + page - 1) / page * page;
    }
    return covered;
}

static void range_unpin(CUdeviceptr start, CUdeviceptr end)
{
    struct block_info found;

    while (range_next(&start, end, &found))
        core_unpin(found.base, PIN_EXPORTED);
}

CUresult hook_cuMemGetHandleForAddressRange(__typeof__(cuMemGetHandleForAddressRange) *next, void *handle,
                                            CUdeviceptr dptr, size_t size, CUmemRangeHandleType handleType,
                                            unsigned long long flags)
{
    CUdeviceptr pinned;
    CUresult result = CUDA_ERROR_INVALID_VALUE;

    if (!core_owns(dptr))
        return next(handle, dptr, size, handleType, flags);
    pinned = range_pin(dptr, dptr + size);
    if (pinned >= dptr + size)
        result = next(handle, dptr, size, handleType, flags);
    if (result != CUDA_SUCCESS)
        range_unpin(dptr, pinned);
    return result;
}
