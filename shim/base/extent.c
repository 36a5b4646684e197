/* SPDX-License-Identifier: Apache-2.0 */
/* extent.c - see extent.h. */
#include "base/extent.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

enum {
    EXACT_LISTS = 32, /* lists of one length each; beyond, four to each power of two */
    SCAN_MAX = 32     /* runs of a list that are looked at for the lowest address */
};

#define RUN_FREE UINT32_C(0x80000000)

struct extent_record {
    uint32_t run; /* at both ends of a run: its length, with RUN_FREE when it is in a list */
    /* At the first granule of a free run: its neighbours in the list, plus 1; 0 for none. */
    uint32_t next;
    uint32_t previous;
};

size_t extent_bytes_needed(uint32_t count)
{
    return (size_t)count * sizeof(struct extent_record);
}

void extent_init(struct extents *extents, void *memory, uint32_t count)
{
    assert(count <= EXTENT_MAX);
    memset(extents, 0, sizeof(*extents));
    extents->record = memory;
    extents->count = count;
}

uint32_t extent_low(const struct extents *extents)
{
    return __atomic_load_n(&extents->low, __ATOMIC_ACQUIRE);
}

uint32_t extent_high(const struct extents *extents)
{
    return __atomic_load_n(&extents->high, __ATOMIC_ACQUIRE);
}

void extent_cover(struct extents *extents, uint32_t first, uint32_t granules)
{
    assert(granules > 0 && first < extents->count && granules <= extents->count - first);
    if (!extents->high || first < extents->low)
        __atomic_store_n(&extents->low, first, __ATOMIC_RELEASE);
    if (first + granules > extents->high)
        __atomic_store_n(&extents->high, first + granules, __ATOMIC_RELEASE);
}

static unsigned list_of(uint32_t granules)
{
    if (granules < EXACT_LISTS)
        return granules;
    unsigned log2 = 31 - (unsigned)__builtin_clz(granules);
    return EXACT_LISTS + (log2 - 5) * 4 + (granules >> (log2 - 2) & 3);
}

/* The first list from `from` on that is not empty, or EXTENT_LISTS. */
static unsigned list_filled(const struct extents *extents, unsigned from)
{
    for (unsigned word = from / 64; word < EXTENT_LISTS / 64; word++) {
        uint64_t bits = extents->filled[word];
        if (word == from / 64)
            bits &= ~UINT64_C(0) << from % 64;
        if (bits != 0)
            return word * 64 + (unsigned)__builtin_ctzll(bits);
    }
    return EXTENT_LISTS;
}

static void run_write(struct extents *extents, uint32_t first, uint32_t granules, uint32_t flag)
{
    extents->record[first].run = granules | flag;
    extents->record[first + granules - 1].run = granules | flag;
}

static void list_put(struct extents *extents, uint32_t first, uint32_t granules)
{
    unsigned list = list_of(granules);
    uint32_t next = extents->list[list];
    run_write(extents, first, granules, RUN_FREE);
    extents->record[first].next = next;
    extents->record[first].previous = 0;
    if (next != 0)
        extents->record[next - 1].previous = first + 1;
    extents->list[list] = first + 1;
    extents->filled[list / 64] |= UINT64_C(1) << list % 64;
}

static void list_remove(struct extents *extents, uint32_t first, uint32_t granules)
{
    unsigned list = list_of(granules);
    const struct extent_record *record = &extents->record[first];
    if (record->next != 0)
        extents->record[record->next - 1].previous = record->previous;
    if (record->previous != 0)
        extents->record[record->previous - 1].next = record->next;
    else
        extents->list[list] = record->next;
    if (extents->list[list] == 0)
        extents->filled[list / 64] &= ~(UINT64_C(1) << list % 64);
}

static uint32_t free_length(const struct extents *extents, uint32_t first)
{
    return extents->record[first].run & ~RUN_FREE;
}

/* The lowest run of at least `granules` among the first `scan_max` of a list. */
static bool list_search(const struct extents *extents, unsigned list, uint32_t granules, uint32_t scan_max,
                        uint32_t *out_first)
{
    bool found = false;
    uint32_t lowest = UINT32_MAX;
    uint32_t at = extents->list[list];
    for (uint32_t seen = 0; at != 0 && seen < scan_max; seen++) {
        uint32_t first = at - 1;
        if (first < lowest && free_length(extents, first) >= granules) {
            lowest = first;
            found = true;
        }
        at = extents->record[first].next;
    }
    if (found)
        *out_first = lowest;
    return found;
}

/* A free run that is long enough and in a list. */
static bool find_listed(const struct extents *extents, uint32_t granules, uint32_t scan_max,
                        uint32_t *out_first)
{
    unsigned list = list_of(granules);
    if (list_search(extents, list, granules, scan_max, out_first))
        return true;
    /* Any run of a higher list is long enough. */
    list = list_filled(extents, list + 1);
    return list < EXTENT_LISTS && list_search(extents, list, granules, SCAN_MAX, out_first);
}

int extent_take(struct extents *extents, uint32_t granules, uint32_t *out_first)
{
    assert(granules > 0);
    if (granules > extents->count)
        return -ENOMEM;
    uint32_t first;
    bool room_above = extents->count - extents->top >= granules;
    if (find_listed(extents, granules, SCAN_MAX, &first) ||
        (!room_above && find_listed(extents, granules, UINT32_MAX, &first))) {
        uint32_t length = free_length(extents, first);
        list_remove(extents, first, length);
        if (length > granules)
            list_put(extents, first + granules, length - granules);
    } else if (room_above) {
        first = extents->top;
        extents->top += granules;
        if (extents->top > extents->high)
            __atomic_store_n(&extents->high, extents->top, __ATOMIC_RELAXED);
    } else {
        return -ENOMEM;
    }
    run_write(extents, first, granules, 0);
    extents->taken += granules;
    *out_first = first;
    return 0;
}

/* The run that a granule below the top is in, and its length. */
static uint32_t run_at(const struct extents *extents, uint32_t granule, uint32_t *out_length)
{
    uint32_t first = 0, length = extents->record[0].run & ~RUN_FREE;

    while (granule - first >= length) {
        first += length;
        length = extents->record[first].run & ~RUN_FREE;
    }
    *out_length = length;
    return first;
}

int extent_take_at(struct extents *extents, uint32_t first, uint32_t granules)
{
    uint32_t run, length;

    assert(granules > 0);
    if (first >= extents->count || granules > extents->count - first)
        return -ENOMEM;
    if (first >= extents->top) {
        if (first > extents->top)
            list_put(extents, extents->top, first - extents->top);
        extents->top = first + granules;
        if (extents->top > extents->high)
            __atomic_store_n(&extents->high, extents->top, __ATOMIC_RELAXED);
    } else {
        run = run_at(extents, first, &length);
        if (!(extents->record[run].run & RUN_FREE) || granules > length - (first - run))
            return -ENOMEM;
        list_remove(extents, run, length);
        if (first > run)
            list_put(extents, run, first - run);
        if (first - run + granules < length)
            list_put(extents, first + granules, length - granules - (first - run));
    }
    run_write(extents, first, granules, 0);
    extents->taken += granules;
    return 0;
}

void extent_give(struct extents *extents, uint32_t first, uint32_t granules)
{
    assert(granules > 0 && first < extents->top && granules <= extents->top - first);
    assert(extents->record[first].run == granules);
    assert(extents->record[first + granules - 1].run == granules);
    extents->taken -= granules;
    /* A second give of the same run must not find its length, also where the run gets merged into a longer
     * one. */
    run_write(extents, first, granules, RUN_FREE);

    uint32_t end = first + granules;
    if (end < extents->top && (extents->record[end].run & RUN_FREE)) {
        uint32_t length = free_length(extents, end);
        list_remove(extents, end, length);
        end += length;
    }
    if (first > 0 && (extents->record[first - 1].run & RUN_FREE)) {
        uint32_t length = free_length(extents, first - 1);
        first -= length;
        list_remove(extents, first, length);
    }
    if (end == extents->top)
        extents->top = first;
    else
        list_put(extents, first, end - first);
}
