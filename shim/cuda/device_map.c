/* SPDX-License-Identifier: Apache-2.0 */
/* Address space, physical memory, and what is mapped where for whom. */
#include "cuda/device_cuda.h"

#include <errno.h>
#include <stdatomic.h>

#include "base/table.h"
#include "engine/core.h"

struct mapped {
    uint64_t bytes;
    unsigned ordinal; /* whose memory; UNGRANTED: nobody has access yet */
};

enum {
    UNGRANTED = DEVICE_MAX
};

/* Every piece that is mapped now, so that a new peer can be let in. */
static struct table pieces = TABLE_INIT(struct mapped);
/* Bit p of peers[owner]: device p reaches the memory of owner. */
static _Atomic uint32_t peers[DEVICE_MAX];
/* Bit p of copiers[owner]: a stream of device p was given a copy of memory of owner, which needs no access. */
static _Atomic uint32_t copiers[DEVICE_MAX];
/* Bit p of pool_peers[owner]: a pool of owner lets device p in. */
static _Atomic uint32_t pool_peers[DEVICE_MAX];

static uint64_t arena_base;
static uint64_t arena_bytes;

int device_map_alias(uint64_t bytes, uint64_t *out_address)
{
    CUdeviceptr base = 0;
    int error = device_cuda_error(QUIETLY(real.cuMemAddressReserve(&base, bytes, GRANULE_BYTES, 0, 0)));

    if (!error)
        *out_address = base;
    return error;
}

int device_map_reserve(IGNORED struct device *self, uint64_t bytes, uint64_t *out_base)
{
    int error = device_map_alias(bytes, out_base);

    if (!error && bytes > arena_bytes) {
        arena_base = *out_base;
        arena_bytes = bytes;
    }
    return error;
}

bool device_map_in_arena(uint64_t address)
{
    return address - arena_base < arena_bytes;
}

void device_map_unreserve(IGNORED struct device *self, uint64_t base, uint64_t bytes)
{
    QUIETLY(real.cuMemAddressFree(base, bytes));
    if (base == arena_base)
        arena_bytes = 0;
}

int device_map_create_as(unsigned ordinal, const struct device_kind *kind, uint64_t bytes,
                         uint64_t *out_handle)
{
    CUmemAllocationProp prop = {
        .type = CU_MEM_ALLOCATION_TYPE_PINNED,
        .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = (int)ordinal},
        .requestedHandleTypes =
            kind->is_shareable ? CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR : CU_MEM_HANDLE_TYPE_NONE,
        .allocFlags.gpuDirectRDMACapable = kind->has_rdma,
    };
    CUmemGenericAllocationHandle handle = 0;
    int error = device_cuda_error(QUIETLY(real.cuMemCreate(&handle, bytes, &prop, 0)));

    if (!error)
        *out_handle = handle;
    return error;
}

int device_map_create(IGNORED struct device *self, unsigned ordinal, uint64_t bytes, uint64_t *out_handle)
{
    const struct device_kind kind = device_probe_kind(ordinal);

    return device_map_create_as(ordinal, &kind, bytes, out_handle);
}

int device_map_share(IGNORED struct device *self, uint64_t handle, int *out_fd)
{
    if (!real.cuMemExportToShareableHandle)
        return -ENOTSUP;
    return device_cuda_error(QUIETLY(
        real.cuMemExportToShareableHandle(out_fd, handle, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0)));
}

int device_map_release(IGNORED struct device *self, uint64_t handle)
{
    return device_cuda_error(QUIETLY(device_cuda_release(handle)));
}

int device_map_map(IGNORED struct device *self, uint64_t address, uint64_t bytes, uint64_t handle)
{
    struct mapped piece = {bytes, UNGRANTED};
    int error = table_put(&pieces, address, &piece);

    if (error)
        return error;
    error = device_cuda_error(QUIETLY(real.cuMemMap(address, bytes, 0, handle, 0)));
    if (error)
        table_take(&pieces, address, &piece);
    return error;
}

int device_map_unmap(IGNORED struct device *self, uint64_t address, uint64_t bytes)
{
    struct mapped piece;
    int error = device_cuda_error(QUIETLY(real.cuMemUnmap(address, bytes)));

    for (uint64_t at = address; !error && at - address < bytes && table_take(&pieces, at, &piece);)
        at += piece.bytes;
    return error;
}

static uint32_t reachers_of(unsigned ordinal)
{
    return atomic_load_explicit(&peers[ordinal], memory_order_acquire) |
           atomic_load_explicit(&pool_peers[ordinal], memory_order_acquire) | 1u << ordinal;
}

uint32_t device_map_reachers(IGNORED struct device *self, unsigned ordinal)
{
    return reachers_of(ordinal);
}

uint32_t device_map_users(IGNORED struct device *self, unsigned ordinal)
{
    return reachers_of(ordinal) | atomic_load_explicit(&copiers[ordinal], memory_order_acquire);
}

void device_cuda_copies(unsigned ordinal, unsigned owner)
{
    if (ordinal < DEVICE_MAX && owner < DEVICE_MAX)
        atomic_fetch_or_explicit(&copiers[owner], 1u << ordinal, memory_order_acq_rel);
}

static CUresult set_access(unsigned ordinal, uint64_t address, uint64_t bytes)
{
    CUmemAccessDesc access[DEVICE_MAX];
    size_t count = 0;
    uint32_t mask = reachers_of(ordinal);

    for (unsigned i = 0; i < contexts_device_count(); i++)
        if (mask >> i & 1)
            access[count++] = (CUmemAccessDesc){
                .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = (int)i},
                .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE,
            };
    return real.cuMemSetAccess(address, bytes, access, count);
}

/* The pieces of a range are a device's from now on. */
static void note_owner(uint64_t address, uint64_t bytes, unsigned ordinal)
{
    struct mapped *piece;

    table_lock(&pieces);
    for (uint64_t at = address; at - address < bytes && (piece = table_find(&pieces, at)); at += piece->bytes)
        piece->ordinal = ordinal;
    table_unlock(&pieces);
}

int device_map_grant(IGNORED struct device *self, unsigned ordinal, uint64_t address, uint64_t bytes)
{
    int error;

    /* First into the table: a peer that is let in between the two finds the range or is in the mask. */
    note_owner(address, bytes, ordinal);
    error = device_cuda_error(QUIETLY(set_access(ordinal, address, bytes)));
    if (error)
        note_owner(address, bytes, UNGRANTED);
    return error;
}

bool device_cuda_lets_in(unsigned owner, unsigned ordinal)
{
    return ordinal == owner || owner >= DEVICE_MAX || ordinal >= DEVICE_MAX ||
           reachers_of(owner) >> ordinal & 1;
}

bool device_cuda_reaches(unsigned ordinal, unsigned owner)
{
    /* Without an arena of mappings blocks are managed memory, which everybody reaches. */
    return !arena_bytes || device_cuda_lets_in(owner, ordinal);
}

/* Let a peer in to every block there, or not any more. */
static void grant_all(unsigned owner, unsigned peer, bool enabled)
{
    struct table_copy copy;
    CUmemAccessDesc closed = {
        .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = (int)peer},
        .flags = CU_MEM_ACCESS_FLAGS_PROT_NONE,
    };

    if (table_copy(&pieces, &copy))
        return;
    CUstreamCaptureMode mode = quiet_begin();

    /* A range that is unmapped meanwhile fails here and gets the new mask when it is granted again. */
    for (uint32_t i = 0; i < copy.count; i++) {
        const struct mapped *piece = table_copy_record(&copy, i);

        if (piece->ordinal != owner)
            continue;
        if (enabled)
            set_access(owner, table_copy_key(&copy, i), piece->bytes);
        else
            real.cuMemSetAccess(table_copy_key(&copy, i), piece->bytes, &closed, 1);
    }
    quiet_end(mode);
    table_copy_free(&copy);
}

/* Those who reach it are others than before. */
static void grant_changed(unsigned owner, uint32_t before)
{
    uint32_t after = reachers_of(owner);

    for (unsigned peer = 0; peer < contexts_device_count(); peer++)
        if ((before ^ after) >> peer & 1)
            grant_all(owner, peer, after >> peer & 1);
}

/* Who reaches memory changes in a user section that has to do with every device: nobody is let in to what moves while
 * launches of theirs, which had nothing to do with it, pass the gate. False: no section was to be had. */
static bool change_begin(struct use *use)
{
    use_init(use, false);
    return use_begin(use) == 0;
}

static void change_end(struct use *use, bool is_inside)
{
    if (is_inside)
        use_end(use);
}

void device_cuda_peer(unsigned owner, unsigned peer, bool enabled)
{
    struct use use;
    uint32_t before;
    bool is_inside;

    if (owner >= DEVICE_MAX || peer >= DEVICE_MAX || owner == peer)
        return;
    is_inside = change_begin(&use);
    before = reachers_of(owner);
    if (enabled)
        atomic_fetch_or_explicit(&peers[owner], 1u << peer, memory_order_acq_rel);
    else
        atomic_fetch_and_explicit(&peers[owner], ~(1u << peer), memory_order_acq_rel);
    grant_changed(owner, before);
    change_end(&use, is_inside);
}

void device_cuda_pool_peers(unsigned owner, uint32_t reachers)
{
    struct use use;
    bool is_inside = change_begin(&use);
    uint32_t before = reachers_of(owner);

    atomic_store_explicit(&pool_peers[owner], reachers & ~(1u << owner), memory_order_release);
    grant_changed(owner, before);
    change_end(&use, is_inside);
}
