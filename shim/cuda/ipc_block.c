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

/* Of the offset in a name: what small allocations are aligned to. */
#define IPC_OFFSET_UNIT 512u

_Static_assert(sizeof(struct ipc_name) <= sizeof(CUipcMemHandle), "a name fits a handle");

/* A block of another process, by its address here. */
struct opened {
    uint64_t block, token; /* whose */
    uint64_t offset;       /* in what is mapped for it */
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
    name.offset = (uint16_t)(block->offset / IPC_OFFSET_UNIT);
    name.granules =
        block->offset || block->bytes < GRANULE_BYTES ? (uint16_t)(block->shared_bytes / GRANULE_BYTES) : 0;
    *out = (CUipcMemHandle){0};
    memcpy(out, &name, sizeof(name));
    return CUDA_SUCCESS;
}

/* A block of another process on its way here. */
struct import {
    CUdeviceptr address;
    uint64_t bytes, mapped; /* of all its pieces, and of those that are here */
    CUresult result;        /* of the driver's calls */
};

/* Map one piece behind those before it, and let its descriptor go. */
static int map_piece(const struct ipc_piece *piece, void *arg)
{
    struct import *import = arg;
    CUmemGenericAllocationHandle handle;

    import->result = real.cuMemImportFromShareableHandle(&handle, (void *)(intptr_t)piece->fd,
                                                         CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR);
    close(piece->fd);
    if (import->result != CUDA_SUCCESS)
        return -EIO;
    import->result = piece->bytes <= import->bytes - import->mapped
                         ? real.cuMemMap(import->address + import->mapped, piece->bytes, 0, handle, 0)
                         : CUDA_ERROR_INVALID_VALUE;
    real.cuMemRelease(handle); /* the mapping holds the memory */
    if (import->result != CUDA_SUCCESS)
        return -EIO;
    import->mapped += piece->bytes;
    return import->mapped < import->bytes;
}

static void unmap(CUdeviceptr address, uint64_t bytes)
{
    real.cuMemUnmap(address, bytes);
    real.cuMemAddressFree(address, bytes);
}

/* All pieces side by side at a new address, for the current device. */
static CUresult map_all(const struct ipc_name *name, unsigned ordinal, CUdeviceptr *out_address,
                        uint64_t *out_bytes)
{
    const CUmemAccessDesc access = {.location = {CU_MEM_LOCATION_TYPE_DEVICE, (int)ordinal},
                                    .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    uint64_t granules = name->granules ? name->granules : (name->bytes + GRANULE_BYTES - 1) / GRANULE_BYTES;
    struct import import = {.bytes = granules * GRANULE_BYTES};
    CUresult result = real.cuMemAddressReserve(&import.address, import.bytes, 0, 0, 0);

    if (result != CUDA_SUCCESS)
        return result;
    int error = ipc_import(name, map_piece, &import);

    result = import.result;
    if (error && result == CUDA_SUCCESS) {
        log_line(LOG_WARN, "cuIpcOpenMemHandle: process %d does not hand its block over: %s", (int)name->pid,
                 strerrordesc_np(-error));
        result = CUDA_ERROR_INVALID_VALUE;
    }
    if (result == CUDA_SUCCESS)
        result = real.cuMemSetAccess(import.address, import.bytes, &access, 1);
    if (result == CUDA_SUCCESS) {
        *out_address = import.address;
        *out_bytes = import.bytes;
        return result;
    }
    if (import.mapped)
        real.cuMemUnmap(import.address, import.mapped);
    real.cuMemAddressFree(import.address, import.bytes);
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
        LOCK_INIT(LOCK_IPC_OPENING); /* a block that two threads open has one address */
    struct opened record = {.block = name->id,
                            .token = name->token,
                            .offset = (uint64_t)name->offset * IPC_OFFSET_UNIT,
                            .opens = 1};
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
    CUresult result = map_all(name, place.ordinal, out, &record.bytes);

    if (result == CUDA_SUCCESS) {
        const struct driver_memory root = {.bytes = name->bytes,
                                           .class = CLASS_NATIVE,
                                           .why = STAY_IMPORTED,
                                           .ordinal = place.ordinal,
                                           .context = place.context};

        *out += record.offset;
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

    unmap(address - record.offset, record.bytes);
    return result;
}
