/* SPDX-License-Identifier: Apache-2.0 */
/* Address space, physical memory, and what is mapped where for whom. */
#include "cuda/device_cuda.h"

#include <errno.h>
#include <stdatomic.h>

#include "base/pages.h"
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
/* Bit p of handle_peers[owner]: device p was let in to a handle of the program's. */
static _Atomic uint32_t handle_peers[DEVICE_MAX];
/* Of each granule of the arena the reach that a pool gives it, whatever peers the program has enabled; 0: no pool has it. NULL until
 * there is a pool. What was a pool's stays so here until somebody has it next. */
static _Atomic(_Atomic uint32_t *) pooled;

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
           atomic_load_explicit(&pool_peers[ordinal], memory_order_acquire) |
           atomic_load_explicit(&handle_peers[ordinal], memory_order_acquire) | 1u << ordinal;
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

static _Atomic uint32_t *pooled_at(uint64_t address)
{
    _Atomic uint32_t *of = atomic_load_explicit(&pooled, memory_order_acquire);

    return of && device_map_in_arena(address) ? &of[(address - arena_base) / GRANULE_BYTES] : NULL;
}

static uint32_t peer_reach(unsigned owner)
{
    return device_reach(atomic_load_explicit(&peers[owner], memory_order_acquire) | 1u << owner);
}

/* Who may do what with memory of a device that lies there. */
static uint32_t reach_at(unsigned owner, uint64_t address)
{
    const _Atomic uint32_t *own = pooled_at(address);
    uint32_t reach = own ? atomic_load_explicit(own, memory_order_acquire) : 0;

    return reach ? reach : peer_reach(owner);
}

CUmemAccess_flags device_reach_flags(uint32_t reach, unsigned ordinal)
{
    return reach >> (DEVICE_MAX + ordinal) & 1 ? CU_MEM_ACCESS_FLAGS_PROT_READWRITE
           : reach >> ordinal & 1              ? CU_MEM_ACCESS_FLAGS_PROT_READ
                                               : CU_MEM_ACCESS_FLAGS_PROT_NONE;
}

uint32_t device_reach_granted(uint32_t reach, const CUmemAccessDesc *grants, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bool is_device = grants[i].location.type == CU_MEM_LOCATION_TYPE_DEVICE &&
                         (unsigned)grants[i].location.id < DEVICE_MAX;
        uint32_t bit = is_device ? 1u << grants[i].location.id : 0;

        reach &= ~device_reach(bit);
        reach |= grants[i].flags & CU_MEM_ACCESS_FLAGS_PROT_READ ? bit : 0;
        reach |= grants[i].flags == CU_MEM_ACCESS_FLAGS_PROT_READWRITE ? device_reach(bit) : 0;
    }
    return reach;
}

/* Give a reach, and take away from those who had one. */
static CUresult set_reach(uint64_t address, uint64_t bytes, uint32_t reach, uint32_t had)
{
    CUmemAccessDesc access[DEVICE_MAX];
    size_t count = 0;

    for (unsigned i = 0; i < contexts_device_count(); i++)
        if ((reach | had) >> i & 1)
            access[count++] = (CUmemAccessDesc){
                .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = (int)i},
                .flags = device_reach_flags(reach, i),
            };
    return real.cuMemSetAccess(address, bytes, access, count);
}

static uint64_t piece_bytes(uint64_t address, uint64_t otherwise)
{
    struct mapped piece;

    return table_get(&pieces, address, &piece) ? piece.bytes : otherwise;
}

/* Pieces of a range that are reached alike are granted at once; each is of one block, and is reached as its beginning. */
static CUresult set_access(unsigned ordinal, uint64_t address, uint64_t bytes)
{
    uint64_t end = address + bytes;
    CUresult result = CUDA_SUCCESS;

    for (uint64_t at = address, next; result == CUDA_SUCCESS && at < end; at = next) {
        uint32_t reach = reach_at(ordinal, at);

        next = pooled_at(at) ? at + piece_bytes(at, end - at) : end;
        while (next < end && reach_at(ordinal, next) == reach)
            next += piece_bytes(next, end - next);
        result = set_reach(at, next - at, reach, 0);
    }
    return result;
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

CUmemAccess_flags device_cuda_access(unsigned owner, uint64_t address, unsigned ordinal)
{
    return owner >= DEVICE_MAX || ordinal >= DEVICE_MAX
               ? CU_MEM_ACCESS_FLAGS_PROT_READWRITE
               : device_reach_flags(reach_at(owner, address), ordinal);
}

bool device_cuda_reaches(unsigned ordinal, unsigned owner, uint64_t address)
{
    /* Without an arena of mappings blocks are managed memory, which everybody reaches. */
    return !arena_bytes || device_cuda_access(owner, address, ordinal) == CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
}

/* A driver that refuses may do so once. */
static void regrant(uint64_t address, uint64_t bytes, uint32_t reach, uint32_t had)
{
    if (set_reach(address, bytes, reach, had) != CUDA_SUCCESS)
        set_reach(address, bytes, reach, had);
}

/* Grant every block there anew that no pool has. */
static void grant_all(unsigned owner, uint32_t had)
{
    struct table_copy copy;
    uint32_t reach = peer_reach(owner);

    if (table_copy(&pieces, &copy))
        return;
    CUstreamCaptureMode mode = quiet_begin();

    /* A range that is unmapped meanwhile fails here and gets the new mask when it is granted again. */
    for (uint32_t i = 0; i < copy.count; i++) {
        const struct mapped *piece = table_copy_record(&copy, i);
        const _Atomic uint32_t *own = pooled_at(table_copy_key(&copy, i));

        if (piece->ordinal == owner && !(own && atomic_load_explicit(own, memory_order_acquire)))
            regrant(table_copy_key(&copy, i), piece->bytes, reach, had);
    }
    quiet_end(mode);
    table_copy_free(&copy);
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
    uint32_t had;
    bool is_inside;

    if (owner >= DEVICE_MAX || peer >= DEVICE_MAX || owner == peer)
        return;
    is_inside = change_begin(&use);
    had = peer_reach(owner);
    if (enabled)
        atomic_fetch_or_explicit(&peers[owner], 1u << peer, memory_order_acq_rel);
    else
        atomic_fetch_and_explicit(&peers[owner], ~(1u << peer), memory_order_acq_rel);
    if (peer_reach(owner) != had)
        grant_all(owner, had);
    change_end(&use, is_inside);
}

/* ---- pools: each block of one is reached by those that it lets in ------------------------------------------------ */

void device_cuda_pool_peers(unsigned owner, uint32_t reachers)
{
    atomic_store_explicit(&pool_peers[owner], reachers & ~(1u << owner), memory_order_release);
}

void device_cuda_handle_peers(unsigned owner, uint32_t reach)
{
    atomic_fetch_or_explicit(&handle_peers[owner], reach & ((1u << DEVICE_MAX) - 1) & ~(1u << owner),
                             memory_order_acq_rel);
}

/* Room to remember it. False: no memory. */
static bool pooled_make(void)
{
    size_t bytes = arena_bytes / GRANULE_BYTES * sizeof(uint32_t);
    _Atomic uint32_t *none = NULL, *made = pages_reserve(bytes);

    if (made && !atomic_compare_exchange_strong(&pooled, &none, made))
        pages_give(made, bytes);
    return made;
}

/* All granules of a block are reached so from now on; whoever reached any of them: bits as a reach. */
static uint32_t note_reach(unsigned owner, uint64_t address, uint64_t bytes, uint32_t reach)
{
    uint32_t had = 0;

    for (uint64_t at = address; at < address + bytes; at += GRANULE_BYTES) {
        had |= reach_at(owner, at);
        atomic_store_explicit(pooled_at(at), reach, memory_order_release);
    }
    return had;
}

static bool is_noted(uint64_t address, uint64_t bytes, uint32_t reach)
{
    for (uint64_t at = address; at < address + bytes; at += GRANULE_BYTES)
        if (atomic_load_explicit(pooled_at(at), memory_order_acquire) != reach)
            return false;
    return true;
}

/* What is not mapped now is granted when it is. */
static void grant_block(unsigned owner, uint64_t address, uint64_t bytes, uint32_t had)
{
    CUstreamCaptureMode mode = quiet_begin();
    struct mapped piece;

    for (uint64_t at = address; at < address + bytes; at += piece.bytes)
        if (!table_get(&pieces, at, &piece))
            piece.bytes = GRANULE_BYTES;
        else if (piece.ordinal == owner)
            regrant(at, piece.bytes, reach_at(owner, at), had);
    quiet_end(mode);
}

void device_cuda_let_in(unsigned owner, uint64_t address, uint32_t reach)
{
    struct block_info block;
    struct use use;
    uint32_t had;
    bool is_inside;

    if (contexts_device_count() < 2 || !arena_bytes ||
        (!atomic_load_explicit(&pooled, memory_order_acquire) && (!reach || !pooled_make())) ||
        core_find_block(address, &block) || is_noted(block.base, block.bytes, reach))
        return;
    is_inside = change_begin(&use);
    had = note_reach(owner, block.base, block.bytes, reach);
    if (had != reach_at(owner, block.base))
        grant_block(owner, block.base, block.bytes, had);
    change_end(&use, is_inside);
}
