/* SPDX-License-Identifier: Apache-2.0 */
/* forecast.c - see forecast.h. */
#include "policy/forecast.h"

/* A row keeps the size of a block that is gone until it has another one: then nobody can say. */
static bool is_as_large(const struct outlook *outlook, uint32_t old, uint32_t heir)
{
    const struct outlook_block *was = &outlook->block[outlook_index(old)];

    return was->generation != old >> OUTLOOK_INDEX_BITS ||
           was->granules == outlook->block[outlook_index(heir)].granules;
}

void forecast_inherit(struct outlook *outlook, const struct history *history)
{
    uint32_t count;

    if (history->place == HISTORY_NOWHERE)
        return;
    count = history_uses(history, history->place);
    if (history_uses(history, history->last) != count)
        return;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t old = history_name(history, history->place, i),
                 heir = history_name(history, history->last, i);

        if (old != heir && outlook_lives(outlook, heir) && is_as_large(outlook, old, heir))
            outlook_inherit(outlook, old, heir);
    }
}

void forecast_begin(struct outlook *outlook)
{
    outlook->walks++;
}

static void foretell(struct outlook *outlook, uint32_t index, uint32_t ahead)
{
    struct outlook_block *block = &outlook->block[index];

    if (block->walk == outlook->walks && block->ahead <= ahead)
        return;
    block->walk = outlook->walks;
    block->ahead = ahead;
}

/* Launches of all threads until this one makes its launch number `own` from now. */
static uint32_t ahead_of(const struct history *history, uint32_t own)
{
    uint64_t ahead = ((uint64_t)own * history->stride + (1 << 15)) >> 16;

    return ahead < own ? own : ahead < OUTLOOK_NEVER ? (uint32_t)ahead : OUTLOOK_NEVER - 1;
}

void forecast_walk(struct outlook *outlook, const struct history *history)
{
    uint32_t position =
        history->place == HISTORY_NOWHERE ? HISTORY_NOWHERE : history_next(history, history->place);

    for (uint32_t own = 1; position != HISTORY_NOWHERE; own++, position = history_next(history, position)) {
        uint32_t ahead = ahead_of(history, own), count = history_uses(history, position);

        for (uint32_t i = 0; i < count; i++) {
            uint32_t index = outlook_find(outlook, history_name(history, position, i));

            if (index != OUTLOOK_NOBODY)
                foretell(outlook, index, ahead);
        }
    }
}

/* Gap number `back` from the last one, which is 1. */
static uint32_t gap(const struct outlook_block *block, unsigned back)
{
    return block->gap[(uint8_t)(block->gaps - back) % OUTLOOK_GAPS];
}

static bool repeats(const struct outlook_block *block, unsigned period)
{
    for (unsigned i = 1; i <= period; i++) {
        uint32_t one = gap(block, i), other = gap(block, i + period);
        uint32_t off = one < other ? other - one : one - other;

        if (one == UINT16_MAX || 10 * off > one + 20)
            return false;
    }
    return true;
}

uint32_t forecast_gaps(const struct outlook *outlook, uint32_t index)
{
    const struct outlook_block *block = &outlook->block[index];
    unsigned known = block->has_gaps ? OUTLOOK_GAPS : block->gaps;

    for (unsigned period = 1; 2 * period <= known; period++) {
        uint32_t length = gap(block, period), late;

        if (!repeats(block, period))
            continue;
        late = outlook->now - block->burst;
        if (late <= length)
            return length - late + 1;
        return 10 * (late - length) < length + 20 ? 1 : OUTLOOK_NEVER;
    }
    return OUTLOOK_NEVER;
}
