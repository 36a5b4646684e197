/* SPDX-License-Identifier: Apache-2.0 */
#include "memory/import.h"

#include "memory/memory.h"
#include "memory/space.h"
#include "stream/capture.h"
#include "stream/op.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char magic[8] = "simgpu-m";

/* What is in a handle. */
struct ticket {
    char magic[8];
    int32_t pid, file, device; /* its index */
    uint32_t unused;
    uint64_t offset, size, id;
};

_Static_assert(sizeof(struct ticket) <= sizeof(CUipcMemHandle), "it has to fit");

/* What was opened: granules that are mapped, and the memory in them. */
struct import {
    struct import *next;
    struct ticket ticket;
    struct memory *memory;
    uintptr_t start;
    size_t bytes;
    uint64_t place; /* of the first granule */
    unsigned times;
};

static struct import *imports; /* under the lock */

CUresult sim_cuIpcGetMemHandle(CUipcMemHandle *handle, CUdeviceptr address)
{
    struct ticket ticket = {.pid = getpid()};
    const struct memory *memory;

    if (!handle)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    memory = memory_find(address);
    if (!memory || memory->kind != MEMORY_NATIVE)
        return sim_leave(CUDA_ERROR_INVALID_VALUE);
    memcpy(ticket.magic, magic, sizeof magic);
    ticket.file = place_file(memory->place);
    ticket.device = devices[memory->device].index;
    ticket.offset = place_offset(memory->place);
    ticket.size = memory->size;
    ticket.id = memory->id;
    memset(handle, 0, sizeof *handle);
    memcpy(handle, &ticket, sizeof ticket);
    return sim_leave(CUDA_SUCCESS);
}

static void forget(struct import *import)
{
    if (import->start) {
        space_unmap(import->start, import->bytes);
        space_give(import->start);
    }
    if (import->place)
        place_forget(import->place);
    free(import);
}

/* Maps it for the current context. NULL when memory is out. Takes the file. */
static struct import *map(const struct ticket *ticket, const struct device *device, int file)
{
    uint64_t first = ticket->offset & ~(uint64_t)(GRANULE - 1);
    struct import *import = calloc(1, sizeof *import);

    if (import) {
        import->ticket = *ticket;
        import->times = 1;
        import->bytes = (ticket->offset - first + ticket->size + GRANULE - 1) & ~(size_t)(GRANULE - 1);
        import->place = place_import(file, first);
    }
    if (!import || !import->place)
        close(file);
    if (!import)
        return NULL;
    if (import->place && space_take(import->bytes, 0, 0, false, &import->start) == CUDA_SUCCESS &&
        space_map(import->start, import->bytes, import->place) == CUDA_SUCCESS &&
        space_protect(import->start, import->bytes, PROT_READ | PROT_WRITE) == CUDA_SUCCESS)
        import->memory = memory_add(import->start + (ticket->offset - first), ticket->size, MEMORY_IMPORTED,
                                    device->ordinal, import->place + (ticket->offset - first));
    if (import->memory) {
        import->memory->context = context_current();
        return import;
    }
    forget(import);
    return NULL;
}

/* What the current context has opened of it already. */
static struct import *opened(const struct ticket *ticket)
{
    struct import *import = imports;

    while (import && (memcmp(&import->ticket, ticket, sizeof *ticket) != 0 ||
                      import->memory->context != context_current()))
        import = import->next;
    return import;
}

CUresult sim_cuIpcOpenMemHandle_v2(CUdeviceptr *address, CUipcMemHandle handle, unsigned flags)
{
    struct ticket ticket;
    struct import *import;
    char path[64];
    CUresult result;
    int file;

    memcpy(&ticket, &handle, sizeof ticket);
    if (!address || flags != CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS ||
        memcmp(ticket.magic, magic, sizeof magic) != 0 || !device_of(ticket.device))
        return CUDA_ERROR_INVALID_VALUE;
    if (ticket.pid == getpid())
        return CUDA_ERROR_INVALID_CONTEXT;
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)ticket.pid, (int)ticket.file);
    file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    result = capture_forbid();
    import = result == CUDA_SUCCESS ? opened(&ticket) : NULL;
    if (import || result != CUDA_SUCCESS) {
        close(file);
        if (import)
            import->times++;
    } else {
        import = map(&ticket, device_of(ticket.device), file);
        if (import) {
            import->next = imports;
            imports = import;
        } else {
            result = CUDA_ERROR_OUT_OF_MEMORY;
        }
    }
    if (result == CUDA_SUCCESS)
        *address = import->memory->start;
    return sim_leave(result);
}

/* Nobody uses it any more. */
static void end(struct import **link)
{
    struct import *import = *link;

    *link = import->next;
    memory_remove(import->memory);
    forget(import);
}

static struct import **find(CUdeviceptr address)
{
    struct import **link = &imports;

    while (*link && (*link)->memory->start != address)
        link = &(*link)->next;
    return link;
}

CUresult sim_cuIpcCloseMemHandle(CUdeviceptr address)
{
    struct import **link;
    struct device *device;
    CUresult result;

    sim_lock();
    result = capture_forbid();
    link = find(address);
    if (result == CUDA_SUCCESS && !*link)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result != CUDA_SUCCESS)
        return sim_leave(result);
    device = (*link)->memory->context->device;
    op_drain(NULL, device);
    op_observe_device(device);
    link = find(address);
    if (!*link)
        return sim_leave(CUDA_ERROR_INVALID_VALUE); /* another thread was first */
    if (!--(*link)->times)
        end(link);
    return sim_leave(CUDA_SUCCESS);
}

void import_clear(struct context *context)
{
    for (struct import **link = &imports; *link;) {
        if ((*link)->memory->context == context)
            end(link);
        else
            link = &(*link)->next;
    }
}
