/* SPDX-License-Identifier: Apache-2.0 */
/* What the driver tells about a pointer. */
#include "device/context.h"
#include "driver/handle.h"
#include "memory/memory.h"
#include "memory/native.h"
#include "memory/space.h"
#include "memory/vmm.h"

#include <string.h>

static bool is_host(const struct memory *memory)
{
    return memory->device == DEVICE_HOST;
}

/* The CPU's address of it, if it has one. */
static bool host_pointer(const struct memory *memory, uintptr_t address, void *value)
{
    if (memory->kind != MEMORY_PINNED && memory->kind != MEMORY_REGISTERED &&
        memory->kind != MEMORY_MANAGED && !memory->host_access)
        return false;
    *(void **)value = (void *)address;
    return true;
}

static int ordinal(const struct memory *memory)
{
    return is_host(memory) && memory->physical ? memory->physical->device->ordinal
           : is_host(memory)                   ? memory->context->device->ordinal
                                               : memory->device;
}

static unsigned access_of(const struct memory *memory)
{
    const struct context *context = context_current();

    if (!context)
        return 0;
    return (memory_allows(memory, context->device, false) ? ACCESS_READ : 0u) |
           (memory_allows(memory, context->device, true) ? ACCESS_WRITE : 0u);
}

/* The range that the pointer belongs to: for mappings, as documented, the reservation. */
static void range_of(const struct memory *memory, uintptr_t *start, size_t *size)
{
    if (memory->kind == MEMORY_MAPPED && space_reservation(memory->start, start, size))
        return;
    *start = memory->start;
    *size = memory->size;
}

static CUresult range_attribute(const struct memory *memory, CUpointer_attribute attribute, void *value)
{
    uintptr_t start;
    size_t size;

    range_of(memory, &start, &size);
    switch (attribute) {
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
        *(CUdeviceptr *)value = start;
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
        *(size_t *)value = size;
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR:
        *(CUdeviceptr *)value = memory->start;
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_MAPPING_SIZE:
        *(size_t *)value = memory->size;
        return CUDA_SUCCESS;
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
}

static CUresult attribute_read(const struct memory *memory, uintptr_t address, CUpointer_attribute attribute,
                               void *value)
{
    switch (attribute) {
    case CU_POINTER_ATTRIBUTE_CONTEXT:
        *(CUcontext *)value = (CUcontext)memory->context;
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
        *(unsigned *)value = is_host(memory) ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE;
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
        *(CUdeviceptr *)value = address;
        return access_of(memory) || !context_current() ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
    case CU_POINTER_ATTRIBUTE_HOST_POINTER:
        return host_pointer(memory, address, value) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
    case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
        *(unsigned *)value = memory->sync_memops;
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_BUFFER_ID:
        *(unsigned long long *)value = memory->id;
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_IS_MANAGED:
        *(unsigned *)value = memory->kind == MEMORY_MANAGED;
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
        *(int *)value = ordinal(memory);
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
        *(unsigned *)value = 0; /* the IPC entries are not implemented */
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_MAPPED:
        *(unsigned *)value = 1;
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES:
        *(unsigned long long *)value = 0;
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
        *(unsigned *)value = memory->physical && memory->physical->prop.allocFlags.gpuDirectRDMACapable;
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
        *(unsigned *)value = access_of(memory);
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE:
        *(CUmemoryPool *)value = (CUmemoryPool)memory->pool;
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID:
        *(unsigned long long *)value = memory->physical ? memory->physical->id : memory->id + (1ull << 48);
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_P2P_TOKENS:
        return CUDA_ERROR_NOT_SUPPORTED;
    default:
        return range_attribute(memory, attribute, value);
    }
}

/* An address in a reservation that nothing is mapped at is known too, a little. */
static CUresult unmapped_read(uintptr_t address, CUpointer_attribute attribute, void *value)
{
    uintptr_t start;
    size_t size;

    if (!space_reservation(address, &start, &size))
        return CUDA_ERROR_INVALID_VALUE;
    switch (attribute) {
    case CU_POINTER_ATTRIBUTE_MAPPED:
        *(unsigned *)value = 0;
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
        *(CUdeviceptr *)value = start;
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
        *(size_t *)value = size;
        return CUDA_SUCCESS;
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
}

static CUresult read_one(uintptr_t address, CUpointer_attribute attribute, void *value)
{
    const struct memory *memory = memory_find(address);

    return memory ? attribute_read(memory, address, attribute, value)
                  : unmapped_read(address, attribute, value);
}

CUresult sim_cuPointerGetAttribute(void *value, CUpointer_attribute attribute, CUdeviceptr address)
{
    if (!value)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    return sim_leave(read_one(address, attribute, value));
}

/* Bytes of an attribute's value, 0 if there is no such attribute. */
static size_t value_bytes(CUpointer_attribute attribute)
{
    switch (attribute) {
    case CU_POINTER_ATTRIBUTE_CONTEXT:
    case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
    case CU_POINTER_ATTRIBUTE_HOST_POINTER:
    case CU_POINTER_ATTRIBUTE_BUFFER_ID:
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
    case CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES:
    case CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE:
    case CU_POINTER_ATTRIBUTE_MAPPING_SIZE:
    case CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR:
    case CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID:
        return 8;
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
    case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
    case CU_POINTER_ATTRIBUTE_IS_MANAGED:
    case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
    case CU_POINTER_ATTRIBUTE_MAPPED:
    case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
    case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
        return 4;
    default:
        return 0;
    }
}

/* An unknown pointer is no error here: its attributes are null, its ordinal is -2. */
CUresult sim_cuPointerGetAttributes(unsigned count, CUpointer_attribute *attributes, void **values,
                                    CUdeviceptr address)
{
    if (!count || !attributes || !values)
        return CUDA_ERROR_INVALID_VALUE;
    for (unsigned i = 0; i < count; i++)
        if (!values[i] || !value_bytes(attributes[i]))
            return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    for (unsigned i = 0; i < count; i++) {
        memset(values[i], 0, value_bytes(attributes[i]));
        if (read_one(address, attributes[i], values[i]) != CUDA_SUCCESS &&
            attributes[i] == CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL)
            *(int *)values[i] = -2;
    }
    return sim_leave(CUDA_SUCCESS);
}

CUresult sim_cuPointerSetAttribute(const void *value, CUpointer_attribute attribute, CUdeviceptr address)
{
    struct memory *memory;

    if (!value || attribute != CU_POINTER_ATTRIBUTE_SYNC_MEMOPS)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    memory = memory_find(address);
    if (!memory)
        return sim_leave(CUDA_ERROR_INVALID_VALUE);
    if (memory->kind == MEMORY_MAPPED)
        return sim_leave(CUDA_ERROR_NOT_SUPPORTED);
    memory->sync_memops = *(const unsigned *)value;
    return sim_leave(CUDA_SUCCESS);
}
