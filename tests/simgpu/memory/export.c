/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handles that another process can import. What is handed over is a small file that says where the memory lies in a
 * file of this process, which the importer opens by way of /proc: so the exporter has to live until then. From then on
 * the bytes are shared; they stay charged to the exporter, whose release ends them for both.
 */
#include "driver/handle.h"
#include "memory/vmm.h"
#include "stream/capture.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char magic[16] = "simgpu-export-1";

struct ticket {
    char magic[16];
    int32_t pid, file, device; /* its index */
    uint64_t offset, size;
};

static CUresult ticket_write(const struct ticket *ticket, int *fd)
{
    *fd = memfd_create("simgpu-export", MFD_CLOEXEC);
    if (*fd < 0)
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (pwrite(*fd, ticket, sizeof *ticket, 0) == (ssize_t)sizeof *ticket)
        return CUDA_SUCCESS;
    close(*fd);
    return CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult sim_cuMemExportToShareableHandle(void *out, CUmemGenericAllocationHandle handle,
                                          CUmemAllocationHandleType type, unsigned long long flags)
{
    const struct physical *physical = (const struct physical *)handle;
    struct ticket ticket = {.pid = getpid()};
    CUresult result;
    int fd;

    if (!out || flags || type != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    if (!handle_is(physical, HANDLE_PHYSICAL) || !(physical->prop.requestedHandleTypes & type))
        return sim_leave(CUDA_ERROR_INVALID_VALUE);
    memcpy(ticket.magic, magic, sizeof magic);
    ticket.file = place_file(physical->place);
    ticket.device = physical->device->index;
    ticket.offset = place_offset(physical->place);
    ticket.size = physical->size;
    result = ticket_write(&ticket, &fd);
    if (result == CUDA_SUCCESS)
        *(int *)out = fd;
    return sim_leave(result);
}

CUresult sim_cuMemImportFromShareableHandle(CUmemGenericAllocationHandle *handle, void *shared,
                                            CUmemAllocationHandleType type)
{
    struct physical *physical = NULL;
    struct ticket ticket;
    char path[64];
    uint64_t place;
    int fd;

    if (!handle || type != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR ||
        pread((int)(intptr_t)shared, &ticket, sizeof ticket, 0) != (ssize_t)sizeof ticket ||
        memcmp(ticket.magic, magic, sizeof magic) != 0 || !device_of(ticket.device))
        return CUDA_ERROR_INVALID_VALUE;
    snprintf(path, sizeof path, "/proc/%d/fd/%d", ticket.pid, ticket.file);
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    place = place_import(fd, ticket.offset);
    if (place)
        physical = physical_import(device_of(ticket.device), place, ticket.size);
    if (!physical && place)
        place_forget(place);
    else if (!physical)
        close(fd);
    if (physical)
        *handle = (uintptr_t)physical;
    return sim_leave(physical ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY);
}
