/* SPDX-License-Identifier: Apache-2.0 */
#include "memory/graph_memory.h"

#include "graph/exec.h"
#include "graph/graph.h"
#include "memory/pool.h"
#include "memory/space.h"
#include "stream/hazard.h"
#include "stream/op.h"

#include <stdlib.h>
#include <sys/mman.h>

struct graph_memory {
    struct graph_memory *next;
    struct memory *memory;
    CUDA_MEM_ALLOC_NODE_PARAMS params; /* without grants: they are in memory */
    struct device *device;
    size_t held_bytes;
    bool backed, live;
    unsigned instances; /* executable graphs that allocate it */
    unsigned refs;
    struct op *last; /* the latest launch that names it, or NULL */
};

/* Physical memory that waits for an allocation of its size. */
struct idle {
    struct idle *next;
    struct device *device;
    size_t bytes;
    uint64_t place;
};

static struct graph_memory *all;
static struct idle *idles;
static cuuint64_t used_high[DEVICES_MAX], reserved_high[DEVICES_MAX];

static cuuint64_t used_bytes(const struct device *device)
{
    cuuint64_t bytes = 0;

    for (const struct graph_memory *memory = all; memory; memory = memory->next)
        if (memory->device == device && memory->backed)
            bytes += memory->held_bytes;
    return bytes;
}

static void note_high(const struct device *device)
{
    cuuint64_t used = used_bytes(device), reserved = device->stores[STORE_GRAPH];
    int at = device->ordinal;

    used_high[at] = used > used_high[at] ? used : used_high[at];
    reserved_high[at] = reserved > reserved_high[at] ? reserved : reserved_high[at];
}

static void release_idle(const struct device *device)
{
    for (struct idle **link = &idles; *link;) {
        struct idle *idle = *link;

        if (idle->device != device) {
            link = &idle->next;
            continue;
        }
        *link = idle->next;
        device_give(idle->device, STORE_GRAPH, idle->bytes, idle->place);
        free(idle);
    }
}

static CUresult take_physical(struct device *device, size_t bytes, uint64_t *place)
{
    CUresult result;

    for (struct idle **link = &idles; *link; link = &(*link)->next) {
        struct idle *idle = *link;

        if (idle->device == device && idle->bytes == bytes) {
            *place = idle->place;
            *link = idle->next;
            free(idle);
            return CUDA_SUCCESS;
        }
    }
    result = device_take(device, STORE_GRAPH, bytes, place);
    if (result == CUDA_ERROR_OUT_OF_MEMORY) {
        release_idle(device);
        pool_trim_all(device);
        result = device_take(device, STORE_GRAPH, bytes, place);
    }
    return result;
}

static CUresult back(struct graph_memory *memory)
{
    uintptr_t start = memory->memory->start;
    CUresult result;
    uint64_t place;

    if (memory->backed)
        return CUDA_SUCCESS;
    result = take_physical(memory->device, memory->held_bytes, &place);
    if (result != CUDA_SUCCESS)
        return result;
    result = space_map(start, memory->held_bytes, place);
    if (result == CUDA_SUCCESS)
        result = space_protect(start, memory->held_bytes, PROT_READ | PROT_WRITE);
    if (result != CUDA_SUCCESS) {
        space_unmap(start, memory->held_bytes);
        device_give(memory->device, STORE_GRAPH, memory->held_bytes, place);
        return result;
    }
    memory->memory->place = place;
    memory->backed = true;
    note_high(memory->device);
    return CUDA_SUCCESS;
}

/* Takes the physical memory away: to wait for another allocation, or for good. */
static void unback(struct graph_memory *memory, bool keep)
{
    struct idle *idle = keep ? malloc(sizeof *idle) : NULL;

    if (!memory->backed) {
        free(idle);
        return;
    }
    hazard_lose(memory->memory, "trimmed");
    space_unmap(memory->memory->start, memory->held_bytes);
    memory->backed = false;
    if (idle) {
        *idle = (struct idle){idles, memory->device, memory->held_bytes, memory->memory->place};
        idles = idle;
    } else {
        device_give(memory->device, STORE_GRAPH, memory->held_bytes, memory->memory->place);
    }
}

void graph_memory_hold(struct graph_memory *memory)
{
    memory->refs++;
}

void graph_memory_drop(struct graph_memory *memory)
{
    struct graph_memory **link = &all;

    if (--memory->refs)
        return;
    while (*link != memory)
        link = &(*link)->next;
    *link = memory->next;
    unback(memory, true);
    space_give(memory->memory->start);
    memory_remove(memory->memory);
    if (memory->last)
        op_drop(memory->last);
    free(memory);
}

bool graph_has_memory(const struct graph *graph)
{
    for (size_t i = 0; i < graph->count; i++)
        if (graph->nodes[i]->memory)
            return true;
    return false;
}

bool graph_frees(const struct graph *graph, const struct graph_memory *memory)
{
    for (size_t i = 0; i < graph->count; i++)
        if (graph->nodes[i]->type == CU_GRAPH_NODE_TYPE_MEM_FREE && graph->nodes[i]->memory == memory)
            return true;
    return false;
}

CUresult graph_memory_instantiate(const struct graph *graph)
{
    for (size_t i = 0; i < graph->count; i++)
        if (graph->nodes[i]->type == CU_GRAPH_NODE_TYPE_MEM_ALLOC && graph->nodes[i]->memory->instances)
            return CUDA_ERROR_INVALID_VALUE;
    return CUDA_SUCCESS;
}

/* The next step that allocates, from *at on; NULL after the last. */
static struct graph_memory *next_allocated(const struct exec *exec, unsigned *at)
{
    while (*at < exec->step_count) {
        const struct step *step = &exec->steps[(*at)++];

        if (step->memory && step->type == CU_GRAPH_NODE_TYPE_MEM_ALLOC)
            return step->memory;
    }
    return NULL;
}

void graph_memory_admit(const struct exec *exec)
{
    struct graph_memory *memory;

    for (unsigned at = 0; (memory = next_allocated(exec, &at));)
        memory->instances++;
}

void graph_memory_retire(const struct exec *exec)
{
    struct graph_memory *memory;

    for (unsigned at = 0; (memory = next_allocated(exec, &at));)
        memory->instances--;
}

CUresult graph_memory_back(const struct exec *exec)
{
    CUresult result = CUDA_SUCCESS;
    struct graph_memory *memory;

    for (unsigned at = 0; result == CUDA_SUCCESS && (memory = next_allocated(exec, &at));)
        result = back(memory);
    return result;
}

static bool allocates(const struct exec *exec, const struct graph_memory *wanted)
{
    const struct graph_memory *memory;

    for (unsigned at = 0; (memory = next_allocated(exec, &at));)
        if (memory == wanted)
            return true;
    return false;
}

CUresult graph_memory_check(const struct exec *exec, bool frees_first)
{
    for (unsigned i = 0; i < exec->step_count; i++) {
        const struct step *step = &exec->steps[i];

        if (!step->memory)
            continue;
        if (step->type == CU_GRAPH_NODE_TYPE_MEM_ALLOC
                ? step->memory->live && !frees_first
                : !step->memory->live && !allocates(exec, step->memory))
            return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
}

static void set_live(struct graph_memory *memory, bool live)
{
    if (memory->live == live)
        return;
    memory->live = live;
    if (live)
        graph_memory_hold(memory);
    else
        graph_memory_drop(memory);
}

void graph_memory_launched(const struct exec *exec, struct op *op)
{
    for (unsigned i = 0; i < exec->step_count; i++) {
        const struct step *step = &exec->steps[i];

        if (!step->memory)
            continue;
        op_hold(op);
        if (step->memory->last)
            op_drop(step->memory->last);
        step->memory->last = op;
        set_live(step->memory, step->type == CU_GRAPH_NODE_TYPE_MEM_ALLOC);
    }
}

CUresult graph_memory_free_begin(struct memory *memory)
{
    if (!memory->graph->live)
        return CUDA_ERROR_INVALID_VALUE;
    memory->graph->live = false; /* the reference goes at the end */
    return CUDA_SUCCESS;
}

void graph_memory_free_end(struct memory *memory)
{
    graph_memory_drop(memory->graph);
}

size_t graph_memory_count(void)
{
    size_t count = 0;

    for (const struct graph_memory *memory = all; memory; memory = memory->next)
        count += memory->live;
    return count;
}

CUresult graph_memory_create(const CUDA_MEM_ALLOC_NODE_PARAMS *params, struct graph_memory **created)
{
    struct graph_memory *memory = calloc(1, sizeof *memory);
    uintptr_t start;
    CUresult result;

    if (!memory)
        return CUDA_ERROR_OUT_OF_MEMORY;
    memory->device = device_at(params->poolProps.location.id);
    memory->held_bytes = (params->bytesize + GRANULE - 1) & ~(size_t)(GRANULE - 1);
    memory->refs = 1;
    result = space_take(memory->held_bytes, 0, 0, false, &start);
    if (result == CUDA_SUCCESS) {
        memory->memory = memory_add(start, params->bytesize, MEMORY_GRAPH, memory->device->ordinal, 0);
        if (!memory->memory) {
            space_give(start);
            result = CUDA_ERROR_OUT_OF_MEMORY;
        }
    }
    if (result != CUDA_SUCCESS) {
        free(memory);
        return result;
    }
    memory->memory->graph = memory;
    memory->memory->access[memory->device->ordinal] = ACCESS_READ | ACCESS_WRITE;
    for (size_t i = 0; i < params->accessDescCount; i++)
        memory->memory->access[params->accessDescs[i].location.id] =
            (unsigned char)params->accessDescs[i].flags;
    memory->params = *params;
    memory->params.accessDescs = NULL;
    memory->params.accessDescCount = 0;
    memory->params.dptr = start;
    memory->next = all;
    all = memory;
    *created = memory;
    return CUDA_SUCCESS;
}

const CUDA_MEM_ALLOC_NODE_PARAMS *graph_memory_params(const struct graph_memory *memory)
{
    return &memory->params;
}

void graph_memory_trim(const struct device *device)
{
    for (struct graph_memory *memory = all; memory; memory = memory->next)
        if (memory->device == device && !memory->live && !memory->memory->uses &&
            (!memory->last || memory->last->done))
            unback(memory, false);
    release_idle(device);
}

CUresult graph_memory_forget(const struct device *device, CUgraphMem_attribute attribute)
{
    switch (attribute) {
    case CU_GRAPH_MEM_ATTR_USED_MEM_HIGH:
        used_high[device->ordinal] = used_bytes(device);
        return CUDA_SUCCESS;
    case CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH:
        reserved_high[device->ordinal] = device->stores[STORE_GRAPH];
        return CUDA_SUCCESS;
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
}

CUresult graph_memory_bytes(const struct device *device, CUgraphMem_attribute attribute, cuuint64_t *bytes)
{
    switch (attribute) {
    case CU_GRAPH_MEM_ATTR_USED_MEM_CURRENT:
        *bytes = used_bytes(device);
        return CUDA_SUCCESS;
    case CU_GRAPH_MEM_ATTR_USED_MEM_HIGH:
        *bytes = used_high[device->ordinal];
        return CUDA_SUCCESS;
    case CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT:
        *bytes = device->stores[STORE_GRAPH];
        return CUDA_SUCCESS;
    case CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH:
        *bytes = reserved_high[device->ordinal];
        return CUDA_SUCCESS;
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
}
