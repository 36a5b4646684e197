/* SPDX-License-Identifier: Apache-2.0 */
#include "stream/touch.h"

#include "device/context.h"
#include "device/host_link.h"
#include "managed/managed.h"
#include "memory/space.h"
#include "stream/fault.h"

#include <stdlib.h>

enum {
    PAGE_BITS = 12,
    PIECE_BITS = 9,
    PIECES = 1 << (PAGE_BITS - PIECE_BITS),
    FIRST_ROOM = 64,
    /* More ranges than this are joined where the gaps are least: what judges them looks at each. */
    RANGES_MAX = 128
};

/* A page that the kernel has used a part of. */
struct page_use {
    uintptr_t number; /* 0: not in use */
    uint8_t pieces;   /* a bit for each */
    bool is_whole;    /* one object has all of it */
};

struct touched {
    struct page_use *pages; /* open addressing, by the number */
    size_t room, count;
    uint64_t until_ns; /* when the link has carried what lies on the host */
};

static size_t place_of(const struct touched *touched, uintptr_t number)
{
    size_t at = (size_t)(number * 0x9e3779b97f4a7c15u >> 20) & (touched->room - 1);

    while (touched->pages[at].number && touched->pages[at].number != number)
        at = (at + 1) & (touched->room - 1);
    return at;
}

static bool grow(struct touched *touched)
{
    struct touched larger = {.room = touched->room ? touched->room * 4 : FIRST_ROOM};

    larger.pages = calloc(larger.room, sizeof *larger.pages);
    if (!larger.pages)
        return false;
    for (size_t i = 0; i < touched->room; i++)
        if (touched->pages[i].number)
            larger.pages[place_of(&larger, touched->pages[i].number)] = touched->pages[i];
    free(touched->pages);
    touched->pages = larger.pages;
    touched->room = larger.room;
    return true;
}

void touch_begin(struct op *op)
{
    if (!op->touched)
        op->touched = calloc(1, sizeof *op->touched);
    op->is_exact = op->touched && (op->touched->room || grow(op->touched));
}

void touch_none(struct op *op)
{
    op->is_exact = false;
}

void touch_free(struct op *op)
{
    if (op->touched)
        free(op->touched->pages);
    free(op->touched);
    op->touched = NULL;
}

static struct op_name name_of(const struct op *op, struct memory *memory, uintptr_t start, uintptr_t end)
{
    uintptr_t from = start > memory->start ? start : memory->start;
    uintptr_t to = end < memory->start + memory->size ? end : memory->start + memory->size;

    return (struct op_name){.node = op->node,
                            .name = {memory, memory->place + (from - memory->start), to - from, false}};
}

static bool is_held(const struct op *op, const struct memory *memory)
{
    for (size_t i = 0; i < op->touch_count; i++)
        if (op->touches[i].name.memory == memory)
            return true;
    return false;
}

/*
 * Looks at the object that has the address. Known addresses that no object has are left to the access itself: what lies
 * behind an allocation in its last page can be used, as on hardware.
 */
static CUresult look(struct op *op, struct page_use *page, uintptr_t address)
{
    uintptr_t start = page->number << PAGE_BITS, end = start + ((uintptr_t)1 << PAGE_BITS);
    uintptr_t piece = address >> PIECE_BITS << PIECE_BITS;
    struct memory *memory = memory_find(address);
    struct op_name name;

    if (!memory)
        return space_contains(address) || options.pageable ? CUDA_SUCCESS : CUDA_ERROR_ILLEGAL_ADDRESS;
    if (!memory_allows(memory, op->context->device, false))
        return CUDA_ERROR_ILLEGAL_ADDRESS;
    page->is_whole = memory->start <= start && memory->start + memory->size >= end;
    name = page->is_whole ? name_of(op, memory, start, end)
                          : name_of(op, memory, piece, piece + ((uintptr_t)1 << PIECE_BITS));
    managed_use(&name.name, op->context->device, &op->touched->until_ns);
    link_use(&name.name, op->context->device, now_ns(), &op->touched->until_ns);
    if (is_held(op, memory))
        return CUDA_SUCCESS;
    /* From now on nobody may take it away. */
    name = name_of(op, memory, piece, piece + ((uintptr_t)1 << PIECE_BITS));
    return op_touch(op, &name);
}

/* The kernel waits for the link now and then, and not for every page of it. */
static void keep_pace(struct touched *touched)
{
    enum {
        AHEAD_NS = 1000000
    };

    if (touched->until_ns && touched->until_ns > now_ns() + AHEAD_NS)
        sleep_until(touched->until_ns);
}

void touch_access(uintptr_t address, size_t bytes)
{
    struct op *op = thread.running;
    struct touched *touched = op->touched;
    uintptr_t number = address >> PAGE_BITS;
    uint8_t bit = (uint8_t)(1u << (address >> PIECE_BITS) % PIECES);
    struct page_use *page;
    CUresult result;

    if (!op->is_exact) {
        fault_touch((const void *)address, bytes);
        return;
    }
    page = &touched->pages[place_of(touched, number)];
    if (page->number == number && (page->is_whole || page->pieces & bit)) {
        page->pieces |= bit;
        return;
    }
    if (page->number != number) {
        if (touched->count * 2 > touched->room && grow(touched))
            page = &touched->pages[place_of(touched, number)];
        if (touched->count + 1 == touched->room) {
            fault_touch((const void *)address, bytes);
            return;
        }
        touched->count++;
        page->number = number;
    }
    sim_lock();
    result = look(op, page, address);
    sim_unlock();
    if (result != CUDA_SUCCESS) {
        thread.fault = address;
        fault_again();
    }
    page->pieces |= bit;
    keep_pace(touched);
}

static int by_number(const void *a, const void *b)
{
    const struct page_use *first = a, *second = b;

    return (first->number > second->number) - (first->number < second->number);
}

/* A row of pieces, and the object that they are in. */
struct range {
    struct memory *memory;
    uintptr_t start, end;
};

/* Declares the range, or counts it only. */
static CUresult range_done(struct op *op, const struct range *range, bool counts, size_t *ranges)
{
    struct op_name name;

    if (!range->memory)
        return CUDA_SUCCESS;
    ++*ranges;
    if (counts)
        return CUDA_SUCCESS;
    name = name_of(op, range->memory, range->start, range->end);
    return op_touch(op, &name);
}

/* Goes over all pieces in order, and joins those of one object that are no further apart than the gap. */
static CUresult join(struct op *op, const struct page_use *pages, size_t count, uintptr_t gap, bool counts,
                     size_t *ranges)
{
    struct range range = {0};
    CUresult result = CUDA_SUCCESS;

    *ranges = 0;
    for (size_t i = 0; i < count * PIECES && result == CUDA_SUCCESS; i++) {
        const struct page_use *page = &pages[i / PIECES];
        uintptr_t start = (page->number << PAGE_BITS) + (i % PIECES << PIECE_BITS);
        struct memory *memory;

        if (i % PIECES == 0 && page->pieces == (1 << PIECES) - 1 && page->is_whole && range.memory &&
            start - range.end <= gap && start < range.memory->start + range.memory->size) {
            range.end = start + ((uintptr_t)1 << PAGE_BITS);
            i += PIECES - 1;
            continue;
        }
        if (!(page->pieces >> i % PIECES & 1))
            continue;
        if (range.memory && start - range.end <= gap && start < range.memory->start + range.memory->size) {
            range.end = start + ((uintptr_t)1 << PIECE_BITS);
            continue;
        }
        /* An object need not begin where a piece does. */
        memory = memory_after(start);
        if (memory && memory->start >= start + ((uintptr_t)1 << PIECE_BITS))
            memory = NULL;
        result = range_done(op, &range, counts, ranges);
        range = (struct range){memory, start, start + ((uintptr_t)1 << PIECE_BITS)};
    }
    return result == CUDA_SUCCESS ? range_done(op, &range, counts, ranges) : result;
}

static size_t gather(struct touched *touched)
{
    size_t count = 0;

    for (size_t i = 0; i < touched->room; i++)
        if (touched->pages[i].number)
            touched->pages[count++] = touched->pages[i];
    qsort(touched->pages, count, sizeof *touched->pages, by_number);
    return count;
}

void touch_end(struct op *op)
{
    struct touched *touched = op->touched;
    size_t count, ranges;
    uintptr_t gap = 0;

    if (!op->is_exact)
        return;
    if (touched->until_ns)
        sleep_until(touched->until_ns);
    count = gather(touched);
    sim_lock();
    join(op, touched->pages, count, gap, true, &ranges);
    while (ranges > RANGES_MAX && gap < UINTPTR_MAX / 16) {
        gap = gap ? gap * 8 : 1 << PAGE_BITS;
        join(op, touched->pages, count, gap, true, &ranges);
    }
    /* Where memory is out, less is declared. */
    join(op, touched->pages, count, gap, false, &ranges);
    sim_unlock();
    touch_free(op);
}
