/* SPDX-License-Identifier: Apache-2.0 */
/*
 * device_cuda.h - struct device on the real driver.
 *
 * Files    device_cuda.c  start, probe, memory figures        device_map.c    reserve, create, map, grant, peers
 *          device_host.c  host memory that blocks go to       device_copy.c   private copies
 *          device_nodes.c on which node of the machine
 *          device_drain.c waiting for all work                device_roots.c  where kernels could find pointers
 *          device_probe.c what memory the driver lets us map
 *          device_scan.c  looking for pointers on the device  device_managed.c  the same device on managed memory
 *
 * Whether host memory can be mapped at a block's address is found by doing it: create, map and grant before the first
 * block of a device, in its context: some drivers want one, and what the process does not use is to be brought up by
 * nobody. A copy and a kernel are tried when the first block is about to leave. Some drivers crash in
 * cuMemCreate on a machine that has a memory node without memory: there it is not tried unless
 * EBBTIDE_RESIDENCY=mapped asks for it. The probe runs in this process: a helper would need a second context, which
 * costs a real device hundreds of megabytes.
 */
#ifndef EBB_DEVICE_CUDA_H
#define EBB_DEVICE_CUDA_H

#include "base/compiler.h"
#include "cuda/contexts.h"
#include "tier/device.h"

struct options;

/** Fill the device of this process. After a successful cuInit. `*out` lives as long as the process.
 *  -ENOTSUP: a driver without what blocks need. */
int device_cuda_init(const struct options *options, struct device **out);

/** True when the driver lets us map memory of the device, and use it. Tried at the first call, in the current context: before
 *  the device's first block. False, said once: its memory is the driver's affair. Not while anything is locked. */
bool device_cuda_maps(unsigned ordinal);

/** Find out, before the first block of a device, whether host memory can be mapped for it, and tell the core; once more when
 *  a new context has followed a "no". In a context of the device; not while anything is locked. */
void device_cuda_host_ready(unsigned ordinal);

/** Who may do what with memory: bit p, device p may read it; bit DEVICE_MAX + p, and write. */
static inline uint32_t device_reach(uint32_t devices)
{
    return devices | devices << DEVICE_MAX;
}

/** A reach with what the program grants; what is no device's is left out. */
uint32_t device_reach_granted(uint32_t reach, const CUmemAccessDesc *grants, size_t count);
/** What a reach allows a device. */
CUmemAccess_flags device_reach_flags(uint32_t reach, unsigned ordinal);

/** True when that device may touch what of `owner` lies at an address in a block: it is the owner, or was let in. */
bool device_cuda_reaches(unsigned ordinal, unsigned owner, uint64_t address);

/** What the program has allowed that device with memory of `owner` at an address. */
CUmemAccess_flags device_cuda_access(unsigned owner, uint64_t address, unsigned ordinal);

/** A stream of `ordinal` is about to be given work on blocks of `owner` which needs no access of its device: a copy, or a
 *  graph with nodes on others. Before the call, and no later than in its user section. */
void device_cuda_copies(unsigned ordinal, unsigned owner);

/** The devices that any pool of `owner` lets in, bits by ordinal: its memory is in use by them, too. */
void device_cuda_pool_peers(unsigned owner, uint32_t reachers);

/** Handles of the program's of `owner` are reached so, too: for good, since others may be. */
void device_cuda_handle_peers(unsigned owner, uint32_t reach);

/** The block of `owner` at an address, which the program has just got, or which moves about, is reached so; 0: as what is out
 *  of no pool. Waits for what moves where that is news. */
void device_cuda_let_in(unsigned owner, uint64_t address, uint32_t reach);

/** A peer may or may no longer reach the memory of `owner` that is out of no pool: it is granted anew. Waits for what moves. */
void device_cuda_peer(unsigned owner, unsigned peer, bool enabled);

/** A context has been taken out of use and is about to be destroyed: what was pinned in it is pinned in another. */
void device_host_context_gone(CUcontext context);
/** A context is there: pin what is pinned in none. */
void device_host_context_new(void);

/* Between the files. */

/** The device of EBBTIDE_ALLOCATOR=managed. -ENOTSUP: no prefetch, or pages that cannot move while they are in use. */
int device_managed_init(struct device **out);
/** Devices whose pages of managed memory move while others use them, bits by ordinal: not on Windows, nor before Pascal. */
uint32_t device_managed_floating(void);
/** The program has allocated such memory on a device that does not: said once. */
void device_managed_rooted(void);

/** A call of ours that does no harm to a capture that others have open. */
#define QUIETLY(call)                                                                                        \
    ({                                                                                                       \
        CUstreamCaptureMode mode = quiet_begin();                                                            \
        CUresult answer = call;                                                                              \
                                                                                                             \
        quiet_end(mode);                                                                                     \
        answer;                                                                                              \
    })

/** One of our errors for one of the driver's. */
int device_cuda_error(CUresult result);
/** Give back for good: once more where that fails, since an error that passes must not cost the memory. */
CUresult device_cuda_release(CUmemGenericAllocationHandle handle);
CUresult device_cuda_unmap(CUdeviceptr address, size_t bytes);

int device_map_reserve(struct device *self, uint64_t bytes, uint64_t *out_base);
void device_map_unreserve(struct device *self, uint64_t base, uint64_t bytes);
int device_map_create(struct device *self, unsigned ordinal, uint64_t bytes, uint64_t *out_handle);

/** Abilities of a handle besides being mapped. */
struct device_kind {
    /** Any cudaMalloc memory may be exported later, and a handle is shareable from birth or not. */
    bool is_shareable;
    bool has_rdma; /**< cudaMalloc memory can be registered for RDMA, so ours must be */
};

/** The kind that all handles of a device are: the one that was tried, until then the first that the driver offers. */
struct device_kind device_probe_kind(unsigned ordinal);
int device_map_create_as(unsigned ordinal, const struct device_kind *kind, uint64_t bytes,
                         uint64_t *out_handle);
int device_map_share(struct device *self, uint64_t handle, int *out_fd);
int device_map_release(struct device *self, uint64_t handle);
int device_map_map(struct device *self, uint64_t address, uint64_t bytes, uint64_t handle);
int device_map_unmap(struct device *self, uint64_t address, uint64_t bytes);
int device_map_grant(struct device *self, unsigned ordinal, uint64_t address, uint64_t bytes);
/** Address space for one host alias. */
int device_map_alias(uint64_t bytes, uint64_t *out_address);
/** True for an address of the arena. */
bool device_map_in_arena(uint64_t address);

int device_host_create(struct device *self, uint64_t bytes, bool mappable, struct host_memory *out);
void device_host_destroy(struct device *self, struct host_memory *memory);
/** The device is about to use this address: where it lies in host memory of ours, it has access. */
int device_host_reach(unsigned ordinal, uint64_t address);
int device_probe_host(struct device *self, unsigned ordinal, const struct host_memory *memory);
/** True when it is worth trying whether host memory can be mapped. */
bool device_host_is_open(const struct options *options);

/** Makes mapped host memory in that place. -ENOMEM: there is none left. */
typedef int (*device_nodes_fn)(CUmemLocation location, void *arg);

/** Learn which places there are. Before the first device_nodes_each; more than once does no harm. */
void device_nodes_look(void);
/** Call `make` for one place after the other until it works: the node of the thread's device, the other nodes, no node in
 *  particular; of these, what was full the last time comes last. 0, -ENOMEM when some place was full, else what the first
 *  one said. */
int device_nodes_each(device_nodes_fn make, void *arg);
/** Memory went back: what was full may have room. */
void device_nodes_freed(void);

int device_copy(struct device *self, unsigned ordinal, uint64_t to, uint64_t from, uint64_t bytes);
int device_zero(struct device *self, unsigned ordinal, uint64_t address, uint64_t bytes);
int device_scan(struct device *self, unsigned ordinal, const struct scan *scan);
int device_copied(struct device *self, unsigned ordinal, unsigned ways);
int device_order(struct device *self, unsigned ordinal, void *stream);

int device_drain(struct device *self, uint32_t devices, uint64_t deadline_ns);
bool device_rested(struct device *self, unsigned ordinal);
uint32_t device_map_reachers(struct device *self, unsigned ordinal);
uint32_t device_map_users(struct device *self, unsigned ordinal);
unsigned device_runs_on(struct device *self, const void *stream);
int device_cuda_memory(struct device *self, unsigned ordinal, uint64_t *out_free_bytes,
                       uint64_t *out_total_bytes);
uint64_t device_now_ns(struct device *self);

/** Kernels read no memory but what the driver gave out, says the user. When the device starts. */
void device_roots_vouch(bool is_known);
int device_roots(struct device *self, bool cpu_writable_only, root_visit_fn visit, void *arg,
                 const char **out_why);

#endif
