/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vmm.h - the program's own virtual memory management, as far as it is the driver's: physical memory, its handles and its
 * mappings. What moves is in vmm_handle.h.
 *
 * Physical memory costs from cuMemCreate until its last handle is released and its last mapping undone, in whichever
 * order; many release the handle as soon as it is mapped.
 *
 * Threads  any.
 */
#ifndef EBB_VMM_H
#define EBB_VMM_H

#include "cuda/real.h"
#include "ledger/kind.h"

/** One piece of physical memory. */
struct vmm_memory {
    uint64_t bytes; /**< charged; 0 for imported memory, which is another's */
    unsigned ordinal;
    enum stay why; /**< it is no block */
    bool on_host;
    uint32_t handles;
    uint32_t mappings;
};

/** Before the real create. 0 or -ENOMEM. */
int vmm_charge(const struct vmm_memory *memory);
/** The real create failed. */
void vmm_credit(const struct vmm_memory *memory);

/** A handle was made for new memory. Without memory for the record its charge stays for good. */
void vmm_add(CUmemGenericAllocationHandle value, const struct vmm_memory *memory);
/** A handle was made for memory of another process, or once more for what is mapped at an address; NULL is ignored. */
void vmm_imported(const CUmemGenericAllocationHandle *value);
void vmm_retained(const CUmemGenericAllocationHandle *value, uint64_t address);
/** Release a handle by the real function. */
CUresult vmm_release(__typeof__(cuMemRelease) *next, CUmemGenericAllocationHandle handle);

void vmm_mapped(CUdeviceptr address, uint64_t bytes, CUmemGenericAllocationHandle handle);
/** One call may undo several mappings that lie side by side. */
void vmm_unmapped(CUdeviceptr address, uint64_t bytes);

#endif
