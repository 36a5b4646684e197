/* SPDX-License-Identifier: Apache-2.0 */
#include "memory/memory.h"

#include "device/context.h"
#include "memory/pool.h"
#include "memory/range.h"
#include "memory/space.h"

#include <stdlib.h>

static struct range_set known;
static size_t counts[MEMORY_KINDS];
static uint64_t last_id;

struct memory *memory_add(uintptr_t start, size_t size, enum memory_kind kind, int device, uint64_t place)
{
    struct memory *memory = calloc(1, sizeof *memory);

    if (!memory || range_insert(&known, start, size, memory) != 0) {
        free(memory);
        return NULL;
    }
    memory->start = start;
    memory->size = size;
    memory->kind = kind;
    memory->device = device;
    memory->place = place;
    memory->id = ++last_id;
    memory->refs = 1;
    counts[kind]++;
    return memory;
}

void memory_remove(struct memory *memory)
{
    range_remove(&known, memory->start);
    counts[memory->kind]--;
    memory_drop(memory);
}

void memory_hold(struct memory *memory)
{
    memory->refs++;
}

void memory_drop(struct memory *memory)
{
    if (--memory->refs == 0)
        free(memory);
}

struct memory *memory_find(uintptr_t address)
{
    const struct range *range = range_find(&known, address);

    return range ? range->owner : NULL;
}

struct memory *memory_exact(uintptr_t address, enum memory_kind kind)
{
    struct memory *memory = memory_find(address);

    return memory && memory->start == address && memory->kind == kind ? memory : NULL;
}

struct memory *memory_after(uintptr_t address)
{
    const struct range *range = range_after(&known, address);

    return range ? range->owner : NULL;
}

bool memory_allows(const struct memory *memory, const struct device *device, bool write)
{
    switch (memory->kind) {
    case MEMORY_MAPPED:
    case MEMORY_GRAPH:
        return memory->access[device->ordinal] & (write ? ACCESS_WRITE : ACCESS_READ);
    case MEMORY_NATIVE:
    case MEMORY_GLOBAL:
        return memory->device == device->ordinal || context_peer(device, memory->context);
    case MEMORY_ARRAY:
        return memory->device == device->ordinal;
    case MEMORY_IMPORTED:
        return memory->device == device->ordinal || memory->context->device == device;
    case MEMORY_POOLED:
        return memory->device == device->ordinal || pool_allows(memory->pool, device, write);
    case MEMORY_REGISTERED:
        return !(write && memory->read_only);
    case MEMORY_MANAGED:
    case MEMORY_PINNED:
        return true;
    case MEMORY_KINDS:
        break;
    }
    return false;
}

/* What the CPU may do with it. */
static bool host_allows(const struct memory *memory, bool write)
{
    switch (memory->kind) {
    case MEMORY_MAPPED:
        return memory->host_access & (write ? ACCESS_WRITE : ACCESS_READ);
    case MEMORY_MANAGED:
    case MEMORY_PINNED:
    case MEMORY_REGISTERED:
        return true;
    case MEMORY_NATIVE:
    case MEMORY_POOLED:
    case MEMORY_GRAPH:
    case MEMORY_GLOBAL:
    case MEMORY_IMPORTED:
    case MEMORY_ARRAY:
    case MEMORY_KINDS:
        return false;
    }
    return false;
}

/*
 * What cuMemAlloc, an array or a module took belongs to a context, so that the driver finds the engine that reaches it. Mappings,
 * pools and graphs grant by device, and to nobody else: NVIDIA's bug 3446335 has the copies that fail, and PyTorch's
 * allocators make peer copies of them.
 */
static bool engine_allows(const struct memory *memory, const struct device *device, bool write)
{
    return memory->kind == MEMORY_NATIVE || memory->kind == MEMORY_GLOBAL || memory->kind == MEMORY_ARRAY ||
           memory_allows(memory, device, write);
}

/* Host memory that the driver has pinned is copied from or to as a whole, or not at all. */
static bool splits_pinned(const struct memory *memory, uintptr_t start, uintptr_t end)
{
    return (memory->kind == MEMORY_PINNED || memory->kind == MEMORY_REGISTERED) &&
           (start < memory->start || end > memory->start + memory->size);
}

CUresult memory_check(const struct device *device, uintptr_t start, size_t size, bool write, bool host)
{
    uintptr_t at = start, end = start + size;

    if (end < start)
        return CUDA_ERROR_INVALID_VALUE;
    while (at < end) {
        const struct memory *memory = memory_after(at);

        if (!memory || memory->start > at) {
            /* Unknown: a pageable host pointer, if the operand may be one. */
            uintptr_t known_from = memory && memory->start < end ? memory->start : end;

            if (!host || space_contains(at) || space_contains(known_from - 1))
                return CUDA_ERROR_INVALID_VALUE;
            at = known_from;
            continue;
        }
        if (host && splits_pinned(memory, start, end))
            return CUDA_ERROR_INVALID_VALUE;
        if (host ? !host_allows(memory, write) : !engine_allows(memory, device, write))
            return CUDA_ERROR_INVALID_VALUE;
        at = memory->start + memory->size;
    }
    return CUDA_SUCCESS;
}

bool memory_is_device(uintptr_t address)
{
    const struct memory *memory = memory_find(address);

    if (memory)
        return memory->kind != MEMORY_PINNED && memory->kind != MEMORY_REGISTERED;
    return space_contains(address);
}

bool memory_is_pageable(uintptr_t address)
{
    return !memory_find(address) && !space_contains(address);
}

size_t memory_count(enum memory_kind kind)
{
    return counts[kind];
}
