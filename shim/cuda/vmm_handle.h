/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vmm_handle.h - the program's own virtual memory management on blocks: its handles move.
 *
 * Handles   cuMemCreate of plain device memory makes a block (`is_handle` of core.h), at a home in the arena that nobody
 *           knows but us: it is in the budget and its memory is there from then on, as the driver's own would be. The value of
 *           the handle is the address of that home, which no handle of the driver's has.
 * Mappings  cuMemAddressReserve hands out ranges of the arena, so that a launch finds what lies in them by one subtraction.
 *           Mapped is what is remembered (vmm_map.h); the block goes to the address once somebody is given access, and home
 *           again when it is unmapped. Until then nothing is there, as with the driver, which faults. Each handle is a block
 *           of its own, and what lies side by side moves apart.
 * Twice     A handle that is mapped a second time, or at an address that is not ours, is mapped there by the driver, and its
 *           block stays on the device while it is.
 * Driver's  All else is: memory of the host, in another process's hands from birth, compressed, or for use behind a kernel's
 *           back; see vmm_handle_create. Handles of the driver's are mapped in our ranges as well (VMM_DRIVER).
 * Answers   are the driver's own. What it is to refuse, or knows better, it is asked.
 * Threads   any. One at a time changes something; a call that waits for what moves keeps others waiting.
 */
#ifndef EBB_VMM_HANDLE_H
#define EBB_VMM_HANDLE_H

#include "cuda/real.h"
#include "ledger/kind.h"

struct block_info;

/** Addresses of the arena, but for those that the program has chosen elsewhere. */
CUresult vmm_handle_reserve(__typeof__(cuMemAddressReserve) *next, CUdeviceptr *out, size_t size,
                            size_t alignment, CUdeviceptr hint, unsigned long long flags);
CUresult vmm_handle_unreserve(__typeof__(cuMemAddressFree) *next, CUdeviceptr address, size_t size);

/** Why memory of those properties is the driver's; STAY_NOT: it may be a block. */
enum stay vmm_handle_refuses(const CUmemAllocationProp *prop, size_t size);

/** Make a block of it. False: the driver is to be asked. */
bool vmm_handle_create(CUmemGenericAllocationHandle *out, size_t size, const CUmemAllocationProp *prop,
                       const void *call_site, CUresult *out_result);

CUresult vmm_handle_map(__typeof__(cuMemMap) *next, CUdeviceptr address, size_t size, size_t offset,
                        CUmemGenericAllocationHandle handle, unsigned long long flags);
CUresult vmm_handle_unmap(__typeof__(cuMemUnmap) *next, CUdeviceptr address, size_t size);
CUresult vmm_handle_set_access(__typeof__(cuMemSetAccess) *next, CUdeviceptr address, size_t size,
                               const CUmemAccessDesc *grants, size_t count);
CUresult vmm_handle_get_access(__typeof__(cuMemGetAccess) *next, unsigned long long *flags,
                               const CUmemLocation *location, CUdeviceptr address);
CUresult vmm_handle_release(__typeof__(cuMemRelease) *next, CUmemGenericAllocationHandle handle);
CUresult vmm_handle_retain(__typeof__(cuMemRetainAllocationHandle) *next, CUmemGenericAllocationHandle *out,
                           void *address);
CUresult vmm_handle_properties(__typeof__(cuMemGetAllocationPropertiesFromHandle) *next,
                               CUmemAllocationProp *out, CUmemGenericAllocationHandle handle);

/** A descriptor for another process: the memory stays on the device from then on. */
CUresult vmm_handle_export(__typeof__(cuMemExportToShareableHandle) *next, void *out,
                           CUmemGenericAllocationHandle handle, CUmemAllocationHandleType type,
                           unsigned long long flags);

/** Memory of ours is bound to a multicast object by its address, which the driver knows, and stays on the device from then on. */
CUresult vmm_handle_bind(__typeof__(cuMulticastBindMem) *next, CUmemGenericAllocationHandle multicast,
                         size_t multicast_offset, CUmemGenericAllocationHandle handle, size_t offset,
                         size_t size, unsigned long long flags);

/** What is told of an address that the program has reserved in the arena. */
struct vmm_pointer {
    CUdeviceptr range,
        mapping; /**< where the reservation and the mapping begin; mapping 0: nothing is mapped */
    size_t range_bytes, mapping_bytes;
    bool is_driver; /**< the driver has it mapped there, and tells the rest */
    unsigned ordinal;
    uint32_t reach;
    uint64_t memory_id;
    CUmemAllocationProp prop;
};

/** False: the program has reserved nothing there. */
bool vmm_handle_pointer(CUdeviceptr address, struct vmm_pointer *out);

#endif
