/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A block: one device address for life, and what is mapped there, device or host memory. Both handles are kept, each
 * mapped at an alias too, as the design recycles them. Sizes in bytes. The caller drains before it swaps. One thread.
 */
#ifndef GPU_BLOCK_H
#define GPU_BLOCK_H

#include "measure.h"

enum place {
    PLACE_DEVICE,
    PLACE_HOST,
    PLACE_COUNT,
};

struct block {
    CUdeviceptr address; /* what the program has */
    size_t bytes;
    CUmemGenericAllocationHandle handles[PLACE_COUNT];
    CUdeviceptr aliases[PLACE_COUNT]; /* where each handle is mapped all the time */
    enum place place;                 /* what is mapped at `address` */
};

/* What one remap took, each call by itself, and all with what is between. */
struct block_times {
    uint64_t unmap_ns, map_ns, access_ns, dead_ns;
};

const char *place_name(enum place place);

/* Has blocks lie in host memory of this kind from now on: HOST_NUMA on the device's node, or HOST. What the driver says
 * if it refuses such handles; then nothing changes. */
CUresult block_host_use(CUdevice device, CUmemLocationType type);
const char *block_host_name(CUmemLocationType type);

/* Finds what the host tier uses here, HOST_NUMA or else HOST, unless that is settled. An error: the driver refuses
 * both. What makes a host handle does this first, and then ends the program with a verdict that contradicts. */
CUresult block_host_find(CUdevice device);

/* The granularity that fits device and host memory. */
size_t block_granularity(CUdevice device);

/* One handle; both kinds map at any address that block_reserve gives. */
CUresult block_handle(CUdevice device, enum place place, size_t bytes, CUmemGenericAllocationHandle *handle);
CUdeviceptr block_reserve(CUdevice device, size_t bytes);
/* Gives device 0 access to what is mapped there. */
CUresult block_grant(CUdeviceptr address, size_t bytes);
/* Maps the handle and gives device 0 access to it. */
CUresult block_map(CUdeviceptr address, size_t bytes, CUmemGenericAllocationHandle handle);

/* `bytes` rounded up to the granularity; lies on the device. Contents are what the driver gives. */
void block_create(struct block *block, CUdevice device, size_t bytes);
void block_destroy(struct block *block);

/* Copies the contents to the other place and waits; what the block lies on stays. */
void block_copy(struct block *block, enum place to, CUstream stream);

/* Exchanges what is mapped. `times` may be NULL. */
CUresult block_remap(struct block *block, enum place to, struct block_times *times);

/* Drain, copy, remap; an error ends the program. */
void block_move(struct block *block, enum place to);

/* Gives the place that the block is not on another handle, of other memory. */
void block_renew(struct block *block, CUdevice device);

#endif
