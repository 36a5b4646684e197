/* SPDX-License-Identifier: Apache-2.0 */
#include "managed/managed.h"

#include "device/context.h"
#include "managed/page.h"
#include "stream/submit.h"

struct page_run managed_find(CUdeviceptr start, size_t bytes)
{
    const struct memory *memory = memory_find(start);

    if (!memory || bytes > memory->start + memory->size - start)
        return (struct page_run){NULL, 0};
    return page_find(start, bytes);
}

CUmemLocation managed_location_of(CUdevice device)
{
    return device == CU_DEVICE_CPU ? (CUmemLocation){CU_MEM_LOCATION_TYPE_HOST, 0}
                                   : (CUmemLocation){CU_MEM_LOCATION_TYPE_DEVICE, device};
}

CUresult managed_location(CUmemLocation *location)
{
    switch (location->type) {
    case CU_MEM_LOCATION_TYPE_DEVICE:
        return options.managed && device_at(location->id) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
    case CU_MEM_LOCATION_TYPE_HOST:
        location->id = 0;
        return CUDA_SUCCESS;
    case CU_MEM_LOCATION_TYPE_HOST_NUMA:
        return location->id == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
    case CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT:
        *location = (CUmemLocation){CU_MEM_LOCATION_TYPE_HOST_NUMA, 0};
        return CUDA_SUCCESS;
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
}

int managed_holder(const struct memory *memory, uintptr_t at)
{
    struct page_run run = page_find(at, 1);

    return run.count ? page_holder(run.first, &devices[memory->device]) : memory->device;
}

void managed_use(const struct name *name, struct device *device, uint64_t *until_ns)
{
    const struct memory *memory = name->memory;
    uintptr_t at, end;

    if (!memory || memory->kind != MEMORY_MANAGED)
        return;
    at = memory->start + (name->place - memory->place);
    end = at + name->size;
    while (at < end) {
        uintptr_t next = (at + PAGE_BYTES) & ~(uintptr_t)(PAGE_BYTES - 1);
        struct page_run run = page_find(at, 1);

        if (next > end)
            next = end;
        if (run.count) /* not freed meanwhile */
            page_use(run.first, device, name->write, next - at, until_ns);
        at = next;
    }
}

static void wait_for_link(uint64_t until_ns)
{
    if (until_ns)
        sleep_until(until_ns);
}

static void use_named(const struct op *op, bool whole)
{
    const struct op_name *names;
    uint64_t until_ns = 0;
    size_t count;

    if (!op->is_paged)
        return;
    sim_lock();
    count = op_names(op, &names);
    for (size_t i = 0; i < count; i++)
        if (names[i].whole == whole && !(whole && op_declares(op, names[i].name.memory)))
            managed_use(&names[i].name, op->context->device, &until_ns);
    sim_unlock();
    wait_for_link(until_ns);
}

void managed_before(const struct op *op)
{
    use_named(op, false);
}

void managed_after(const struct op *op)
{
    use_named(op, true);
}

void managed_prefetch(const struct prefetch_work *prefetch)
{
    uint64_t until_ns = 0;

    sim_lock();
    page_fetch(page_find(prefetch->start, prefetch->bytes), prefetch->processor, &until_ns);
    sim_unlock();
    wait_for_link(until_ns);
}

/* A hint, but in stream order. What was asked for last is known from now on, as documented. */
static CUresult prefetch(CUdeviceptr start, size_t bytes, CUmemLocation to, CUstream handle)
{
    struct work work = {.kind = WORK_PREFETCH};
    CUresult result = managed_location(&to);
    struct stream *stream;
    struct page_run run;

    if (result == CUDA_SUCCESS && !options.managed)
        result = CUDA_ERROR_INVALID_DEVICE; /* the stream's */
    if (result != CUDA_SUCCESS)
        return result;
    sim_lock();
    result = stream_of(handle, &stream);
    run = managed_find(start, bytes);
    if (result == CUDA_SUCCESS && !run.count)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS) {
        work.prefetch = (struct prefetch_work){start, bytes, page_processor(&to)};
        result = submit(stream, &work, SUBMIT_ASYNC);
    }
    for (size_t i = 0; result == CUDA_SUCCESS && i < run.count; i++)
        run.first[i].prefetched = to;
    return sim_leave(result);
}

CUresult sim_cuMemPrefetchAsync(CUdeviceptr start, size_t bytes, CUdevice to, CUstream stream)
{
    return prefetch(start, bytes, managed_location_of(to), stream);
}

CUresult sim_cuMemPrefetchAsync_v2(CUdeviceptr start, size_t bytes, CUmemLocation to, unsigned flags,
                                   CUstream stream)
{
    return flags ? CUDA_ERROR_INVALID_VALUE : prefetch(start, bytes, to, stream);
}
