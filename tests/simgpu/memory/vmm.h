/* SPDX-License-Identifier: Apache-2.0 */
/* Physical handles. A CUmemGenericAllocationHandle is the address of one. */
#ifndef SIMGPU_VMM_H
#define SIMGPU_VMM_H

#include "memory/memory.h"

struct physical {
    struct device *device; /* charged: the holder, or for host-located memory that current at creation */
    bool host;
    bool imported; /* another process's, charged there */
    size_t size;
    uint64_t place;
    uint64_t id;      /* CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID */
    unsigned handles; /* references that the program holds: create and retain, minus release */
    unsigned mappings;
    CUmemAllocationProp prop;
};

/*
 * CUDA_ERROR_NOT_PERMITTED in a container, whose default filter lets the driver bind no memory to a node;
 * CUDA_ERROR_INVALID_CONTEXT on a driver that wants a context on every device first.
 */
CUresult vmm_host_allowed(const CUmemLocation *location);

/* Bytes that handles hold of a memory node. Any thread, without the lock. */
__attribute__((visibility("default"))) size_t simgpu_node_bytes(int node);

/* Whether a device may touch what is mapped there. Any thread, without the lock. */
__attribute__((visibility("default"))) bool simgpu_has_access(CUdeviceptr address, int ordinal);

/* Whether whole mappings, one beside the other, make up exactly that range. */
bool vmm_covers(uintptr_t address, size_t size);

/* A handle of what lies at a place of place_import. NULL when memory is out. */
struct physical *physical_import(struct device *device, uint64_t place, size_t size);

/* Unlocks; the call has then taken at least its SIMGPU_VMM_NS on its thread. */
CUresult vmm_leave(enum vmm_call call, CUresult result, uint64_t started_ns);

/* All that are alive, released or not. */
size_t physical_count(void);

#endif
