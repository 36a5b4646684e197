/* SPDX-License-Identifier: Apache-2.0 */
/* area.c - see area.h. */
#include "ledger/share.h"

#include <stddef.h>

#include "engine/mover.h"
#include "ledger/share_tier.h"

static inline bool in_force(void)
{
    return atomic_load_explicit(&core.areas_in_force, memory_order_relaxed);
}

bool area_in_force(void)
{
    return in_force();
}

void area_start(void)
{
    const struct area_option *operations = &core.options->operations, *buffers = &core.options->buffers;
    bool used = atomic_load(&core.areas_used), asked = !operations->with_api || !buffers->with_api;

    atomic_store(&core.areas_in_force, !operations->off && !buffers->off && (used || asked));
}

void area_begin(void)
{
    if (atomic_load_explicit(&core.areas_used, memory_order_relaxed))
        return;
    atomic_store(&core.areas_used, true);
    area_start();
}

static enum area area_of(const struct block *block)
{
    if (!block_alive(block))
        return AREA_LOOSE;
    if (block->pins[PIN_API])
        return AREA_OPERATION;
    if (block_pinned(block))
        return AREA_FIXED;
    return block->flags & BLOCK_REGISTERED ? AREA_BUFFER : AREA_LOOSE;
}

/* Of a block that is away. */
static __attribute__((noinline)) uint64_t resident_of_away(uint32_t first)
{
    uint32_t granules = 0;

    for (uint32_t g = first, more = 1; more; more = g = chunk_next(&core.blocks, first, g)) {
        uint8_t state = core.blocks.chunk[g].state;

        if (state == CHUNK_RESIDENT || state == CHUNK_LEAVING)
            granules += core.blocks.chunk[g].granules;
    }
    return granules * GRANULE_BYTES;
}

AREA_INLINE uint64_t resident(uint32_t first)
{
    uint32_t entry = owner_entry(&core.blocks, first);

    if (__builtin_expect(!entry || entry & OWNER_AWAY, 0))
        return resident_of_away(first);
    return core.blocks.block[first].granules * GRANULE_BYTES;
}

uint64_t area_resident(uint32_t first)
{
    return resident(first);
}

static const uint8_t queue_of[AREA_COUNT] = {
    [AREA_OPERATION] = QUEUE_OPERATIONS, [AREA_BUFFER] = QUEUE_BUFFERS};

/* @here_bytes  of the block on the device: what it counts as, unless it is an operation and counts as a whole */
AREA_INLINE void recount(uint32_t first, enum area from, enum area to, uint64_t here_bytes)
{
    struct block *block = &core.blocks.block[first];
    struct device_state *device = &core.devices[block->ordinal];

    area_books_move(&device->areas, from, to, here_bytes, block->granules * GRANULE_BYTES);
    block->area = (uint8_t)to;
    if (queue_of[from] != queue_of[to])
        queues_move(&device->queues, &core.blocks.operand[first].entry, (enum queue)queue_of[to]);
}

void area_update(uint32_t first)
{
    const struct block *block = &core.blocks.block[first];
    enum area from = block->area, to = area_of(block);

    if (from != to)
        recount(first, from, to, resident(first));
    host_area_block(first);
}

/* What counts by its resident bytes. */
static uint64_t *counter(uint32_t first)
{
    const struct block *block = &core.blocks.block[first];

    if (block->area != AREA_BUFFER && block->area != AREA_FIXED)
        return NULL;
    return &core.devices[block->ordinal].areas.bytes[block->area];
}

void area_came(uint32_t first, uint64_t bytes)
{
    uint64_t *count = counter(first);

    if (count)
        *count += bytes;
}

void area_went(uint32_t first, uint64_t bytes)
{
    uint64_t *count = counter(first);

    if (count)
        *count -= bytes;
}

AREA_INLINE struct area_tier tier_of(struct device_state *device)
{
    const struct budget *budget = &device->budget;
    uint64_t others = atomic_load_explicit(&device->others_bytes, memory_order_relaxed);

    /* Others' use counts as far as it takes what the budget would have us use. */
    if (__builtin_expect(others && budget->limit_bytes != BUDGET_NO_LIMIT, 0))
        others = areas_over(budget->limit_bytes + others, device->total_bytes);
    else
        others = 0;
    return (struct area_tier){
        .books = &device->areas,
        .budget = budget,
        .staging_bytes = device->chunk_max_granules * GRANULE_BYTES,
        .managed_bytes = budget->class_bytes[CLASS_BLOCK],
        .reserved_bytes = budget->class_bytes[CLASS_RESERVED],
        .others_bytes = others,
    };
}

AREA_INLINE struct areas state_of(struct device_state *device)
{
    struct area_tier tier = tier_of(device);

    return area_tier_state(&tier);
}

struct areas area_state(unsigned ordinal)
{
    return state_of(&core.devices[ordinal]);
}

AREA_INLINE bool is_unsettled(struct device_state *device)
{
    struct areas areas = state_of(device);
    struct areas_excess over = areas_grow_buffers(&areas, 0);

    return over.any_bytes || over.buffer_bytes;
}

int area_admit(unsigned ordinal, uint64_t bytes, uint32_t first)
{
    const struct block *block = first == AREA_NO_BLOCK ? NULL : &core.blocks.block[first];
    bool is_buffer = block && block->area == AREA_BUFFER;

    if (!in_force())
        return 0;
    return areas_admit(area_state(ordinal), bytes, is_buffer ? resident(first) : 0,
                       is_buffer ? block->granules * GRANULE_BYTES : 0);
}

bool area_has_place(uint32_t first)
{
    const struct block *block = &core.blocks.block[first];
    struct areas areas = area_state(block->ordinal);
    uint64_t bytes = block->granules * GRANULE_BYTES;

    areas.buffers_bytes = areas.loose_bytes = 0;
    return !in_force() || block->area == AREA_OPERATION || resident(first) == bytes ||
           !areas_overbooked(&areas, bytes);
}

bool area_unsettled(unsigned ordinal)
{
    return in_force() && is_unsettled(&core.devices[ordinal]);
}

/* Both are called all the time, and for blocks that are buffers otherwise. */
int area_pin(uint32_t first)
{
    struct block *block = &core.blocks.block[first];
    uint64_t bytes = block->granules * GRANULE_BYTES, here_bytes = resident(first);
    bool is_buffer = block->area == AREA_BUFFER;

    if (in_force() && areas_admit(state_of(&core.devices[block->ordinal]), bytes, is_buffer ? here_bytes : 0,
                                  is_buffer ? bytes : 0) < 0)
        return -ENOSPC;
    block->pins[PIN_API]++;
    if (is_buffer)
        recount(first, AREA_BUFFER, AREA_OPERATION, here_bytes);
    else
        area_update(first);
    return 0;
}

bool area_unpin(uint32_t first)
{
    struct block *block = &core.blocks.block[first];

    block->pins[PIN_API]--;
    if (area_of(block) == AREA_BUFFER)
        recount(first, AREA_OPERATION, AREA_BUFFER, resident(first));
    else
        area_update(first);
    return in_force() && is_unsettled(&core.devices[block->ordinal]);
}

static struct areas_excess excess(unsigned ordinal)
{
    struct areas areas;

    pthread_mutex_lock(&core.lock);
    areas = area_state(ordinal);
    pthread_mutex_unlock(&core.lock);
    return areas_grow_buffers(&areas, 0);
}

void area_settle(unsigned ordinal, uint32_t but)
{
    uint64_t newest = UINT64_MAX;

    if (but != AREA_NO_BLOCK)
        newest = atomic_load_explicit(&core.blocks.stamp[but], memory_order_relaxed) - 1;

    while (in_force()) {
        struct areas_excess over = excess(ordinal);

        if (!over.any_bytes && !over.buffer_bytes)
            return;
        if (!mover_evict(ordinal, over.any_bytes ? over.any_bytes : over.buffer_bytes, newest,
                         !over.any_bytes))
            return;
    }
}
