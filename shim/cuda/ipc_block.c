/* SPDX-License-Identifier: Apache-2.0 */
/* ipc_block.c - see ipc_block.h. */
#include "cuda/ipc_block.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/lock.h"
#include "base/log.h"
#include "base/table.h"
#include "cuda/contexts.h"
#include "cuda/driver_memory.h"
#include "cuda/pins.h"

_Static_assert(sizeof(struct ipc_name) <= sizeof(CUipcMemHandle), "a name fits a handle");

/* A block of another process, by its address here. */
struct opened {
    uint64_t block, token; /* whose */
    uint64_t bytes;
    uint32_t opens;
};

static struct table opened = TABLE_INIT(struct opened);
static struct table exported = TABLE_INIT(struct pin); /* by address: which block there is pinned */

/* For the thread of ipc_server.c. */
static int share(const struct ipc_name *name, unsigned index, struct ipc_piece *out)
{
    struct block_info block;

    if (core_find(name->address, &block) || block.base != name->address || block.id != name->id)
        return -ENOENT;
    return core_share(name->address, index, &out->bytes, &out->fd);
}

/* Once for each block: the pin goes with it. */
static int pin(const struct block_info *block)
{
    struct pin known = {0};

    if (table_get(&exported, block->base, &known) && known.block_id == block->id)
        return 0;
    int error = pin_take(block->base, PIN_EXPORTED, &known);

    return error ? error : table_put(&exported, block->base, &known);
}

static bool is_shareable(uint64_t address)
{
    uint64_t bytes;
    int fd;

    if (core_share(address, 0, &bytes, &fd))
        return false;
    close(fd);
    return true;
}

CUresult ipc_block_export(const struct block_info *block, CUipcMemHandle *out)
{
    struct ipc_name name;

    if (pin(block))
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (!is_shareable(block->base) || ipc_export(block->base, block->id, block->bytes, share, &name)) {
        log_line(
            LOG_WARN,
            "cuIpcGetMemHandle: a block of %llu bytes cannot be shared with another process here; let the "
            "driver allocate it: EBBTIDE_MIN_BLOCK=%llu or more",
            (unsigned long long)block->bytes, (unsigned long long)block->bytes + 1);
        return CUDA_ERROR_NOT_SUPPORTED;
    }
    *out = (CUipcMemHandle){0};
    memcpy(out, &name, sizeof(name));
    return CUDA_SUCCESS;
}

/* Map one piece and let its descriptor go. */
static CUresult map_piece(CUdeviceptr address, const struct ipc_piece *piece)
{
    CUmemGenericAllocationHandle handle;
    CUresult result = real.cuMemImportFromShareableHandle(&handle, (void *)(intptr_t)piece->fd,
                                                          CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR);

    close(piece->fd);
    if (result != CUDA_SUCCESS)
        return result;
    result = real.cuMemMap(address, piece->bytes, 0, handle, 0);
    real.cuMemRelease(handle); /* the mapping holds the memory */
    return result;
}

static void unmap(CUdeviceptr address, uint64_t bytes)
{
    real.cuMemUnmap(address, bytes);
    real.cuMemAddressFree(address, bytes);
}

/* All pieces side by side at a new address, for the current device. */
static CUresult map_all(const struct ipc_piece *piece, unsigned count, unsigned ordinal,
                        CUdeviceptr *out_address, uint64_t *out_bytes)
{
    const CUmemAccessDesc access = {.location = {CU_MEM_LOCATION_TYPE_DEVICE, (int)ordinal},
                                    .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    uint64_t bytes = 0, mapped = 0;
    CUdeviceptr address = 0;
    unsigned i = 0;

    for (unsigned j = 0; j < count; j++)
        bytes += piece[j].bytes;
    CUresult result = real.cuMemAddressReserve(&address, bytes, 0, 0, 0);

    for (; result == CUDA_SUCCESS && i < count; i++) {
        result = map_piece(address + mapped, &piece[i]);
        mapped += result == CUDA_SUCCESS ? piece[i].bytes : 0;
    }
    for (; i < count; i++)
        close(piece[i].fd);
    if (result == CUDA_SUCCESS)
        result = real.cuMemSetAccess(address, bytes, &access, 1);
    if (result == CUDA_SUCCESS) {
        *out_address = address;
        *out_bytes = bytes;
        return result;
    }
    if (mapped)
        real.cuMemUnmap(address, mapped);
    if (address)
        real.cuMemAddressFree(address, bytes);
    return result;
}

/* Opened before: the same address, once more. */
static bool open_again(const struct ipc_name *name, CUdeviceptr *out)
{
    struct table_copy copy;
    bool found = false;

    if (table_copy(&opened, &copy))
        return false;
    for (uint32_t i = 0; !found && i < copy.count; i++) {
        const struct opened *known = table_copy_record(&copy, i);

        if (known->token != name->token || known->block != name->id)
            continue;
        table_lock(&opened);
        struct opened *now = table_find(&opened, table_copy_key(&copy, i));

        found = now && now->token == name->token && now->block == name->id;
        if (found)
            now->opens++;
        table_unlock(&opened);
        *out = found ? table_copy_key(&copy, i) : *out;
    }
    table_copy_free(&copy);
    return found;
}

CUresult ipc_block_open(const struct ipc_name *name, CUdeviceptr *out)
{
    static struct lock opening =
        LOCK_INIT(LOCK_IPC_OPENING); /* for the list, which is too long for a stack */
    static struct ipc_piece piece[IPC_PIECES_MAX];
    struct opened record = {.block = name->id, .token = name->token, .opens = 1};
    struct place place;

    if (!contexts_here(&place))
        return CUDA_ERROR_INVALID_CONTEXT;
    if (name->pid == getpid())
        return CUDA_ERROR_INVALID_CONTEXT; /* as the driver says of a handle of its own process */
    lock_acquire(&opening);
    if (open_again(name, out)) {
        lock_release(&opening);
        return CUDA_SUCCESS;
    }
    int count = ipc_import(name, piece, IPC_PIECES_MAX);
    CUresult result = CUDA_ERROR_INVALID_VALUE;

    if (count > 0)
        result = map_all(piece, (unsigned)count, place.ordinal, out, &record.bytes);
    else
        log_line(LOG_WARN, "cuIpcOpenMemHandle: process %d does not hand its block over: %s", (int)name->pid,
                 strerrordesc_np(-count));
    if (result == CUDA_SUCCESS) {
        const struct driver_memory root = {
            .bytes = name->bytes, .class = CLASS_NATIVE, .ordinal = place.ordinal, .context = place.context};

        table_put(&opened, *out, &record);
        driver_memory_add(DRIVER_MEMORY, *out, &root);
    }
    lock_release(&opening);
    return result;
}

CUresult ipc_block_close(__typeof__(cuIpcCloseMemHandle) *next, CUdeviceptr address)
{
    struct opened record = {0};
    struct driver_memory removed;

    table_lock(&opened);
    struct opened *known = table_find(&opened, address);
    bool is_ours = known;

    if (is_ours && --known->opens == 0) {
        record = *known;
        table_remove(&opened, address);
    }
    table_unlock(&opened);
    if (is_ours && !record.bytes)
        return CUDA_SUCCESS;
    driver_memory_remove(DRIVER_MEMORY, address, &removed);
    if (!is_ours)
        return next(address);
    CUresult result = real.cuCtxSynchronize(); /* what still uses it has to end first */

    unmap(address, record.bytes);
    return result;
}
