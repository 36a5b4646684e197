/* SPDX-License-Identifier: Apache-2.0 */
/* cells.c - see cells.h. */
#include "policy/cells.h"

/*
 * Each class begins where the one before it ends, and goes as far as a block whose every cell has the smallest
 * allocation of the class still has seven eighths in use; a power of two ends it sooner.
 */
static const struct {
    uint16_t units;
    uint16_t granules;
} classes[CELL_CLASSES] = {
    {1, 1},    {2, 1},    {3, 1},    {4, 1},    {5, 1},    {6, 1},    {8, 1},    {10, 1},   {12, 1},
    {14, 1},   {16, 1},   {19, 1},   {22, 1},   {26, 1},   {30, 1},   {32, 1},   {37, 1},   {43, 1},
    {49, 1},   {56, 1},   {64, 1},   {73, 1},   {83, 1},   {95, 1},   {107, 1},  {120, 1},  {128, 1},
    {146, 1},  {163, 1},  {186, 1},  {204, 1},  {227, 1},  {256, 1},  {292, 1},  {315, 1},  {341, 1},
    {372, 1},  {409, 1},  {455, 1},  {512, 1},  {585, 1},  {630, 2},  {682, 1},  {744, 2},  {819, 1},
    {910, 2},  {1024, 1}, {1170, 2}, {1228, 3}, {1365, 1}, {1536, 3}, {1638, 2}, {1755, 3}, {1820, 4},
    {2048, 1}, {2340, 4}, {2457, 3}, {2730, 2}, {3072, 3}, {3276, 4}, {3413, 5}, {3510, 6}, {3584, 7},
};

/* The class that ends at each power of two; the last has all that is above the power before. */
static const uint8_t ends[] = {0, 1, 3, 6, 10, 15, 20, 26, 32, 39, 46, 54, CELL_CLASSES - 1};

unsigned cells_class(uint64_t bytes)
{
    uint64_t units = (bytes + CELL_UNIT_BYTES - 1) / CELL_UNIT_BYTES;
    unsigned power = units > 1 ? 64 - (unsigned)__builtin_clzll(units - 1) : 0, class, end;

    power = power < sizeof(ends) ? power : sizeof(ends) - 1;
    class = power ? ends[power - 1] + 1u : 0;
    end = ends[power];
    while (class < end) {
        unsigned middle = (class + end) / 2;

        if (classes[middle].units < units)
            class = middle + 1;
        else
            end = middle;
    }
    return class;
}

uint32_t cells_bytes(unsigned class)
{
    return (uint32_t)classes[class].units * CELL_UNIT_BYTES;
}

uint32_t cells_granules(unsigned class)
{
    return classes[class].granules;
}

uint32_t cells_count(unsigned class)
{
    return (uint32_t)classes[class].granules * CELL_GRANULE_UNITS / classes[class].units;
}
