/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices: capacity, physical memory, links.
 *
 * Physical memory is a sparse file in memory per device and one for host-located memory. An extent of it is
 * never used twice, so that its offset names it for good; what it holds is given back by punching a hole. A
 * *place* is a physical address over all of them: the file's number from 1 in the upper 16 bits, the offset
 * below; host memory of the program is its own address (file 0).
 */
#ifndef SIMGPU_DEVICE_H
#define SIMGPU_DEVICE_H

#include "options.h"
#include "sim.h"

enum {
    GRANULE = 2 << 20,
    SM_COUNT = 132
};
enum {
    DEVICE_HOST = -1
}; /* where a store or memory is the host's */

/* What physical memory is used for. */
enum store {
    STORE_HOST, /* host-located handles; all others lie on the device */
    STORE_NATIVE,
    STORE_MANAGED,
    STORE_POOL,
    STORE_ARRAY,
    STORE_PHYSICAL, /* handles of cuMemCreate */
    STORE_GRAPH,
    STORE_COUNT
};

struct usage {
    size_t device_bytes, host_bytes;
};

struct pool;

struct device {
    int ordinal;
    struct usage used, peak;    /* host_bytes: host-located handles created with this device current */
    size_t stores[STORE_COUNT]; /* bytes of used, by what for */
    struct context *primary;    /* NULL until first retained or configured */
    unsigned primary_flags;
    uint64_t link_free_ns[2]; /* when the link is free again: to the device, from it */
    struct pool *default_pool, *pool;
};

extern struct device devices[DEVICES_MAX];
extern int device_count;

/* Creates the devices. CUDA_SUCCESS, or why there are none. */
CUresult device_start(void);

/* Charges and takes bytes (a multiple of the page size) on the device or, for a host-located handle, on the
 * host. */
CUresult device_take(struct device *device, enum store store, size_t bytes, uint64_t *place);

/* Counts bytes of a store on the device again, or on the host alone. Returns whether they are on the device now: they
 * stay where they are if it has no room. */
bool device_move(struct device *device, enum store store, size_t bytes, bool is_away, bool to_device);

/* Gives back what device_take took. The bytes are gone when the lock is next released. */
void device_give(struct device *device, enum store store, size_t bytes, uint64_t place);

/* The file and offset of a place that device_take gave. */
int place_file(uint64_t place);
size_t place_offset(uint64_t place);

/* A place in a file of another process, of which this process has a descriptor from now on. 0 when there are too many. */
uint64_t place_import(int fd, size_t offset);

/* The end of what place_import gave: closes the descriptor. */
void place_forget(uint64_t place);

/* Makes put-aside holes; called by sim_unlock after the lock has been released. */
struct hole;
struct hole *device_holes(void);
void hole_free(struct hole *holes);

/* Bytes in use on a device, for the simulated libnvidia-ml beside us. Any thread, without the lock. */
__attribute__((visibility("default"))) size_t simgpu_used_bytes(int ordinal);

/* Device of an ordinal, or NULL. */
struct device *device_at(CUdevice ordinal);

/* When a transfer of that many bytes that starts now has used its share of the link. Reserves it. */
uint64_t device_link(struct device *device, bool from_device, size_t bytes);

#endif
