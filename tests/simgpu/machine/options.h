/* SPDX-License-Identifier: Apache-2.0 */
/* The SIMGPU_ variables, read once at the first call into the driver. Read-only afterwards. */
#ifndef SIMGPU_OPTIONS_H
#define SIMGPU_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    DEVICES_MAX = 16,
    NODES_MAX = 8
};

/* SIMGPU_HOST_NUMA: which host-located handles may be created. */
enum host_numa {
    HOST_NUMA_NONE,
    HOST_NUMA_ALL,
    HOST_NUMA_ANYWHERE /* those that name no node */
};

/* Mapping calls. */
enum vmm_call {
    VMM_CREATE,
    VMM_MAP,
    VMM_ACCESS,
    VMM_UNMAP,
    VMM_RELEASE,
    VMM_CALLS
};

struct options {
    bool valid;          /* false: a value could not be understood (one line said which); cuInit then fails */
    size_t memory_bytes; /* SIMGPU_MEMORY: capacity of each device */
    int devices;         /* SIMGPU_DEVICES */
    double link_gbps;    /* SIMGPU_LINK_GBPS: 10^9 bytes per second and direction; 0 = no limit */
    double zero_copy_gbps;      /* SIMGPU_ZEROCOPY_GBPS: the same for what devices use in host memory */
    double pin_gbps;            /* SIMGPU_PIN_GBPS: 10^9 bytes per second that a call pins; 0 = no limit */
    uint64_t kernel_ns;         /* SIMGPU_KERNEL_NS: least duration of a kernel */
    double kernel_scale;        /* SIMGPU_KERNEL_SCALE: a kernel takes what it says it does, times this */
    uint64_t fault_ns;          /* SIMGPU_FAULT_NS: of a page of managed memory, beside what the link takes */
    uint64_t vmm_ns[VMM_CALLS]; /* SIMGPU_VMM_NS: least duration of each */
    enum host_numa host_numa;
    int nodes;               /* SIMGPU_NODES: of the machine's memory */
    size_t node_bytes;       /* SIMGPU_NODE_MEMORY: what handles may take of each; SIZE_MAX = no limit */
    bool host_needs_context; /* SIMGPU_HOST_NEEDS_CONTEXT: and used only while every device has a context */
    bool rdma_refused;       /* SIMGPU_RDMA=refuse: no access to what was created for GPUDirect RDMA */
    bool pageable;           /* SIMGPU_PAGEABLE: devices may use what malloc gave out */
    bool managed;            /* SIMGPU_MANAGED: devices and the CPU may use managed memory at the same time */
    bool vmm;                /* SIMGPU_VMM: there is virtual memory management */
    int driver_version;      /* SIMGPU_DRIVER_VERSION: 13000 is 13.0 */
    int capability;          /* SIMGPU_COMPUTE_CAPABILITY of each device: 90 is 9.0 */
    bool hide_tensors;       /* SIMGPU_HIDE_TENSORS: the address is not readable in a tensor map */
    bool stuck;              /* SIMGPU_STUCK: asynchronous work never completes */
    size_t scratch_bytes;    /* SIMGPU_SCRATCH: of the heap, that a new stream takes for a moment */
    bool cancel;             /* SIMGPU_CANCEL: every entry is a point at which a thread can be cancelled */
    const char *fail;        /* SIMGPU_FAIL, or NULL */
    const char *ptx;         /* SIMGPU_PTX, or NULL */
    const char *report;      /* SIMGPU_REPORT, or NULL */
    const char *shared;      /* SIMGPU_SHARED, or NULL */
};

extern struct options options;

void options_read(void);

#endif
