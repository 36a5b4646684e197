/* SPDX-License-Identifier: Apache-2.0 */
/*
 * device_managed.c - struct device on managed memory, for drivers without virtual memory management.
 *
 * A block is one cuMemAllocManaged, reachable by every device and the CPU wherever its pages are. There is no
 * physical memory to hold in hand, so a handle only names a place: where the pages of the range that it is mapped at
 * belong. map tells the driver (preferred location), a copy to or from host memory sends the pages (prefetch).
 *
 * The driver may move pages by itself when it has no room for them; that the budget lies below what the device has
 * keeps it from having to. Semantics: CUDA C Programming Guide, "Unified Memory" (devices with
 * concurrentManagedAccess), and cuMemAdvise and cuMemPrefetchAsync of the driver API.
 */
#include "cuda/device_cuda.h"

#include <errno.h>
#include <stdatomic.h>

#include "base/log.h"
#include "base/table.h"
#include "cuda/managed_advice.h"

/* Names of places: device i is i + 1. */
#define HOST_HANDLE ((uint64_t)DEVICE_MAX + 1)

/* Stand-in for host memory where a transfer wants an address: no processor has addresses like it. */
#define HOST_ALIAS ((uint64_t)1 << 62)

/* Ranges that begin behind the start of what the driver gave, which was not aligned; to that start. */
struct given {
    CUdeviceptr start;
};

static struct table shifted = TABLE_INIT(struct given);

static int allocate(uint64_t bytes, CUdeviceptr *out)
{
    int error = device_cuda_error(QUIETLY(real.cuMemAllocManaged(out, bytes, CU_MEM_ATTACH_GLOBAL)));

    return error == -EIO ? -ENOMEM : error;
}

static void release(CUdeviceptr start)
{
    if (QUIETLY(real.cuMemFree_v2(start)) != CUDA_SUCCESS &&
        QUIETLY(real.cuMemFree_v2(start)) != CUDA_SUCCESS)
        log_line(LOG_WARN, "managed memory at %llx could not be given back", (unsigned long long)start);
}

/* Pages take memory once they are touched, so what lies before the first whole granule costs nothing. */
static int place_shifted(uint64_t bytes, uint64_t *out_address)
{
    struct given given;
    int error = allocate(bytes + GRANULE_BYTES, &given.start);
    uint64_t address;

    if (error)
        return error;
    address = (given.start + GRANULE_BYTES - 1) / GRANULE_BYTES * GRANULE_BYTES;
    error = table_put(&shifted, address, &given);
    if (error)
        release(given.start);
    else
        *out_address = address;
    return error;
}

static int device_place(IGNORED struct device *self, IGNORED unsigned ordinal, IGNORED uint64_t context,
                        uint64_t bytes, uint64_t *out_address)
{
    CUdeviceptr start;
    int error = allocate(bytes, &start);

    if (error)
        return error;
    if (start % GRANULE_BYTES) {
        release(start);
        return place_shifted(bytes, out_address);
    }
    *out_address = start;
    return 0;
}

/* With its context the memory is gone, and its address may be somebody else's. */
static void device_unplace(IGNORED struct device *self, uint64_t context, uint64_t address,
                           IGNORED uint64_t bytes)
{
    struct given given = {.start = address};
    struct entered entered;
    unsigned ordinal;

    table_take(&shifted, address, &given);
    if (!contexts_ordinal_of((CUcontext)(uintptr_t)context, &ordinal) || context_enter(ordinal, &entered))
        return;
    release(given.start);
    context_leave(&entered);
}

static int device_release(IGNORED struct device *self, IGNORED uint64_t handle)
{
    return 0;
}

static int device_share(IGNORED struct device *self, IGNORED uint64_t handle, IGNORED int *out_fd)
{
    return -ENOTSUP;
}

static int device_host_token(IGNORED struct device *self, uint64_t bytes, IGNORED bool mappable,
                             struct host_memory *out)
{
    *out = (struct host_memory){.handle = HOST_HANDLE, .alias = HOST_ALIAS, .bytes = bytes};
    return 0;
}

static void device_host_untoken(IGNORED struct device *self, IGNORED struct host_memory *memory) {}

/* To the host, or to the device. */
static int send(unsigned ordinal, uint64_t address, uint64_t bytes, bool leaves)
{
    CUdevice to = leaves ? CU_DEVICE_CPU : contexts_device(ordinal);
    struct entered entered;
    int error = context_enter(ordinal, &entered);

    if (error)
        return error == -ENOTSUP ? -EIO : error;
    error = device_cuda_error(
        real.cuMemPrefetchAsync(address, bytes, to, entered.stream[leaves ? STREAM_OUT : STREAM_IN]));
    context_leave(&entered);
    return error;
}

/* Mapped memory is there from the start, as cudaMalloc's is, so the driver's free memory is the limit where no budget
 * is. The driver would make room by itself, of pages that it chooses. */
static int device_create(struct device *self, unsigned ordinal, uint64_t bytes, uint64_t *out_handle)
{
    uint64_t free_bytes, total_bytes;

    if (!device_copied(self, ordinal, WAYS) &&
        !device_cuda_memory(self, ordinal, &free_bytes, &total_bytes) && free_bytes < bytes)
        return -ENOMEM;
    *out_handle = ordinal + 1;
    return 0;
}

static int advise(uint64_t address, uint64_t bytes, CUmem_advise advice, CUdevice device)
{
    return device_cuda_error(QUIETLY(real.cuMemAdvise(address, bytes, advice, device)));
}

static int device_belong(IGNORED struct device *self, uint64_t address, uint64_t bytes, uint64_t handle)
{
    unsigned ordinal = (unsigned)handle - 1;
    int error;

    if (handle == HOST_HANDLE)
        return advise(address, bytes, CU_MEM_ADVISE_SET_PREFERRED_LOCATION, CU_DEVICE_CPU);
    error = advise(address, bytes, CU_MEM_ADVISE_SET_PREFERRED_LOCATION, contexts_device(ordinal));
    /* The device keeps its mapping of what goes to the host: a kernel reaches it there and does not pull it back. */
    error = error ? error : advise(address, bytes, CU_MEM_ADVISE_SET_ACCESSED_BY, contexts_device(ordinal));
    return error ? error : send(ordinal, address, bytes, false);
}

static int device_stay(IGNORED struct device *self, IGNORED uint64_t address, IGNORED uint64_t bytes)
{
    return 0;
}

static int device_grant(struct device *self, IGNORED unsigned ordinal, uint64_t address, uint64_t bytes)
{
    return device_stay(self, address, bytes);
}

static int device_send(IGNORED struct device *self, unsigned ordinal, uint64_t to, uint64_t from,
                       uint64_t bytes)
{
    return to >= HOST_ALIAS ? send(ordinal, from, bytes, true) : send(ordinal, to, bytes, false);
}

/* Managed memory is everybody's. */
static uint32_t device_reachers(struct device *self, IGNORED unsigned ordinal)
{
    return (uint32_t)((UINT64_C(1) << self->count) - 1);
}

static struct device managed = {
    .host_mappable = true,
    .place = device_place,
    .unplace = device_unplace,
    .create = device_create,
    .release = device_release,
    .share = device_share,
    .host_create = device_host_token,
    .host_destroy = device_host_untoken,
    .map = device_belong,
    .unmap = device_stay,
    .grant = device_grant,
    .copy = device_send,
    .zero = device_zero,
    .confine = managed_advice_confine,
    .send_home = managed_advice_send_home,
    .copied = device_copied,
    .drain = device_drain,
    .rested = device_rested,
    .reachers = device_reachers,
    .users = device_reachers,
    .memory = device_cuda_memory,
    .roots = device_roots,
    .now_ns = device_now_ns,
};

static uint32_t find_floating(void)
{
    uint32_t devices = 0;

    for (unsigned i = 0; i < contexts_device_count(); i++) {
        int is_concurrent = 0;

        if (real.cuDeviceGetAttribute(&is_concurrent, CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS,
                                      contexts_device(i)) == CUDA_SUCCESS &&
            is_concurrent)
            devices |= UINT32_C(1) << i;
    }
    return devices;
}

uint32_t device_managed_floating(void)
{
    static _Atomic uint32_t known; /* and a bit that no device has */

    if (!known)
        known = find_floating() | UINT32_C(1) << DEVICE_MAX;
    return known & ~(UINT32_C(1) << DEVICE_MAX);
}

void device_managed_rooted(void)
{
    static atomic_bool is_said;

    if (!atomic_exchange_explicit(&is_said, true, memory_order_relaxed))
        log_line(
            LOG_WARN,
            "managed memory takes its room on the device when it is allocated, as the driver has it where "
            "concurrentManagedAccess is 0: it is accounted, and does not move");
}

int device_managed_init(struct device **out)
{
    if (!real.cuMemAllocManaged || !real.cuMemPrefetchAsync || !real.cuMemAdvise)
        return -ENOTSUP;
    managed.count = contexts_device_count();
    managed.floating = device_managed_floating();
    if (managed.floating != (uint32_t)((UINT64_C(1) << managed.count) - 1))
        return -ENOTSUP;
    *out = &managed;
    return 0;
}
