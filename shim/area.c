/* SPDX-License-Identifier: Apache-2.0 */
/* area.c - see area.h. */
#include "area.h"

#include <stddef.h>

#include "mover.h"
#include "state.h"

bool area_in_force(void)
{
    const struct area_option *operations = &core.options->operations, *buffers = &core.options->buffers;

    if (operations->off || buffers->off)
        return false;
    return !operations->with_api || !buffers->with_api ||
           atomic_load_explicit(&core.areas_used, memory_order_relaxed);
}

void area_begin(void)
{
    if (!atomic_load_explicit(&core.areas_used, memory_order_relaxed))
        atomic_store(&core.areas_used, true);
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

uint64_t area_resident(uint32_t first)
{
    uint32_t granules = 0;

    if (!(owner_entry(&core.blocks, first) & OWNER_AWAY) && owner_entry(&core.blocks, first))
        return core.blocks.block[first].granules * GRANULE_BYTES;
    for (uint32_t g = first, more = 1; more; more = g = chunk_next(&core.blocks, first, g)) {
        uint8_t state = core.blocks.chunk[g].state;

        if (state == CHUNK_RESIDENT || state == CHUNK_LEAVING)
            granules += core.blocks.chunk[g].granules;
    }
    return granules * GRANULE_BYTES;
}

static uint64_t weight(uint32_t first, enum area area)
{
    return area == AREA_OPERATION ? core.blocks.block[first].granules * GRANULE_BYTES : area_resident(first);
}

void area_update(uint32_t first)
{
    struct block *block = &core.blocks.block[first];
    struct device_state *device = &core.devices[block->ordinal];
    enum area from = block->area, to = area_of(block);
    uint64_t whole = block->granules * GRANULE_BYTES;

    if (from == to)
        return;
    if (from != AREA_LOOSE)
        device->area_bytes[from] -= weight(first, from);
    if (to != AREA_LOOSE)
        device->area_bytes[to] += weight(first, to);
    device->wanted_bytes += (to == AREA_BUFFER ? whole : 0) - (from == AREA_BUFFER ? whole : 0);
    block->area = (uint8_t)to;
    if (from >= AREA_BUFFER || to >= AREA_BUFFER)
        queues_move(&device->queues, &core.blocks.operand[first].entry,
                    to == AREA_BUFFER      ? QUEUE_BUFFERS
                    : to == AREA_OPERATION ? QUEUE_OPERATIONS
                                           : QUEUE_NONE);
}

/* What counts by its resident bytes. */
static uint64_t *counter(uint32_t first)
{
    const struct block *block = &core.blocks.block[first];

    if (block->area != AREA_BUFFER && block->area != AREA_FIXED)
        return NULL;
    return &core.devices[block->ordinal].area_bytes[block->area];
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

struct areas area_state(unsigned ordinal)
{
    const struct device_state *device = &core.devices[ordinal];
    const struct budget *budget = &device->budget;
    uint64_t staging = device->chunk_max_granules * GRANULE_BYTES, limit = budget->limit_bytes;
    uint64_t blocks = budget->class_bytes[CLASS_BLOCK], reserved = budget->class_bytes[CLASS_RESERVED];
    uint64_t counted =
        device->area_bytes[AREA_FIXED] + device->area_bytes[AREA_BUFFER] + device->area_bytes[AREA_OPERATION];

    return (struct areas){
        .capacity_bytes = limit == BUDGET_NO_LIMIT ? UINT64_MAX
                          : limit > staging        ? limit - staging
                                                   : 0,
        .untracked_bytes = budget->used_bytes - blocks - reserved + device->area_bytes[AREA_FIXED],
        .operations_bytes = device->area_bytes[AREA_OPERATION] + reserved,
        .buffers_bytes = device->area_bytes[AREA_BUFFER],
        /* What is on its way counts as loose; what is pinned and not back yet counts already. */
        .loose_bytes = blocks > counted ? blocks - counted : 0,
        .demand_bytes = device->wanted_bytes,
        .operations = core.options->operations.share,
        .buffers = core.options->buffers.share,
    };
}

int area_admit(unsigned ordinal, uint64_t bytes, uint32_t first)
{
    struct areas areas;
    uint64_t evict_bytes;

    if (!area_in_force())
        return 0;
    areas = area_state(ordinal);
    if (first != AREA_NO_BLOCK && core.blocks.block[first].area == AREA_BUFFER) {
        areas.buffers_bytes -= area_resident(first);
        areas.demand_bytes -= core.blocks.block[first].granules * GRANULE_BYTES;
    }
    return areas_grow_operations(&areas, bytes, &evict_bytes);
}

bool area_unsettled(unsigned ordinal)
{
    struct areas_excess over;
    struct areas areas;

    if (!area_in_force())
        return false;
    areas = area_state(ordinal);
    over = areas_grow_buffers(&areas, 0);
    return over.any_bytes || over.buffer_bytes;
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

    while (area_in_force()) {
        struct areas_excess over = excess(ordinal);

        if (!over.any_bytes && !over.buffer_bytes)
            return;
        if (!mover_evict(ordinal, over.any_bytes ? over.any_bytes : over.buffer_bytes, newest,
                         !over.any_bytes))
            return;
    }
}
