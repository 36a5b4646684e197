/* SPDX-License-Identifier: Apache-2.0 */
#include "ptx/heap.h"

#include "device/context.h"
#include "memory/extent.h"
#include "memory/memory.h"
#include "stream/op.h"

#include <stdlib.h>

enum {
    ALIGNMENT = 16
};

/* A piece of a heap, free or not, and the one behind it. */
struct piece {
    struct piece *next;
    u64 start, bytes;
    bool taken;
};

struct heap {
    struct heap *next;
    const struct context *context;
    struct memory *memory;
    struct piece *pieces; /* in order of their addresses; no two neighbours are free */
};

static struct heap *heaps; /* under the lock */

static struct heap *heap_find(const struct context *context)
{
    struct heap *heap = heaps;

    while (heap && heap->context != context)
        heap = heap->next;
    return heap;
}

static struct heap *heap_create(struct context *context)
{
    size_t granule = GRANULE,
           bytes = (context->limits[CU_LIMIT_MALLOC_HEAP_SIZE] + granule - 1) & ~(granule - 1);
    struct heap *heap = calloc(1, sizeof *heap);
    struct piece *piece = calloc(1, sizeof *piece);
    uintptr_t start;
    uint64_t place;

    if (heap && piece && extent_take(context->device, STORE_NATIVE, bytes, &start, &place) == CUDA_SUCCESS) {
        heap->memory = memory_add(start, bytes, MEMORY_GLOBAL, context->device->ordinal, place);
        if (heap->memory) {
            *piece = (struct piece){NULL, start, bytes, false};
            heap->memory->context = context;
            heap->context = context;
            heap->pieces = piece;
            heap->next = heaps;
            heaps = heap;
            return heap;
        }
        extent_give(context->device, STORE_NATIVE, bytes, start, place);
    }
    free(heap);
    free(piece);
    return NULL;
}

/* Cuts the rest off a free piece; one that cannot be cut is taken whole. */
static void piece_take(struct piece *piece, u64 bytes)
{
    struct piece *rest = piece->bytes > bytes ? malloc(sizeof *rest) : NULL;

    if (rest) {
        *rest = (struct piece){piece->next, piece->start + bytes, piece->bytes - bytes, false};
        piece->next = rest;
        piece->bytes = bytes;
    }
    piece->taken = true;
}

static u64 take(struct context *context, u64 bytes)
{
    struct heap *heap = heap_find(context);

    if (!heap)
        heap = heap_create(context);
    for (struct piece *piece = heap ? heap->pieces : NULL; piece; piece = piece->next) {
        if (!piece->taken && piece->bytes >= bytes) {
            piece_take(piece, bytes);
            return piece->start;
        }
    }
    return 0;
}

u64 heap_allocate(struct ptx_thread *self, u64 bytes)
{
    u64 address = 0;

    (void)self;
    if (bytes > UINT64_MAX / 2)
        return 0;
    bytes = bytes ? (bytes + ALIGNMENT - 1) & ~(u64)(ALIGNMENT - 1) : ALIGNMENT;
    sim_lock();
    address = take(thread.running->context, bytes);
    sim_unlock();
    return address;
}

/* Joins a free piece with those behind it that are free. */
static void piece_join(struct piece *piece)
{
    while (!piece->taken && piece->next && !piece->next->taken) {
        struct piece *behind = piece->next;

        piece->bytes += behind->bytes;
        piece->next = behind->next;
        free(behind);
    }
}

static bool give(const struct context *context, u64 address)
{
    struct heap *heap = heap_find(context);
    struct piece *before = NULL;

    for (struct piece *piece = heap ? heap->pieces : NULL; piece; before = piece, piece = piece->next) {
        if (piece->start != address)
            continue;
        if (!piece->taken)
            return false;
        piece->taken = false;
        piece_join(piece);
        if (before)
            piece_join(before);
        return true;
    }
    return false;
}

void heap_release(struct ptx_thread *self, u64 address)
{
    bool given;

    if (!address)
        return;
    sim_lock();
    given = give(thread.running->context, address);
    sim_unlock();
    if (!given)
        self->host->trap(self);
}

void heap_clear(const struct context *context)
{
    struct heap **link = &heaps, *heap;

    while (*link && (*link)->context != context)
        link = &(*link)->next;
    heap = *link;
    if (!heap)
        return;
    *link = heap->next;
    while (heap->pieces) {
        struct piece *piece = heap->pieces;

        heap->pieces = piece->next;
        free(piece);
    }
    extent_give(context->device, STORE_NATIVE, heap->memory->size, heap->memory->start, heap->memory->place);
    memory_remove(heap->memory);
    free(heap);
}
