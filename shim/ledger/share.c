/* SPDX-License-Identifier: Apache-2.0 */
/* share.c - see share.h. */
#include "ledger/share.h"

#include <stddef.h>

#include "base/compiler.h"
#include "ledger/share_tier.h"

bool share_in_force(void)
{
    return atomic_load_explicit(&core.shares_in_force, memory_order_relaxed);
}

void share_start(void)
{
    const struct share_option *operations = &core.options->operations, *buffers = &core.options->buffers;
    bool used = atomic_load(&core.shares_used), asked = !operations->with_api || !buffers->with_api;

    atomic_store(&core.shares_in_force, !operations->off && !buffers->off && (used || asked));
}

void share_begin(void)
{
    if (atomic_load_explicit(&core.shares_used, memory_order_relaxed))
        return;
    atomic_store(&core.shares_used, true);
    share_start();
}

static enum share share_of(const struct block *block)
{
    if (!block_alive(block))
        return SHARE_LOOSE;
    if (block->pins[PIN_API])
        return SHARE_OPERATION;
    if (block_pinned(block))
        return SHARE_FIXED;
    return block->flags & BLOCK_REGISTERED ? SHARE_BUFFER : SHARE_LOOSE;
}

static ALWAYS_INLINE uint64_t resident(uint32_t first)
{
    uint32_t entry = owner_entry(&core.blocks, first);

    if (UNLIKELY(!entry || entry & OWNER_AWAY))
        return chunks_bytes(&core.blocks, first, CHUNKS(CHUNK_RESIDENT) | CHUNKS(CHUNK_LEAVING));
    return core.blocks.block[first].granules * GRANULE_BYTES;
}

uint64_t share_resident(uint32_t first)
{
    return resident(first);
}

static const uint8_t queue_of[SHARE_COUNT] = {
    [SHARE_OPERATION] = QUEUE_OPERATIONS, [SHARE_BUFFER] = QUEUE_BUFFERS};

/* @here_bytes  of the block on the device: what it counts as, unless it is an operation and counts as a whole */
static ALWAYS_INLINE void recount(uint32_t first, enum share from, enum share to, uint64_t here_bytes)
{
    struct block *block = &core.blocks.block[first];
    struct device_state *device = &core.devices[block->ordinal];

    share_books_move(&device->shares, from, to, here_bytes, block->granules * GRANULE_BYTES);
    block->share = (uint8_t)to;
    if (queue_of[from] != queue_of[to])
        queues_move(&device->queues, &core.blocks.object[first].entry, (enum queue)queue_of[to]);
}

void share_update(uint32_t first)
{
    const struct block *block = &core.blocks.block[first];
    enum share from = block->share, to = share_of(block);

    if (from != to)
        recount(first, from, to, resident(first));
    host_share_block(first);
}

void share_moved(uint32_t first, int64_t bytes)
{
    const struct block *block = &core.blocks.block[first];

    if (block->share == SHARE_BUFFER || block->share == SHARE_FIXED) /* what counts by its resident bytes */
        core.devices[block->ordinal].shares.bytes[block->share] += (uint64_t)bytes;
}

static ALWAYS_INLINE struct share_tier tier_of(struct device_state *device)
{
    const struct budget *budget = &device->budget;
    uint64_t others = atomic_load_explicit(&device->others_bytes, memory_order_relaxed);

    /* Others' use counts as far as it takes what the budget would have us use. */
    if (UNLIKELY(others && budget->limit_bytes != BUDGET_NO_LIMIT))
        others = shares_over(budget->limit_bytes + others, device->total_bytes);
    else
        others = 0;
    return (struct share_tier){
        .books = &device->shares,
        .budget = budget,
        .staging_bytes = device->chunk_max_granules * GRANULE_BYTES,
        .managed_bytes = budget->class_bytes[CLASS_BLOCK],
        .reserved_bytes = budget->class_bytes[CLASS_RESERVED],
        .others_bytes = others,
    };
}

static ALWAYS_INLINE struct shares state_of(struct device_state *device)
{
    struct share_tier tier = tier_of(device);

    return share_tier_state(&tier);
}

struct shares share_state(unsigned ordinal)
{
    return state_of(&core.devices[ordinal]);
}

static ALWAYS_INLINE bool is_unsettled(struct device_state *device)
{
    struct shares shares = state_of(device);
    struct shares_excess over = shares_grow_buffers(&shares, 0);

    return over.any_bytes || over.buffer_bytes;
}

int share_admit(unsigned ordinal, uint64_t bytes, uint32_t first)
{
    const struct block *block = first == BLOCK_NONE ? NULL : &core.blocks.block[first];
    bool is_buffer = block && block->share == SHARE_BUFFER;

    if (!share_in_force())
        return 0;
    return shares_admit(share_state(ordinal), bytes, is_buffer ? resident(first) : 0,
                        is_buffer ? block->granules * GRANULE_BYTES : 0);
}

bool share_has_place(uint32_t first)
{
    const struct block *block = &core.blocks.block[first];
    struct shares shares = share_state(block->ordinal);
    uint64_t bytes = block->granules * GRANULE_BYTES;

    shares.buffers_bytes = shares.loose_bytes = 0;
    return !share_in_force() || block->share == SHARE_OPERATION || resident(first) == bytes ||
           !shares_overbooked(&shares, bytes);
}

bool share_unsettled(unsigned ordinal)
{
    return share_in_force() && is_unsettled(&core.devices[ordinal]);
}

/* Both are called all the time, and for blocks that are buffers otherwise. */
int share_pin(uint32_t first)
{
    struct block *block = &core.blocks.block[first];
    uint64_t bytes = block->granules * GRANULE_BYTES, here_bytes = resident(first);
    bool is_buffer = block->share == SHARE_BUFFER;

    if (share_in_force() && shares_admit(state_of(&core.devices[block->ordinal]), bytes,
                                         is_buffer ? here_bytes : 0, is_buffer ? bytes : 0) < 0)
        return -ENOSPC;
    block->pins[PIN_API]++;
    if (is_buffer)
        recount(first, SHARE_BUFFER, SHARE_OPERATION, here_bytes);
    else
        share_update(first);
    return 0;
}

bool share_unpin(uint32_t first)
{
    struct block *block = &core.blocks.block[first];

    block->pins[PIN_API]--;
    if (share_of(block) == SHARE_BUFFER)
        recount(first, SHARE_OPERATION, SHARE_BUFFER, resident(first));
    else
        share_update(first);
    return share_in_force() && is_unsettled(&core.devices[block->ordinal]);
}
