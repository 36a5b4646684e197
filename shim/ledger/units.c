/* SPDX-License-Identifier: Apache-2.0 */
/* units.c - see units.h. */
#include "ledger/units.h"

#include <stdbool.h>

enum {
    WORD_BITS = 64,
    WORDS = CELL_GRANULE_UNITS / WORD_BITS
};

/* The first unit from one on, below `end`, that is taken, or free; `end` or more: none is. */
static uint32_t next_that_is(const struct units *units, uint32_t unit, uint32_t end, bool taken)
{
    uint32_t word = unit / WORD_BITS;
    uint64_t flip = taken ? 0 : UINT64_MAX, bits;

    if (unit >= end)
        return end;
    bits = (units->taken[word] ^ flip) & (UINT64_MAX << unit % WORD_BITS);
    while (!bits && ++word * WORD_BITS < end)
        bits = units->taken[word] ^ flip;
    return bits ? word * WORD_BITS + (uint32_t)__builtin_ctzll(bits) : end;
}

/* The last unit up to one in which a bit is set; CELL_GRANULE_UNITS: none is. */
static uint32_t last_set(const uint64_t *set, uint32_t unit)
{
    uint32_t word = unit / WORD_BITS;
    uint64_t bits = set[word] & (UINT64_MAX >> (WORD_BITS - 1 - unit % WORD_BITS));

    while (!bits && word)
        bits = set[--word];
    return bits ? word * WORD_BITS + WORD_BITS - 1 - (uint32_t)__builtin_clzll(bits) : CELL_GRANULE_UNITS;
}

uint32_t units_find(const struct units *units, uint32_t count, uint32_t *out_largest)
{
    uint32_t largest = 0;

    for (uint32_t hole = next_that_is(units, 0, CELL_GRANULE_UNITS, false), end; hole < CELL_GRANULE_UNITS;
         hole = next_that_is(units, end, CELL_GRANULE_UNITS, false)) {
        uint32_t enough = count < CELL_GRANULE_UNITS - hole ? hole + count : CELL_GRANULE_UNITS;

        end = next_that_is(units, hole, enough, true);
        if (end - hole >= count)
            return hole;
        largest = end - hole > largest ? end - hole : largest;
    }
    *out_largest = largest;
    return CELL_GRANULE_UNITS;
}

uint32_t units_hole(const struct units *units, uint32_t unit)
{
    uint32_t before = last_set(units->taken, unit);

    return next_that_is(units, unit, CELL_GRANULE_UNITS, true) -
           (before == CELL_GRANULE_UNITS ? 0 : before + 1);
}

static void mark(uint64_t *bits, uint32_t first, uint32_t count, bool set)
{
    for (uint32_t unit = first, end = first + count; unit < end;) {
        uint32_t at = unit % WORD_BITS, some = WORD_BITS - at < end - unit ? WORD_BITS - at : end - unit;
        uint64_t mask = (some == WORD_BITS ? UINT64_MAX : (UINT64_C(1) << some) - 1) << at;

        bits[unit / WORD_BITS] = set ? bits[unit / WORD_BITS] | mask : bits[unit / WORD_BITS] & ~mask;
        unit += some;
    }
}

void units_take(struct units *units, uint32_t first, uint32_t count)
{
    mark(units->taken, first, count, true);
    mark(units->begins, first, 1, true);
}

void units_give(struct units *units, uint32_t first, uint32_t count)
{
    mark(units->taken, first, count, false);
    mark(units->begins, first, 1, false);
}

uint32_t units_begin(const struct units *units, uint32_t unit)
{
    return last_set(units->begins, unit);
}

uint32_t units_next(const struct units *units, uint32_t unit)
{
    uint32_t word = unit / WORD_BITS;
    uint64_t bits;

    if (unit >= CELL_GRANULE_UNITS)
        return CELL_GRANULE_UNITS;
    bits = units->begins[word] & (UINT64_MAX << unit % WORD_BITS);
    while (!bits && ++word < WORDS)
        bits = units->begins[word];
    return bits ? word * WORD_BITS + (uint32_t)__builtin_ctzll(bits) : CELL_GRANULE_UNITS;
}
