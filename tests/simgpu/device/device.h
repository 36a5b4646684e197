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

#include "driver/sim.h"
#include "machine/options.h"

#include <stdatomic.h>

enum {
    GRANULE = 2 << 20,
    SM_COUNT = 132
};
enum {
    DEVICE_HOST = -1
}; /* where a store or memory is the host's */

/* What physical memory is used for. */
enum store {
    STORE_HOST, /* host-located handles */
    STORE_NATIVE,
    STORE_MANAGED, /* pages that it holds */
    STORE_POOL,
    STORE_ARRAY,
    STORE_PHYSICAL, /* handles of cuMemCreate */
    STORE_GRAPH,
    STORE_MANAGED_HOST, /* pages of its contexts that the host holds; this and STORE_HOST lie there, the rest here */
    STORE_COUNT
};

struct usage {
    size_t device_bytes, host_bytes;
};

/* Managed memory: what contexts of the device have allocated, and what happened to pages on it. */
struct managed_usage {
    size_t allocated_bytes;
    size_t prefetched_pages; /* came because they were asked for, */
    size_t faulted_pages;    /* because they were used, */
    size_t remote_pages;     /* did not come: used over the link */
    size_t evicted_pages;    /* left for lack of room */
};

/* What a device is at work with. */
enum {
    BUSY_WITH_KERNELS,
    BUSY_WITH_MEMORY,
    BUSY_KINDS
};

struct busy {
    unsigned running;
    uint64_t since_ns; /* 0: nothing runs */
    uint64_t total_ns; /* until then */
};

/* What took time by the options, whether anybody waited for it or not. */
enum spent {
    SPENT_TO_DEVICE, /* the link, by its ways */
    SPENT_FROM_DEVICE,
    SPENT_FAULTS, /* of managed memory, beside the link */
    SPENT_KERNELS,
    SPENT_MAPPING, /* calls that create, map, give access, unmap and release, with a context of the device current */
    SPENT_KINDS
};

struct pool;
struct residence;

struct device {
    int ordinal;
    int index; /* among those of the machine: machine/identity.h */
    struct usage used,
        peak; /* host_bytes: host-located handles created with this device current, managed pages */
    size_t stores[STORE_COUNT]; /* bytes of used, by what for */
    struct context *primary;    /* NULL until first retained or configured */
    unsigned primary_flags;
    uint64_t link_free_ns[2]; /* when the link is free again, by its ways */
    uint64_t faults_free_ns;  /* when the last fault of managed memory has been served */
    _Atomic uint64_t spent_ns[SPENT_KINDS];
    struct pool *default_pool, *pool;
    struct residence *oldest, *newest; /* managed pages that it holds, by their last fault */
    struct managed_usage managed;
    struct busy busy[BUSY_KINDS];
};

extern struct device devices[DEVICES_MAX];
extern int device_count;

/* Creates the devices. CUDA_SUCCESS, or why there are none. */
CUresult device_start(void);

/* Counts bytes of a store as used, or no longer. False: nothing is left of the device for it. The host has no limit. */
bool device_charge(struct device *device, enum store store, size_t bytes);
void device_credit(struct device *device, enum store store, size_t bytes);

/* Bytes that nobody uses on the device, other processes that share it included. */
size_t device_room(const struct device *device);

/*
 * Charges and takes bytes (a multiple of the page size) on the device or, for a host-located handle, on the host.
 * Managed pages make room for it.
 */
CUresult device_take(struct device *device, enum store store, size_t bytes, uint64_t *place);

/* Gives back what device_take took. The bytes are gone when the lock is next released. */
void device_give(struct device *device, enum store store, size_t bytes, uint64_t place);

/* The same without counting: bytes in a device's file or, with DEVICE_HOST, in the host's. */
CUresult place_take(int ordinal, size_t bytes, uint64_t *place);
void place_give(size_t bytes, uint64_t place);

/* The file and offset of a place that device_take gave. */
int place_file(uint64_t place);
size_t place_offset(uint64_t place);

/* A place in a file of another process, whose descriptor is ours from now on. 0 when there are too many files. */
uint64_t place_import(int fd, size_t offset);

/* The end of what place_import gave: the file closes with the last place in it. */
void place_forget(uint64_t place);

/* Makes put-aside holes; called by sim_unlock after the lock has been released. */
struct hole;
struct hole *device_holes(void);
void hole_free(struct hole *holes);

/* Bytes that this process uses on a device. Any thread, without the lock. */
__attribute__((visibility("default"))) size_t simgpu_used_bytes(int ordinal);

/* Whether this process has a context on the device of that index, the bytes that it uses there, and how long it has been
 * at work until then: for the simulated libnvidia-ml beside us. Any thread, without the lock. */
__attribute__((visibility("default"))) bool simgpu_uses(int index, uint64_t at_ns, size_t *bytes,
                                                        uint64_t busy_ns[BUSY_KINDS]);

/* Counts time. Any thread. */
void device_spend(struct device *device, enum spent kind, uint64_t ns);

/* What was counted until now. Any thread, without the lock. */
__attribute__((visibility("default"))) uint64_t simgpu_spent_ns(int ordinal, int kind);

/* Device of an ordinal, or NULL. */
struct device *device_at(CUdevice ordinal);

/* The same of an index; NULL where CUDA_VISIBLE_DEVICES hides it. */
struct device *device_of(int index);

#endif
