/* SPDX-License-Identifier: Apache-2.0 */
/* Who may touch a mapping. */
#include "memory/space.h"
#include "memory/vmm.h"
#include "stream/capture.h"
#include "stream/hazard.h"

#include <sys/mman.h>

/* What one grant says: the bits, and for whom. */
struct grant {
    unsigned char bits;
    int device; /* DEVICE_HOST: the CPU */
};

static CUresult judge_grant(const CUmemAccessDesc *desc, struct grant *grant)
{
    if (desc->flags != CU_MEM_ACCESS_FLAGS_PROT_NONE && desc->flags != CU_MEM_ACCESS_FLAGS_PROT_READ &&
        desc->flags != CU_MEM_ACCESS_FLAGS_PROT_READWRITE)
        return CUDA_ERROR_INVALID_VALUE;
    grant->bits = (unsigned char)desc->flags;
    if (desc->location.type == CU_MEM_LOCATION_TYPE_HOST ||
        desc->location.type == CU_MEM_LOCATION_TYPE_HOST_NUMA)
        grant->device = DEVICE_HOST;
    else if (desc->location.type == CU_MEM_LOCATION_TYPE_DEVICE)
        grant->device = desc->location.id;
    else
        return CUDA_ERROR_INVALID_VALUE;
    return grant->device == DEVICE_HOST || device_at(grant->device) ? CUDA_SUCCESS
                                                                    : CUDA_ERROR_INVALID_DEVICE;
}

/* What a driver lets nobody use though it has let it be mapped. */
static CUresult judge_mapping(const struct physical *physical)
{
    /* As on WSL2, which says that it can: pytorch issue 192330. */
    if (physical->prop.allocFlags.gpuDirectRDMACapable && options.rdma_refused)
        return CUDA_ERROR_UNKNOWN;
    return physical->host ? vmm_host_allowed(&physical->prop.location) : CUDA_SUCCESS;
}

/* Every grant against every mapping: the CPU can be given host-located memory only. */
static CUresult judge_grants(uintptr_t address, size_t size, const CUmemAccessDesc *descs, size_t count)
{
    for (uintptr_t at = address; at < address + size;) {
        const struct memory *memory = memory_exact(at, MEMORY_MAPPED);
        CUresult result = judge_mapping(memory->physical);

        if (result != CUDA_SUCCESS)
            return result;
        at += memory->size;
    }
    for (size_t i = 0; i < count; i++) {
        struct grant grant;
        CUresult result = judge_grant(&descs[i], &grant);

        if (result != CUDA_SUCCESS)
            return result;
        for (uintptr_t at = address; grant.device == DEVICE_HOST && at < address + size;) {
            const struct memory *memory = memory_exact(at, MEMORY_MAPPED);

            if (!memory->physical->host)
                return CUDA_ERROR_INVALID_VALUE;
            at += memory->size;
        }
    }
    return CUDA_SUCCESS;
}

static CUresult apply(struct memory *memory, const CUmemAccessDesc *descs, size_t count)
{
    struct memory after = *memory;
    unsigned char all;
    bool loses = false;
    CUresult result;

    for (size_t i = 0; i < count; i++) {
        struct grant grant = {.device = DEVICE_HOST}; /* all were judged before */

        judge_grant(&descs[i], &grant);
        if (grant.device == DEVICE_HOST)
            after.host_access = grant.bits;
        else
            after.access[grant.device] = grant.bits;
    }
    all = after.host_access;
    for (int i = 0; i < device_count; i++) {
        all |= after.access[i];
        loses |= memory->access[i] & ~after.access[i];
    }
    result = space_protect(memory->start, memory->size,
                           (all & ACCESS_READ ? PROT_READ : 0) | (all & ACCESS_WRITE ? PROT_WRITE : 0));
    if (result != CUDA_SUCCESS)
        return result;
    if (loses)
        hazard_lose(memory, "made inaccessible");
    *memory = after;
    return CUDA_SUCCESS;
}

CUresult sim_cuMemSetAccess(CUdeviceptr address, size_t size, const CUmemAccessDesc *descs, size_t count)
{
    uint64_t started_ns = now_ns();
    CUresult result;

    if (!descs || !count)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    result = capture_forbid();
    if (result == CUDA_SUCCESS && !vmm_covers(address, size))
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        result = judge_grants(address, size, descs, count);
    for (uintptr_t at = address; result == CUDA_SUCCESS && at < address + size;) {
        struct memory *memory = memory_exact(at, MEMORY_MAPPED);

        result = apply(memory, descs, count);
        at += memory->size;
    }
    return vmm_leave(VMM_ACCESS, result, started_ns);
}

CUresult sim_cuMemGetAccess(unsigned long long *flags, const CUmemLocation *location, CUdeviceptr address)
{
    const struct memory *memory;
    struct grant grant;
    CUresult result;

    if (!flags || !location)
        return CUDA_ERROR_INVALID_VALUE;
    result = judge_grant(&(CUmemAccessDesc){.location = *location}, &grant);
    if (result != CUDA_SUCCESS)
        return result;
    sim_lock();
    memory = memory_find(address);
    if (!memory || memory->kind != MEMORY_MAPPED)
        return sim_leave(CUDA_ERROR_INVALID_VALUE);
    *flags = grant.device == DEVICE_HOST ? memory->host_access : memory->access[grant.device];
    return sim_leave(CUDA_SUCCESS);
}

bool simgpu_has_access(CUdeviceptr address, int ordinal)
{
    const struct memory *memory;
    bool has = false;

    sim_lock();
    memory = memory_find(address);
    if (memory && memory->kind == MEMORY_MAPPED && device_at(ordinal))
        has = memory->access[ordinal];
    sim_unlock();
    return has;
}
