/* SPDX-License-Identifier: Apache-2.0 */
/* managed_range.c - see managed_range.h. */
#include "ledger/managed_range.h"

#include <errno.h>
#include <string.h>

#include "base/pages.h"
#include "ledger/state.h"

enum {
    RANGES_MAX = 1 << 20
};

static struct pages_pool records = PAGES_POOL(struct managed_range);
static struct managed_range **list; /* by address */
static _Atomic uint32_t count;
static _Atomic uint64_t lowest = UINT64_MAX, highest; /* addresses that any has had */

bool managed_range_possible(uint64_t address)
{
    return address < atomic_load_explicit(&highest, memory_order_relaxed) &&
           address >= atomic_load_explicit(&lowest, memory_order_relaxed);
}

uint32_t managed_range_count(void)
{
    return atomic_load_explicit(&count, memory_order_relaxed);
}

static uint64_t granule_of(uint64_t address)
{
    return address / GRANULE_BYTES;
}

static uint64_t end_of(const struct managed_range *range)
{
    return range->start + range->bytes;
}

/* The first range that ends behind the address. */
static uint32_t place_of(uint64_t address)
{
    uint32_t low = 0, high = count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (end_of(list[middle]) > address)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

struct managed_range *managed_range_find(uint64_t address)
{
    uint32_t place = place_of(address);

    return place < count && list[place]->start <= address ? list[place] : NULL;
}

static void widen(const struct managed_range *range)
{
    if (range->start < lowest)
        lowest = range->start;
    if (end_of(range) > highest)
        highest = end_of(range);
}

struct managed_range *managed_range_add(uint64_t start, uint64_t bytes, unsigned ordinal)
{
    uint64_t granules = granule_of(start + bytes - 1) - granule_of(start) + 1;
    uint64_t each = (granules + MANAGED_PIECES - 1) / MANAGED_PIECES;
    struct managed_range *range;
    uint32_t place;

    if (!list)
        list = pages_reserve(RANGES_MAX * sizeof(*list));
    range = list && count < RANGES_MAX ? pages_pool_take(&records) : NULL;
    if (!range)
        return NULL;
    memset(range, 0, sizeof(*range));
    range->start = start;
    range->bytes = bytes;
    range->piece_bytes = each * GRANULE_BYTES;
    range->pieces = (uint32_t)((granules + each - 1) / each);
    range->ordinal = (uint8_t)ordinal;
    range->stamp = core_stamp();
    range->is_busy = true;
    place = place_of(start);
    memmove(&list[place + 1], &list[place], (count - place) * sizeof(*list));
    list[place] = range;
    count++;
    widen(range);
    return range;
}

void managed_range_remove(struct managed_range *range)
{
    uint32_t place = place_of(range->start);

    for (uint32_t i = 0; range->in_count; i++)
        if (managed_piece_in(range, i))
            managed_piece_leave(range, i);
    count--;
    memmove(&list[place], &list[place + 1], (count - place) * sizeof(*list));
    pages_pool_give(&records, range);
}

/* ---- pieces ------------------------------------------------------------------------------------------------------- */

static uint64_t base_of(const struct managed_range *range)
{
    return granule_of(range->start) * GRANULE_BYTES;
}

uint32_t managed_piece_at(const struct managed_range *range, uint64_t address)
{
    return (uint32_t)((address - base_of(range)) / range->piece_bytes);
}

uint64_t managed_run_start(const struct managed_range *range, struct managed_run run)
{
    return run.first ? base_of(range) + run.first * range->piece_bytes : range->start;
}

uint64_t managed_run_bytes(const struct managed_range *range, struct managed_run run)
{
    uint64_t end = run.end < range->pieces ? base_of(range) + run.end * range->piece_bytes : end_of(range);

    return end - managed_run_start(range, run);
}

struct managed_run managed_run_next(const struct managed_range *range, uint32_t at, uint32_t end, bool in)
{
    struct managed_run run;

    while (at < end && managed_piece_in(range, at) != in)
        at++;
    run.first = at;
    while (at < end && managed_piece_in(range, at) == in)
        at++;
    run.end = at;
    return run;
}

static bool is_in_beside(uint32_t place, const struct managed_range *range)
{
    return list[place] != range && list[place]->ordinal == range->ordinal && list[place]->in_count;
}

/* Is the granule of a range that has no other lent for one of its neighbours? */
static bool is_lent_already(const struct managed_range *range)
{
    uint64_t granule = granule_of(range->start);
    uint32_t place = place_of(range->start);

    if (granule_of(end_of(range) - 1) != granule)
        return false;
    for (uint32_t i = place; i-- && granule_of(end_of(list[i]) - 1) == granule;)
        if (is_in_beside(i, range))
            return true;
    for (uint32_t i = place + 1; i < count && granule_of(list[i]->start) == granule; i++)
        if (is_in_beside(i, range))
            return true;
    return false;
}

uint64_t managed_piece_cost(const struct managed_range *range, uint32_t piece)
{
    struct managed_run run = {piece, piece + 1};
    uint64_t start = managed_run_start(range, run), end = start + managed_run_bytes(range, run);

    if (range->pieces == 1 && is_lent_already(range))
        return 0;
    return (granule_of(end - 1) - granule_of(start) + 1) * GRANULE_BYTES;
}

int managed_piece_enter(struct managed_range *range, uint32_t piece, uint64_t keep_bytes)
{
    struct budget *budget = &core.devices[range->ordinal].budget;
    uint64_t cost = managed_piece_cost(range, piece);

    if (keep_bytes == UINT64_MAX)
        budget_lend_anyway(budget, cost);
    else if (budget_lend(budget, cost, keep_bytes) < 0)
        return -ENOMEM;
    range->in[piece / 64] |= UINT64_C(1) << piece % 64;
    range->in_count++;
    return 0;
}

void managed_piece_leave(struct managed_range *range, uint32_t piece)
{
    range->in[piece / 64] &= ~(UINT64_C(1) << piece % 64);
    range->in_count--;
    budget_take_back(&core.devices[range->ordinal].budget, managed_piece_cost(range, piece));
}

/* ---- all of them -------------------------------------------------------------------------------------------------- */

struct managed_range *managed_range_oldest(unsigned ordinal, uint64_t newer)
{
    struct managed_range *oldest = NULL;

    for (uint32_t i = 0; i < count; i++)
        if (list[i]->ordinal == ordinal && list[i]->in_count && !list[i]->is_busy && list[i]->stamp < newer) {
            newer = list[i]->stamp;
            oldest = list[i];
        }
    return oldest;
}

void managed_range_sum(unsigned ordinal, struct managed_sum *out)
{
    *out = (struct managed_sum){0};
    for (uint32_t i = 0; i < count; i++) {
        const struct managed_range *range = list[i];

        if (range->ordinal != ordinal)
            continue;
        out->in_count += range->in_count != 0;
        out->out_count += range->in_count == 0;
        out->away_bytes += range->in_count ? 0 : range->bytes;
        for (struct managed_run run = managed_run_next(range, 0, range->pieces, false); run.first < run.end;
             run = managed_run_next(range, run.end, range->pieces, false))
            out->out_bytes += managed_run_bytes(range, run);
    }
}
