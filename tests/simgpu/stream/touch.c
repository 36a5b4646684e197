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
    ALL_PIECES = (1 << PIECES) - 1,
    PAGES = 64, /* of a stretch */
    STRETCH_BITS = PAGE_BITS + 6,
    FIRST_ROOM = 16,
    /* More ranges than this are joined where the gaps are least: what judges them looks at each. */
    RANGES_MAX = 128
};

/* Pages in a row, of which the kernel has used some. */
struct stretch {
    uintptr_t key;         /* its number, and one; 0: not in use */
    uint64_t whole;        /* pages that one object has all of, a bit for each */
    uint8_t pieces[PAGES]; /* that were used, a bit for each */
};

struct touched {
    struct stretch *stretches; /* open addressing, by the key */
    size_t room, count;
    uint64_t until_ns; /* when the link has carried what lies on the host */
};

static size_t place_of(const struct touched *touched, uintptr_t key)
{
    size_t at = (size_t)(key * 0x9e3779b97f4a7c15u >> 20) & (touched->room - 1);

    while (touched->stretches[at].key && touched->stretches[at].key != key)
        at = (at + 1) & (touched->room - 1);
    return at;
}

static bool grow(struct touched *touched)
{
    struct touched larger = {.room = touched->room ? touched->room * 4 : FIRST_ROOM};

    larger.stretches = calloc(larger.room, sizeof *larger.stretches);
    if (!larger.stretches)
        return false;
    for (size_t i = 0; i < touched->room; i++)
        if (touched->stretches[i].key)
            larger.stretches[place_of(&larger, touched->stretches[i].key)] = touched->stretches[i];
    free(touched->stretches);
    touched->stretches = larger.stretches;
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
        free(op->touched->stretches);
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

/* The number of a page within its stretch. */
static unsigned page_of(uintptr_t address)
{
    return (unsigned)(address >> PAGE_BITS) % PAGES;
}

/*
 * Looks at the object that has the address. Known addresses that no object has are left to the access itself: what lies
 * behind an allocation in its last page can be used, as on hardware.
 */
static CUresult look(struct op *op, struct stretch *stretch, uintptr_t address)
{
    uintptr_t start = address >> PAGE_BITS << PAGE_BITS, end = start + ((uintptr_t)1 << PAGE_BITS);
    uintptr_t piece = address >> PIECE_BITS << PIECE_BITS;
    struct memory *memory = memory_find(address);
    struct op_name name;
    bool is_whole;

    if (!memory)
        return space_contains(address) || options.pageable ? CUDA_SUCCESS : CUDA_ERROR_ILLEGAL_ADDRESS;
    if (!memory_allows(memory, op->context->device, false))
        return CUDA_ERROR_ILLEGAL_ADDRESS;
    is_whole = memory->start <= start && memory->start + memory->size >= end;
    stretch->whole |= (uint64_t)is_whole << page_of(address);
    if (memory->device == DEVICE_HOST || memory->kind == MEMORY_MANAGED) {
        name = is_whole ? name_of(op, memory, start, end)
                        : name_of(op, memory, piece, piece + ((uintptr_t)1 << PIECE_BITS));
        managed_use(&name.name, op->context->device, &op->touched->until_ns);
        link_use(&name.name, op->context->device, 0, &op->touched->until_ns);
    }
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

/* The stretch of the address, made where it is not there; NULL when memory is out. */
static struct stretch *stretch_of(struct touched *touched, uintptr_t address)
{
    uintptr_t key = (address >> STRETCH_BITS) + 1;
    struct stretch *stretch = &touched->stretches[place_of(touched, key)];

    if (stretch->key == key)
        return stretch;
    if (touched->count * 2 > touched->room && grow(touched))
        stretch = &touched->stretches[place_of(touched, key)];
    if (touched->count + 1 == touched->room)
        return NULL;
    touched->count++;
    stretch->key = key;
    return stretch;
}

void touch_access(uintptr_t address, size_t bytes)
{
    struct op *op = thread.running;
    uint8_t bit = (uint8_t)(1u << (address >> PIECE_BITS) % PIECES);
    unsigned page = page_of(address);
    struct stretch *stretch = op->is_exact ? stretch_of(op->touched, address) : NULL;
    CUresult result;

    if (!stretch) {
        fault_touch((const void *)address, bytes);
        return;
    }
    if (stretch->pieces[page] & bit)
        return;
    if (!stretch->pieces[page] || !(stretch->whole >> page & 1)) {
        sim_lock();
        result = look(op, stretch, address);
        sim_unlock();
        if (result != CUDA_SUCCESS) {
            thread.fault = address;
            fault_again();
        }
        keep_pace(op->touched);
    }
    stretch->pieces[page] |= bit;
}

static int by_key(const void *a, const void *b)
{
    const struct stretch *first = a, *second = b;

    return (first->key > second->key) - (first->key < second->key);
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

/* What is being joined. */
struct joining {
    struct op *op;
    uintptr_t gap; /* that is bridged within an object */
    bool counts;   /* only */
    size_t ranges; /* that were made */
    struct range range;
};

/* The range goes on to the end, if what starts there belongs to it. */
static bool range_extend(struct joining *joining, uintptr_t start, uintptr_t end)
{
    struct range *range = &joining->range;

    if (!range->memory || start - range->end > joining->gap ||
        start >= range->memory->start + range->memory->size)
        return false;
    range->end = end;
    return true;
}

static CUresult join_page(struct joining *joining, uintptr_t page, unsigned pieces, bool is_whole)
{
    CUresult result = CUDA_SUCCESS;

    if (is_whole && pieces == ALL_PIECES && range_extend(joining, page, page + ((uintptr_t)1 << PAGE_BITS)))
        return CUDA_SUCCESS;
    for (; pieces && result == CUDA_SUCCESS; pieces &= pieces - 1) {
        uintptr_t start = page + ((uintptr_t)__builtin_ctz(pieces) << PIECE_BITS);
        uintptr_t end = start + ((uintptr_t)1 << PIECE_BITS);
        struct memory *memory;

        if (range_extend(joining, start, end))
            continue;
        /* An object need not begin where a piece does. */
        memory = memory_after(start);
        if (memory && memory->start >= end)
            memory = NULL;
        result = range_done(joining->op, &joining->range, joining->counts, &joining->ranges);
        joining->range = (struct range){memory, start, end};
    }
    return result;
}

/* Goes over all pieces in order, and joins those of one object that are no further apart than the gap. */
static size_t join(struct op *op, size_t count, uintptr_t gap, bool counts)
{
    struct joining joining = {.op = op, .gap = gap, .counts = counts};
    CUresult result = CUDA_SUCCESS;

    for (size_t i = 0; i < count * PAGES && result == CUDA_SUCCESS; i++) {
        const struct stretch *stretch = &op->touched->stretches[i / PAGES];

        result = join_page(&joining, ((stretch->key - 1) << STRETCH_BITS) + (i % PAGES << PAGE_BITS),
                           stretch->pieces[i % PAGES], stretch->whole >> i % PAGES & 1);
    }
    if (result == CUDA_SUCCESS)
        range_done(op, &joining.range, counts, &joining.ranges);
    return joining.ranges;
}

/* All stretches to the front, in order. */
static size_t gather(struct touched *touched)
{
    size_t count = 0;

    for (size_t i = 0; i < touched->room; i++)
        if (touched->stretches[i].key)
            touched->stretches[count++] = touched->stretches[i];
    qsort(touched->stretches, count, sizeof *touched->stretches, by_key);
    return count;
}

void touch_end(struct op *op)
{
    struct touched *touched = op->touched;
    uintptr_t gap = 0;
    size_t count, held;

    if (!op->is_exact)
        return;
    if (touched->until_ns)
        sleep_until(touched->until_ns);
    count = gather(touched);
    sim_lock();
    while (join(op, count, gap, true) > RANGES_MAX && gap < UINTPTR_MAX / 16)
        gap = gap ? gap * 8 : 1 << PAGE_BITS;
    /* Where memory is out, less is declared. What held an object is a part of its ranges. */
    held = op->touch_count;
    join(op, count, gap, false);
    op_untouch(op, held);
    sim_unlock();
    touch_free(op);
}
