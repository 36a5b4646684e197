/* SPDX-License-Identifier: Apache-2.0 */
#include "areas.h"

#include <errno.h>

static uint64_t share(uint64_t bytes, uint32_t ppm)
{
    if (bytes == UINT64_MAX)
        return bytes;
    return bytes / 1000000 * ppm + bytes % 1000000 * ppm / 1000000;
}

static uint64_t add(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static uint64_t over(uint64_t bytes, uint64_t limit_bytes)
{
    return bytes > limit_bytes ? bytes - limit_bytes : 0;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t all_with(const struct areas *areas, uint64_t bytes)
{
    return add(add(areas->operations_bytes, areas->buffers_bytes), add(areas->loose_bytes, bytes));
}

uint64_t areas_capacity(const struct areas *areas)
{
    if (areas->capacity_bytes == UINT64_MAX)
        return UINT64_MAX;
    return over(areas->capacity_bytes, areas->untracked_bytes);
}

uint64_t areas_operations_max(const struct areas *areas)
{
    return share(areas_capacity(areas), areas->operations.max_ppm);
}

uint64_t areas_buffers_max(const struct areas *areas)
{
    return share(areas_capacity(areas), areas->buffers.max_ppm);
}

/* What operations must leave to buffers: nothing, unless others have taken room from both. */
static uint64_t buffers_floor(const struct areas *areas)
{
    if (!areas->untracked_bytes)
        return 0;
    return least(share(areas_capacity(areas), areas->buffers.min_ppm), areas->demand_bytes);
}

int areas_grow_operations(const struct areas *areas, uint64_t bytes, uint64_t *out_evict_bytes)
{
    uint64_t grown = add(areas->operations_bytes, bytes);

    if (bytes &&
        (grown > areas_operations_max(areas) || add(grown, buffers_floor(areas)) > areas_capacity(areas)))
        return -ENOSPC;
    *out_evict_bytes = over(all_with(areas, bytes), areas_capacity(areas));
    return 0;
}

struct areas_excess areas_grow_buffers(const struct areas *areas, uint64_t bytes)
{
    return (struct areas_excess){
        .any_bytes = over(all_with(areas, bytes), areas_capacity(areas)),
        .buffer_bytes = over(add(areas->buffers_bytes, bytes), areas_buffers_max(areas)),
    };
}

uint64_t areas_overbooked(const struct areas *areas, uint64_t bytes)
{
    return over(all_with(areas, bytes), areas_capacity(areas));
}
