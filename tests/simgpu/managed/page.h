/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages of managed memory: 2 MiB each, in extents, and which processors hold each of them: none, until something uses
 * it or asks for it; one; or several, as copies to read from. All bytes lie in the host's file, so that a page is the
 * same wherever it is held: who holds it is state. It counts, and a transfer of it takes time.
 *
 * A processor is a device's ordinal, or DEVICE_HOST. A device holds its pages in the order in which they last came or were
 * asked for, and gives the oldest away where room is needed: the driver sees faults, and not the uses of what is there
 * (NVIDIA's open kernel modules, uvm_pmm_gpu.c: a chunk goes to the end of the list when it is allocated).
 *
 * Source: CUDA programming guide, "Unified memory programming" (data migration, oversubscription), and cuda.h at
 * cuMemAllocManaged, cuMemPrefetchAsync and cuMemAdvise.
 */
#ifndef SIMGPU_PAGE_H
#define SIMGPU_PAGE_H

#include "device/device.h"

enum {
    PAGE_BYTES = GRANULE,
    NOWHERE = -2 /* no processor */
};

struct page;

/* Where a page is on one device: its place among the device's pages, by last fault. */
struct residence {
    struct residence *older, *newer;
    struct page *page;
    uint64_t used_at; /* a count of faults and prefetches, over all devices */
};

struct page {
    struct residence on[DEVICES_MAX];
    struct device *owner;                /* of whose context it is: pages on the host count there */
    unsigned held;                       /* bit 0: the host; bit n + 1: device n */
    unsigned accessed_by;                /* the same, as advised */
    bool read_mostly;                    /* as advised */
    CUmemLocation preferred, prefetched; /* as advised and as asked for last; type INVALID: neither */
};

/* Pages of one extent, one after the other. */
struct page_run {
    struct page *first;
    size_t count;
};

/*
 * Pages for an extent, held by nobody. Without concurrent managed access they are the owner's from the start, and
 * stay. CUDA_ERROR_OUT_OF_MEMORY. Removal takes them from whoever holds them.
 */
CUresult page_add(struct device *owner, uintptr_t start, size_t bytes);
void page_remove(uintptr_t start);

/* The pages that [start, start + bytes) touches; none if no extent contains it. */
struct page_run page_find(uintptr_t start, size_t bytes);

/* Which processor a location means; NOWHERE for an invalid one. */
int page_processor(const CUmemLocation *location);

/* Who holds it: the device if it does, else any holder, else NOWHERE. */
int page_holder(const struct page *page, const struct device *device);

/*
 * The device uses the page: that many bytes of it. What nobody holds is populated where it is preferred, or on the
 * device; what another holds is used over the link where advice says so, else it comes to the device. *until_ns grows
 * to when the link has carried it all.
 */
void page_use(struct page *page, struct device *device, bool write, size_t bytes, uint64_t *until_ns);

/* Pages that are asked for at a processor come there as far as there is room besides each other. */
void page_fetch(struct page_run run, int processor, uint64_t *until_ns);

/* Makes one of several copies, where it is preferred if there is one. */
void page_collapse(struct page *page);

/* Charges bytes to a store of the device, which gives pages to the host, the oldest first, until there is room. False:
 * there is none. */
bool page_charge(struct device *device, enum store store, size_t bytes, uint64_t *until_ns);

/* Bytes of the range that the processor holds. Any thread, without the lock. */
__attribute__((visibility("default"))) size_t simgpu_managed_bytes(CUdeviceptr start, size_t bytes,
                                                                   int ordinal);

#endif
