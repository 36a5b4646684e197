/* SPDX-License-Identifier: Apache-2.0 */
#include "stream/work.h"

#include "code/module.h"
#include "graph/exec.h"
#include "machine/shared_event.h"
#include "managed/managed.h"
#include "memory/pool.h"
#include "stream/fault.h"
#include "stream/memop.h"
#include "stream/op.h"
#include "stream/stream.h"

#include <stdlib.h>
#include <string.h>

bool work_copy(const struct work *from, struct work *to)
{
    struct work copy = *from;

    if (from->kind == WORK_PREFETCH || from->kind == WORK_FREE || from->kind == WORK_EVENT ||
        from->kind == WORK_GRAPH)
        return false;
    if (from->kind == WORK_KERNEL) {
        copy.kernel.buffer = malloc(from->kernel.buffer_bytes + 1);
        if (!copy.kernel.buffer)
            return false;
        memcpy(copy.kernel.buffer, from->kernel.buffer, from->kernel.buffer_bytes);
    }
    if (from->kind == WORK_MEMOP) {
        copy.memop.list = malloc(from->memop.count * sizeof *from->memop.list);
        if (!copy.memop.list)
            return false;
        memcpy(copy.memop.list, from->memop.list, from->memop.count * sizeof *from->memop.list);
    }
    *to = copy;
    return true;
}

void work_finish(struct work *work)
{
    if (work->kind == WORK_KERNEL)
        free(work->kernel.buffer);
    else if (work->kind == WORK_COPY)
        free(work->copy.staged);
    else if (work->kind == WORK_MEMOP)
        free(work->memop.list);
    else if (work->kind == WORK_EVENT)
        shared_event_drop(work->event.event);
    else if (work->kind == WORK_GRAPH)
        exec_drop(work->exec);
    work->kind = WORK_EMPTY;
}

const struct work *work_node(const struct work *work, unsigned node)
{
    return work->kind == WORK_GRAPH ? &work->exec->steps[node].work : work;
}

const char *work_label(const struct work *work)
{
    switch (work->kind) {
    case WORK_KERNEL:
        return function_name(work->kernel.function);
    case WORK_COPY:
        return "a copy";
    case WORK_SET:
        return "a set";
    case WORK_MEMOP:
        return "a memory operation";
    case WORK_HOST:
        return "a host function";
    case WORK_PREFETCH:
        return "a prefetch";
    case WORK_FREE:
        return "a free";
    case WORK_EVENT:
        return "an event";
    case WORK_GRAPH:
        return "a graph";
    case WORK_EMPTY:
        return "an order point";
    }
    return "work";
}

size_t plane_span(const struct plane *plane, size_t width, size_t height, size_t depth)
{
    return width && height && depth ? (depth - 1) * plane->slice + (height - 1) * plane->pitch + width : 0;
}

size_t set_span(const struct set_work *set)
{
    size_t width = set->width * set->element;

    return width && set->height ? (set->height - 1) * set->pitch + width : 0;
}

/* Names [start, start + size) piece by piece. Rows survive only where one object holds them all. */
static CUresult name_span(struct op *op, unsigned node, uintptr_t start, size_t size, size_t pitch,
                          size_t width, bool write)
{
    uintptr_t at = start, end = start + size;

    while (at < end) {
        struct memory *memory = memory_after(at);
        uintptr_t stop = end;
        struct op_name name = {.node = node};
        CUresult result;

        if (memory && memory->start > at) {
            stop = memory->start < end ? memory->start : end;
            memory = NULL;
        } else if (memory && memory->start + memory->size < end) {
            stop = memory->start + memory->size;
        }
        name.name =
            (struct name){memory, memory ? memory->place + (at - memory->start) : at, stop - at, write};
        if (at == start && stop == end && width < pitch) {
            name.pitch = pitch;
            name.width = width;
        }
        result = op_name(op, &name);
        if (result != CUDA_SUCCESS)
            return result;
        at = stop;
    }
    return CUDA_SUCCESS;
}

static CUresult name_plane(struct op *op, unsigned node, const struct copy_work *copy,
                           const struct plane *plane, bool write)
{
    bool rows = copy->height > 1 && plane->pitch && (copy->depth == 1 || plane->slice % plane->pitch == 0);

    return name_span(op, node, plane->base, plane_span(plane, copy->width, copy->height, copy->depth),
                     rows ? plane->pitch : 0, copy->width, write);
}

/* Every aligned word of the parameters that is an address the driver knows names the whole object there. */
static CUresult name_kernel(struct op *op, unsigned node, const struct kernel_work *kernel)
{
    CUresult result = CUDA_SUCCESS;

    for (size_t at = 0; at + 8 <= kernel->buffer_bytes && result == CUDA_SUCCESS; at += 8) {
        struct op_name name = {.node = node, .whole = true};
        uintptr_t word;

        memcpy(&word, kernel->buffer + at, sizeof word);
        name.name.memory = memory_find(word);
        if (!name.name.memory)
            continue;
        name.name.place = name.name.memory->place;
        name.name.size = name.name.memory->size;
        result = op_name(op, &name);
    }
    return result;
}

static CUresult name_memop(struct op *op, unsigned node, const struct memop_work *memop)
{
    CUresult result = CUDA_SUCCESS;

    for (unsigned i = 0; i < memop->count && result == CUDA_SUCCESS; i++)
        if (memop_bytes(&memop->list[i]))
            result = name_span(op, node, memop->list[i].waitValue.address, memop_bytes(&memop->list[i]), 0, 0,
                               memop_writes(&memop->list[i]));
    return result;
}

CUresult work_name(const struct work *work, struct op *op, unsigned node)
{
    CUresult result;

    switch (work->kind) {
    case WORK_KERNEL:
        return name_kernel(op, node, &work->kernel);
    case WORK_COPY:
        result =
            work->copy.staged ? CUDA_SUCCESS : name_plane(op, node, &work->copy, &work->copy.from, false);
        return result != CUDA_SUCCESS ? result : name_plane(op, node, &work->copy, &work->copy.to, true);
    case WORK_SET:
        return name_span(op, node, work->set.to, set_span(&work->set),
                         work->set.height > 1 ? work->set.pitch : 0, work->set.width * work->set.element,
                         true);
    case WORK_MEMOP:
        return name_memop(op, node, &work->memop);
    case WORK_PREFETCH:
        return name_span(op, node, work->prefetch.start, work->prefetch.bytes, 0, 0, false);
    case WORK_GRAPH:
        return exec_name(work->exec, op);
    case WORK_EMPTY:
    case WORK_HOST:
    case WORK_FREE:
    case WORK_EVENT:
        return CUDA_SUCCESS;
    }
    return CUDA_SUCCESS;
}

static void host_call(const struct host_work *host, struct op *op)
{
    if (host->function)
        host->function(host->data);
    else
        host->callback(host->stream, op->context->sticky, host->data);
}

CUresult work_run(const struct work *work, struct op *op)
{
    switch (work->kind) {
    case WORK_KERNEL:
    case WORK_COPY:
    case WORK_SET:
    case WORK_MEMOP:
        return fault_guard(work, op);
    case WORK_HOST:
        host_call(&work->host, op);
        return CUDA_SUCCESS;
    case WORK_PREFETCH:
        managed_prefetch(&work->prefetch);
        return CUDA_SUCCESS;
    case WORK_FREE:
        pool_free(work->freed);
        return CUDA_SUCCESS;
    case WORK_EVENT:
        if (work->event.is_wait)
            shared_event_wait(work->event.event, work->event.number);
        else
            shared_event_complete(work->event.event, work->event.number);
        return CUDA_SUCCESS;
    case WORK_GRAPH:
        return exec_run(work->exec, op);
    case WORK_EMPTY:
        return CUDA_SUCCESS;
    }
    return CUDA_SUCCESS;
}
