/* SPDX-License-Identifier: Apache-2.0 */
/* host_area.c - see host_area.h. */
#include "ledger/host_share.h"

#include <errno.h>

#include "engine/mover.h"
#include "ledger/headroom.h"
#include "ledger/share_tier.h"

struct areas host_area_state(void)
{
    struct host_area *host = &core.host_area;
    struct area_tier tier = {
        .books = &host->books,
        .budget = &core.host_budget,
        .staging_bytes = tier_host_staging(),
        .managed_bytes = core.host_budget.class_bytes[HOST_TIER] + host->ranges_bytes,
    };

    return area_tier_state(&tier);
}

/* ---- device blocks ------------------------------------------------------------------------------------------- */

/* What rests in host memory and is nowhere else. */
static uint64_t bytes_in_host(uint32_t first)
{
    uint64_t bytes = 0;

    for (uint32_t g = first, more = 1; more; more = g = chunk_next(&core.blocks, first, g)) {
        const struct chunk *chunk = &core.blocks.chunk[g];

        if (chunk->state == CHUNK_HOST || chunk->state == CHUNK_SPILLING || chunk->state == CHUNK_UNMAPPING ||
            chunk->state == CHUNK_BROKEN)
            bytes += chunk_bytes(chunk);
    }
    return bytes;
}

void host_area_block(uint32_t first)
{
    const struct block *block = &core.blocks.block[first];
    struct operand *operand = &core.blocks.operand[first];
    bool is_buffer = block_alive(block) && block->flags & BLOCK_REGISTERED;
    uint64_t bytes = is_buffer ? bytes_in_host(first) : 0;

    if (bytes == operand->host_bytes)
        return;
    core.host_area.books.bytes[AREA_BUFFER] += bytes - operand->host_bytes;
    core.host_area.books.wanted_bytes += bytes - operand->host_bytes;
    operand->host_bytes = bytes;
}

/* ---- host blocks --------------------------------------------------------------------------------------------- */

void host_area_move(enum area from, enum area to, uint64_t here_bytes, uint64_t whole_bytes)
{
    pthread_mutex_lock(&core.lock);
    area_books_move(&core.host_area.books, from, to, here_bytes, whole_bytes);
    pthread_mutex_unlock(&core.lock);
}

int host_area_pin(enum area from, uint64_t here_bytes, uint64_t whole_bytes)
{
    struct area_books *books = &core.host_area.books;
    bool is_buffer = from == AREA_BUFFER;
    int r;

    pthread_mutex_lock(&core.lock);
    if (area_in_force())
        r = areas_admit(host_area_state(), whole_bytes, is_buffer ? here_bytes : 0,
                        is_buffer ? whole_bytes : 0);
    else
        r = areas_over(core.host_budget.limit_bytes, books->bytes[AREA_OPERATION]) < whole_bytes ? -ENOSPC
                                                                                                 : 0;
    if (!r)
        area_books_move(books, from, AREA_OPERATION, here_bytes, whole_bytes);
    pthread_mutex_unlock(&core.lock);
    return r;
}

void host_area_moved(enum area area, int64_t bytes)
{
    if (area == AREA_OPERATION) /* which counts as a whole */
        return;
    pthread_mutex_lock(&core.lock);
    core.host_area.books.bytes[area] += (uint64_t)bytes;
    pthread_mutex_unlock(&core.lock);
}

int host_area_try(enum host_class class, uint64_t bytes)
{
    uint64_t keep_bytes = tier_host_staging();
    int r = 0;

    pthread_mutex_lock(&core.lock);
    if (core_host_active())
        r = budget_charge(&core.host_budget, class, bytes, keep_bytes);
    core.host_area.ranges_bytes += r ? 0 : bytes;
    pthread_mutex_unlock(&core.lock);
    return r;
}

void host_area_force(enum host_class class, uint64_t bytes)
{
    pthread_mutex_lock(&core.lock);
    if (core_host_active())
        budget_force(&core.host_budget, class, bytes);
    core.host_area.ranges_bytes += bytes;
    pthread_mutex_unlock(&core.lock);
}

void host_area_credit(enum host_class class, uint64_t bytes)
{
    pthread_mutex_lock(&core.lock);
    if (core_host_active())
        budget_credit(&core.host_budget, class, bytes);
    core.host_area.ranges_bytes -= bytes;
    pthread_mutex_unlock(&core.lock);
}

void host_area_adopt(int64_t bytes)
{
    pthread_mutex_lock(&core.lock);
    core.host_area.ranges_bytes += (uint64_t)bytes;
    pthread_mutex_unlock(&core.lock);
}

/* ---- keeping to them ----------------------------------------------------------------------------------------- */

struct areas host_area_now(void)
{
    struct areas areas;

    pthread_mutex_lock(&core.lock);
    areas = host_area_state();
    pthread_mutex_unlock(&core.lock);
    return areas;
}

/* What leaves so that all fits counts for the maximum, too. */
static uint64_t excess(const struct areas *areas, uint64_t bytes)
{
    struct areas_excess over = areas_grow_buffers(areas, bytes);

    return over.any_bytes > over.buffer_bytes ? over.any_bytes : over.buffer_bytes;
}

uint64_t host_area_over(uint64_t bytes)
{
    struct areas areas;

    if (!area_in_force())
        return 0;
    areas = host_area_now();
    return excess(&areas, bytes);
}

void host_area_settle(void)
{
    struct host_area *host = &core.host_area;

    while (area_in_force() && !atomic_load(&core.leaving) && tier_disk_open()) {
        struct areas areas = host_area_now();
        uint64_t over = excess(&areas, 0);

        if (!over)
            host->stuck_bytes = 0;
        if (!over || (host->stuck_bytes && areas.buffers_bytes <= host->stuck_bytes))
            return;
        if (!mover_demote(over))
            host->stuck_bytes = areas.buffers_bytes;
    }
}

/* What host blocks can leave while others come, a piece for a piece; `coming_bytes` count as operations already. */
static uint64_t replaceable(uint64_t coming_bytes)
{
    const struct host_area *host = &core.host_area;
    uint64_t stay_bytes, replaceable_bytes;

    pthread_mutex_lock(&core.lock);
    stay_bytes = areas_over(host->books.bytes[AREA_OPERATION], coming_bytes) + host->books.bytes[AREA_FIXED];
    replaceable_bytes = areas_over(host->ranges_bytes, stay_bytes);
    pthread_mutex_unlock(&core.lock);
    return replaceable_bytes;
}

int host_area_make_room(uint64_t coming_bytes)
{
    uint64_t want_bytes = coming_bytes + tier_host_staging(), over_bytes = 0;

    if (area_in_force()) {
        struct areas areas = host_area_now();

        over_bytes = areas_overbooked(&areas, 0);
    }
    if (over_bytes < areas_over(want_bytes, tier_host_room()))
        over_bytes = areas_over(want_bytes, tier_host_room());
    if (over_bytes)
        mover_spill(over_bytes, UINT64_MAX);
    return tier_host_room() + replaceable(coming_bytes) < want_bytes ? -ENOSPC : 0;
}
