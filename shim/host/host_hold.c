/* SPDX-License-Identifier: Apache-2.0 */
/* host_hold.c - ranges that the driver has pinned or is about to use. See host_block.h. */
#include "host/host_state.h"

#include <errno.h>

#include "base/cancel_guard.h"
#include "base/log.h"
#include "base/pages.h"

/* Each range as often as it is held; the order means nothing. A call that is about to be made holds what it names, and
 * that is over soon: what the driver has pinned is fixed beyond that. */
struct hold {
    uint64_t start, end;
    uint64_t count, fixed;
};

enum {
    HOLDS_MAX = 1 << 20
};

static struct hold *holds;
static uint32_t hold_count;

static bool meets(const struct hold *hold, const struct host_block *block)
{
    return hold->start < block->base + block->bytes && hold->end > block->base;
}

void host_hold_count(struct host_block *block)
{
    block->holds = block->fixed = 0;
    for (uint32_t i = 0; i < hold_count; i++)
        if (meets(&holds[i], block)) {
            block->holds += holds[i].count;
            block->fixed += holds[i].fixed;
        }
}

static struct hold *hold_find(const struct hold *range)
{
    for (uint32_t i = hold_count; i-- > 0;)
        if (holds[i].start == range->start && holds[i].end == range->end)
            return &holds[i];
    return NULL;
}

static bool hold_add(const struct hold *range)
{
    struct hold *hold = hold_find(range);

    if (!holds)
        holds = pages_reserve(HOLDS_MAX * sizeof(*holds));
    if (!hold && holds && hold_count < HOLDS_MAX) {
        hold = &holds[hold_count++];
        *hold = (struct hold){.start = range->start, .end = range->end};
    }
    if (hold) {
        hold->count++;
        hold->fixed += range->fixed;
    }
    return hold != NULL;
}

static bool hold_remove(const struct hold *range)
{
    struct hold *hold = hold_find(range);

    if (!hold)
        return false;
    hold->fixed -= range->fixed;
    if (--hold->count == 0)
        *hold = holds[--hold_count];
    return true;
}

/* Add to the holds of every block that the range meets. */
static void mark(const struct hold *range, int64_t change)
{
    for (uint32_t i = host_table_above(range->start); i < host_block_count; i++) {
        struct host_block *block = host_blocks.row[i];
        enum share from = host_block_share(block);

        if (!meets(range, block))
            break;
        block->holds += (uint64_t)change;
        block->fixed += (uint64_t)change * range->fixed;
        host_block_recount(block, from);
    }
}

/* Every block that the range meets is in memory. If a page cannot be read, the next access to it blocks and retries. */
static void bring(const struct hold *range)
{
    uint64_t at = range->start;
    uint32_t index;

    while ((index = host_table_above(at)) < host_block_count && meets(range, host_blocks.row[index])) {
        struct host_block *block = host_blocks.row[index];

        at = block->base + block->bytes;
        host_piece_bring_all(block, true);
    }
}

static bool take(const void *ptr, size_t bytes, bool is_fixed)
{
    const struct hold range = {(uint64_t)(uintptr_t)ptr, (uint64_t)(uintptr_t)ptr + bytes, 1, is_fixed};
    bool held;

    host_books_lock();
    held = hold_add(&range);
    if (held) {
        mark(&range, 1);
        bring(&range);
    }
    lock_release(&host_blocks.lock);
    if (!held)
        log_line(LOG_WARN, "no room to remember what the driver uses: a range of %zu bytes is not held",
                 bytes);
    return held;
}

static void give(const void *ptr, size_t bytes, bool is_fixed)
{
    const struct hold range = {(uint64_t)(uintptr_t)ptr, (uint64_t)(uintptr_t)ptr + bytes, 1, is_fixed};

    host_books_lock();
    if (hold_remove(&range))
        mark(&range, -1);
    lock_release(&host_blocks.lock);
}

bool host_hold(const void *ptr, size_t bytes)
{
    return take(ptr, bytes, true);
}

void host_hold_drop(const void *ptr, size_t bytes)
{
    give(ptr, bytes, true);
}

uint64_t host_hold_covered(const void *ptr, size_t bytes)
{
    uint64_t start = (uint64_t)(uintptr_t)ptr, end = start + bytes, covered = 0;

    if (!host_block_any())
        return 0;
    host_books_lock();
    for (uint32_t i = host_table_above(start); i < host_block_count && start < end; i++) {
        const struct host_block *block = host_blocks.row[i];
        uint64_t first = block->base > start ? block->base : start, last = block->base + block->bytes;

        start = last < end ? last : end;
        if (first < start && !block->dying)
            covered += start - first;
    }
    lock_release(&host_blocks.lock);
    return covered;
}

void host_hold_add(struct host_ranges *ranges, const void *memory, size_t bytes)
{
    struct host_range range = {memory, bytes};
    bool full = ranges->count == HOST_RANGES;
    struct cancel_guard guard;

    if (!host_block_any() || !memory || !bytes)
        return;
    cancel_guard_enter(&guard);
    if (full) { /* one range from here on, over all that are named */
        struct host_range last = ranges->of[--ranges->count];
        const char *start = (const char *)last.memory, *end = start + last.bytes;

        give(last.memory, last.bytes, false);
        if ((const char *)memory + bytes > end)
            end = (const char *)memory + bytes;
        if ((const char *)memory < start)
            start = memory;
        range = (struct host_range){start, (size_t)(end - start)};
    }
    if (take(range.memory, range.bytes, false))
        ranges->of[ranges->count++] = range;
    cancel_guard_leave(&guard);
}

void host_hold_drop_all(struct host_ranges *ranges)
{
    while (ranges->count) {
        const struct host_range *range = &ranges->of[--ranges->count];

        give(range->memory, range->bytes, false);
    }
}
