/* SPDX-License-Identifier: Apache-2.0 */
#include "range.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

size_t range_after(const struct range_set *set, uintptr_t address)
{
    size_t low = 0, high = set->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (set->ranges[middle].start + set->ranges[middle].size <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int range_insert(struct range_set *set, uintptr_t start, size_t size, void *owner)
{
    size_t at = range_after(set, start);

    if (set->count == set->room) {
        size_t room = set->room ? set->room * 2 : 64;
        struct range *ranges = realloc(set->ranges, room * sizeof *ranges);

        if (!ranges)
            return ENOMEM;
        set->ranges = ranges;
        set->room = room;
    }
    memmove(&set->ranges[at + 1], &set->ranges[at], (set->count - at) * sizeof *set->ranges);
    set->ranges[at] = (struct range){start, size, owner};
    set->count++;
    return 0;
}

void range_remove(struct range_set *set, uintptr_t start)
{
    size_t at = range_after(set, start);

    assert(at < set->count && set->ranges[at].start == start);
    memmove(&set->ranges[at], &set->ranges[at + 1], (set->count - at - 1) * sizeof *set->ranges);
    set->count--;
}

void *range_find(const struct range_set *set, uintptr_t address)
{
    size_t at = range_after(set, address);

    return at < set->count && set->ranges[at].start <= address ? set->ranges[at].owner : NULL;
}

bool range_overlaps(const struct range_set *set, uintptr_t start, size_t size)
{
    size_t at = range_after(set, start);

    return at < set->count && set->ranges[at].start < start + size;
}
