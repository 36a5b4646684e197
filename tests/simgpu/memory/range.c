/* SPDX-License-Identifier: Apache-2.0 */
#include "memory/range.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    BLOCK_MAX = 256
};

struct range_block {
    size_t count;
    struct range ranges[BLOCK_MAX];
};

static uintptr_t end_of(const struct range *range)
{
    return range->start + range->size;
}

/* Index of the first block whose last range ends after the address; count if none does. */
static size_t block_after(const struct range_set *set, uintptr_t address)
{
    size_t low = 0, high = set->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct range_block *block = set->blocks[middle];

        if (end_of(&block->ranges[block->count - 1]) <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The same for the ranges of a block. */
static size_t index_after(const struct range_block *block, uintptr_t address)
{
    size_t low = 0, high = block->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (end_of(&block->ranges[middle]) <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct range *range_after(const struct range_set *set, uintptr_t address)
{
    size_t at = block_after(set, address);

    return at < set->count ? &set->blocks[at]->ranges[index_after(set->blocks[at], address)] : NULL;
}

const struct range *range_find(const struct range_set *set, uintptr_t address)
{
    const struct range *range = range_after(set, address);

    return range && range->start <= address ? range : NULL;
}

bool range_overlaps(const struct range_set *set, uintptr_t start, size_t size)
{
    const struct range *range = range_after(set, start);

    return range && range->start < start + size;
}

/* Puts an empty block in at that place. */
static int block_insert(struct range_set *set, size_t at)
{
    struct range_block *block = malloc(sizeof *block);

    if (block && set->count == set->room) {
        size_t room = set->room ? set->room * 2 : 16;
        struct range_block **blocks = realloc(set->blocks, room * sizeof(struct range_block *));

        if (!blocks) {
            free(block);
            return ENOMEM;
        }
        set->blocks = blocks;
        set->room = room;
    }
    if (!block)
        return ENOMEM;
    block->count = 0;
    memmove(&set->blocks[at + 1], &set->blocks[at], (set->count - at) * sizeof(struct range_block *));
    set->blocks[at] = block;
    set->count++;
    return 0;
}

/* Moves the upper half of a full block into a new one behind it. */
static int block_split(struct range_set *set, size_t at)
{
    struct range_block *full, *upper;
    int error = block_insert(set, at + 1);

    if (error)
        return error;
    full = set->blocks[at];
    upper = set->blocks[at + 1];
    upper->count = BLOCK_MAX / 2;
    full->count = BLOCK_MAX - upper->count;
    memcpy(upper->ranges, &full->ranges[full->count], upper->count * sizeof *upper->ranges);
    return 0;
}

int range_insert(struct range_set *set, uintptr_t start, size_t size, void *owner)
{
    size_t at = block_after(set, start), index;
    struct range_block *block;
    int error = 0;

    if (!set->count)
        error = block_insert(set, 0);
    else if (at == set->count)
        at--; /* behind everything: the end of the last block */
    if (!error && set->blocks[at]->count == BLOCK_MAX) {
        error = block_split(set, at);
        if (!error && set->blocks[at + 1]->ranges[0].start < start)
            at++;
    }
    if (error)
        return error;
    block = set->blocks[at];
    index = index_after(block, start);
    memmove(&block->ranges[index + 1], &block->ranges[index], (block->count - index) * sizeof *block->ranges);
    block->ranges[index] = (struct range){start, size, owner};
    block->count++;
    return 0;
}

void range_remove(struct range_set *set, uintptr_t start)
{
    size_t at = block_after(set, start), index;
    struct range_block *block;

    assert(at < set->count);
    block = set->blocks[at];
    index = index_after(block, start);
    assert(block->ranges[index].start == start);
    memmove(&block->ranges[index], &block->ranges[index + 1],
            (block->count - index - 1) * sizeof *block->ranges);
    if (--block->count)
        return;
    free(block);
    memmove(&set->blocks[at], &set->blocks[at + 1], (set->count - at - 1) * sizeof(struct range_block *));
    set->count--;
}
