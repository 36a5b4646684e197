/* SPDX-License-Identifier: Apache-2.0 */
/* units.c - see units.h. */
#include "ledger/units.h"

#include <stdbool.h>

enum {
    WORD_BITS = 64,
    WORDS = CELL_GRANULE_UNITS / WORD_BITS
};

uint32_t units_find(const struct units *units, uint32_t count)
{
    uint32_t run = 0;

    for (uint32_t unit = 0; unit < CELL_GRANULE_UNITS;) {
        uint64_t word = units->taken[unit / WORD_BITS];
        bool is_whole = unit % WORD_BITS == 0 && (word == 0 || word == UINT64_MAX);
        uint32_t step = is_whole ? WORD_BITS : 1;

        run = word >> unit % WORD_BITS & 1 ? 0 : run + step;
        unit += step;
        if (run >= count)
            return unit - run;
    }
    return CELL_GRANULE_UNITS;
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
    uint32_t word = unit / WORD_BITS;
    uint64_t bits = units->begins[word] & (UINT64_MAX >> (WORD_BITS - 1 - unit % WORD_BITS));

    while (!bits && word)
        bits = units->begins[--word];
    return bits ? word * WORD_BITS + WORD_BITS - 1 - (uint32_t)__builtin_clzll(bits) : CELL_GRANULE_UNITS;
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
