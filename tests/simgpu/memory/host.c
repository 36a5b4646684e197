/* SPDX-License-Identifier: Apache-2.0 */
/* Pinned host memory: allocated by the driver, or the program's own and registered. Devices use it at the
 * same address. */
#include "memory/host.h"

#include "device/context.h"
#include "stream/capture.h"
#include "stream/hazard.h"
#include "stream/op.h"

#include <sys/mman.h>
#include <unistd.h>

static const size_t page = 4096;

static size_t round_up(size_t bytes)
{
    return (bytes + page - 1) & ~(page - 1);
}

static size_t pinned[MEMORY_REGISTERED + 1];

size_t host_bytes(enum memory_kind kind)
{
    return pinned[kind];
}

/* The pages that it touches. */
static size_t pages_of(const struct memory *memory)
{
    return round_up(memory->start + memory->size) - (memory->start & ~(page - 1));
}

static struct memory *pinned_add(uintptr_t start, size_t bytes, enum memory_kind kind, unsigned flags)
{
    struct memory *memory = memory_add(start, bytes, kind, DEVICE_HOST, start);

    if (memory) {
        memory->context = context_current();
        memory->flags = flags;
        pinned[kind] += pages_of(memory);
        memory->read_only = kind == MEMORY_REGISTERED && flags & CU_MEMHOSTREGISTER_READ_ONLY;
    }
    return memory;
}

uint64_t host_pin_ns(size_t bytes)
{
    return options.pin_gbps > 0 ? (uint64_t)((double)bytes / options.pin_gbps) : 0;
}

/* Unlocks; who has pinned waits until that is done, and nobody else does. */
static CUresult pin_leave(CUresult result, uint64_t started_ns, size_t bytes)
{
    sim_unlock();
    if (result == CUDA_SUCCESS)
        sleep_until(started_ns + host_pin_ns(bytes));
    return result;
}

static CUresult allocate(void **address, size_t bytes, unsigned flags)
{
    const unsigned known =
        CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP | CU_MEMHOSTALLOC_WRITECOMBINED;
    uint64_t started_ns = now_ns();
    CUresult result;
    void *start;

    if (!address || !bytes || flags & ~known)
        return CUDA_ERROR_INVALID_VALUE;
    if (bytes > SIZE_MAX - page)
        return CUDA_ERROR_OUT_OF_MEMORY;
    sim_lock();
    result = capture_forbid();
    if (result != CUDA_SUCCESS)
        return sim_leave(result);
    start = mmap(NULL, round_up(bytes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED)
        return sim_leave(CUDA_ERROR_OUT_OF_MEMORY);
    if (!pinned_add((uintptr_t)start, bytes, MEMORY_PINNED, flags)) {
        munmap(start, round_up(bytes));
        return sim_leave(CUDA_ERROR_OUT_OF_MEMORY);
    }
    *address = start;
    return pin_leave(CUDA_SUCCESS, started_ns, bytes);
}

CUresult sim_cuMemHostAlloc(void **address, size_t bytes, unsigned flags)
{
    return allocate(address, bytes, flags);
}

CUresult sim_cuMemAllocHost_v2(void **address, size_t bytes)
{
    return allocate(address, bytes, CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP);
}

void host_give(struct memory *memory)
{
    hazard_lose(memory, memory->kind == MEMORY_PINNED ? "freed" : "unregistered");
    if (memory->kind == MEMORY_PINNED)
        munmap((void *)memory->start, round_up(memory->size));
    pinned[memory->kind] -= pages_of(memory);
    memory_remove(memory);
}

CUresult sim_cuMemFreeHost(void *address)
{
    struct memory *memory;
    struct device *device;
    CUresult result;

    if (!address)
        return CUDA_SUCCESS;
    sim_lock();
    result = capture_forbid();
    memory = memory_exact((uintptr_t)address, MEMORY_PINNED);
    if (result == CUDA_SUCCESS && !memory)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result != CUDA_SUCCESS)
        return sim_leave(result);
    device = memory->context->device;
    op_drain(NULL, device);
    op_observe_device(device);
    if (context_current()->sticky != CUDA_SUCCESS)
        return sim_leave(context_current()->sticky);
    if (memory_exact((uintptr_t)address, MEMORY_PINNED) != memory)
        return sim_leave(CUDA_ERROR_INVALID_VALUE); /* another thread was first */
    host_give(memory);
    return sim_leave(CUDA_SUCCESS);
}

static bool overlaps(uintptr_t start, size_t bytes)
{
    const struct memory *memory = memory_after(start);

    return memory && memory->start < start + bytes;
}

CUresult sim_cuMemHostRegister_v2(void *address, size_t bytes, unsigned flags)
{
    const unsigned known =
        CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP | CU_MEMHOSTREGISTER_READ_ONLY;
    uintptr_t start = (uintptr_t)address;
    uint64_t started_ns = now_ns();
    CUresult result;

    if (!address || !bytes || flags & ~known || start + bytes < start)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    result = capture_forbid();
    if (result == CUDA_SUCCESS && overlaps(start, bytes))
        result = CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
    if (result == CUDA_SUCCESS && !pinned_add(start, bytes, MEMORY_REGISTERED, flags))
        result = CUDA_ERROR_OUT_OF_MEMORY;
    return pin_leave(result, started_ns, bytes);
}

CUresult sim_cuMemHostUnregister(void *address)
{
    struct memory *memory;
    CUresult result;

    sim_lock();
    result = capture_forbid();
    memory = memory_exact((uintptr_t)address, MEMORY_REGISTERED);
    if (result == CUDA_SUCCESS && !memory)
        result = CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
    if (result == CUDA_SUCCESS)
        host_give(memory);
    return sim_leave(result);
}

static struct memory *pinned_find(const void *address)
{
    struct memory *memory = memory_find((uintptr_t)address);

    return memory && (memory->kind == MEMORY_PINNED || memory->kind == MEMORY_REGISTERED) ? memory : NULL;
}

CUresult sim_cuMemHostGetDevicePointer_v2(CUdeviceptr *device, void *address, unsigned flags)
{
    CUresult result = CUDA_ERROR_INVALID_VALUE;

    if (!device || flags)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    if (pinned_find(address)) {
        *device = (uintptr_t)address;
        result = CUDA_SUCCESS;
    }
    return sim_leave(result);
}

CUresult sim_cuMemHostGetFlags(unsigned *flags, void *address)
{
    const struct memory *memory;

    if (!flags)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    memory = pinned_find(address);
    if (memory)
        *flags = memory->flags;
    return sim_leave(memory ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE);
}
