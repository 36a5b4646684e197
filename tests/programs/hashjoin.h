/* SPDX-License-Identifier: Apache-2.0 */
/* What the program and its kernels agree on. */
#ifndef PROGRAMS_HASHJOIN_H
#define PROGRAMS_HASHJOIN_H

#include "random.h"

struct row {
    uint64_t key;
    uint64_t value;
};

/* One line of the result. */
struct group {
    uint64_t count;
    uint64_t sum;
};

enum {
    GROUPS = 4096,
    SLICES = 256, /* parts of a block that are counted and scattered by one thread each, in order */
};

/* In place of the key of a joined row: the group that it belongs to, or this if it found no partner. */
static const uint64_t no_group = ~(uint64_t)0;

enum table {
    TABLE_BUILD, /* each key once; the value is the group */
    TABLE_PROBE, /* four of five rows have a partner */
    TABLES,
};

/* Row n of a table of `rows` rows. */
#ifdef __CUDACC__
__host__ __device__
#endif
    static inline struct row
    row_at(uint32_t table, uint64_t n, uint64_t rows, uint64_t seed)
{
    struct row row;

    if (table == TABLE_BUILD) {
        row.key = random_at(seed, n);
        row.value = random_at(seed + 1, n) % GROUPS;
    } else {
        row.key = random_at(seed, random_at(seed + 2, n) % (rows + rows / 4));
        row.value = random_at(seed + 3, n) & 0xffff;
    }
    return row;
}

#endif
