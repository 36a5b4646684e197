/* SPDX-License-Identifier: Apache-2.0 */
/* host_table.c - the records of host blocks, by address. See host_state.h. */
#include "host/host_state.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/pages.h"
#include "ledger/state.h"

struct host_blocks host_blocks = {.lock = LOCK_INIT(LOCK_HOST_BLOCKS), .changed = PTHREAD_COND_INITIALIZER};
_Atomic uint32_t host_block_count;

static struct pages_pool records = PAGES_POOL(struct host_block);

static size_t checksum_bytes(const struct host_block *block)
{
    return block->unit_count * HOST_UNIT_PIECES * sizeof(*block->checksum);
}

struct host_block *host_table_create(uint64_t base, uint64_t bytes)
{
    uint64_t page = host_page_bytes(), first, end;
    struct host_block *block;

    host_books_lock();
    block = pages_pool_take(&records);
    lock_release(&host_blocks.lock);
    if (!block)
        return NULL;
    first = (base + page - 1) / page * page;
    end = (base + bytes) / page * page;
    if (end < first)
        end = first;
    *block = (struct host_block){.base = base, .bytes = bytes, .first = first, .end = end};
    if (end > first)
        block->unit_count =
            (uint32_t)((end + HOST_UNIT_BYTES - 1) / HOST_UNIT_BYTES - first / HOST_UNIT_BYTES);
    block->unit = block->own_unit;
    if (block->unit_count > sizeof(block->own_unit) / sizeof(*block->own_unit))
        block->unit = pages_reserve(block->unit_count * sizeof(*block->unit));
    if (core.options->verify && block->unit_count)
        block->checksum = pages_reserve(checksum_bytes(block));
    if (!block->unit || (core.options->verify && block->unit_count && !block->checksum)) {
        host_table_destroy(block);
        return NULL;
    }
    for (uint32_t i = 0; i < block->unit_count; i++)
        block->unit[i].slot = SLOT_NONE;
    return block;
}

void host_table_destroy(struct host_block *block)
{
    pages_give(block->checksum, checksum_bytes(block));
    if (block->unit != block->own_unit)
        pages_give(block->unit, block->unit_count * sizeof(*block->unit));
    host_books_lock();
    pages_pool_give(&records, block);
    lock_release(&host_blocks.lock);
}

uint32_t host_table_above(uint64_t address)
{
    uint32_t low = 0, high = host_block_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct host_block *block = host_blocks.row[middle];

        if (block->base + block->bytes > address)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

struct host_block *host_table_find(uint64_t address)
{
    uint32_t index = host_table_above(address);

    return index < host_block_count && host_blocks.row[index]->base <= address ? host_blocks.row[index]
                                                                               : NULL;
}

int host_table_check(const struct host_block *block)
{
    uint32_t index = host_table_above(block->base);

    if (index < host_block_count) {
        const struct host_block *other = host_blocks.row[index];

        if (other->base == block->base && other->bytes == block->bytes)
            return -EEXIST;
        if (other->base < block->base + block->bytes)
            return -EINVAL;
    }
    return 0;
}

int host_table_insert(struct host_block *block)
{
    uint32_t index, count = host_block_count;
    int error = host_table_check(block);

    if (error)
        return error;
    if (!host_blocks.row)
        host_blocks.row = pages_reserve(HOST_BLOCKS_MAX * sizeof(struct host_block *));
    if (!host_blocks.row || count == HOST_BLOCKS_MAX)
        return -ENOMEM;
    index = host_table_above(block->base);
    memmove(&host_blocks.row[index + 1], &host_blocks.row[index], (count - index) * sizeof(*host_blocks.row));
    host_blocks.row[index] = block;
    host_block_count = count + 1;
    block->arrival = ++host_blocks.arrivals;
    return 0;
}

void host_table_remove(struct host_block *block)
{
    uint32_t index = host_table_above(block->base), count = host_block_count;

    memmove(&host_blocks.row[index], &host_blocks.row[index + 1],
            (count - index - 1) * sizeof(*host_blocks.row));
    host_block_count = count - 1;
}

void host_table_enter(struct host_block *block)
{
    block->busy++;
    host_blocks.busy++;
}

void host_table_leave(struct host_block *block)
{
    block->busy--;
    host_blocks.busy--;
    pthread_cond_broadcast(&host_blocks.changed);
}
