/* SPDX-License-Identifier: Apache-2.0 */
#include "expected.h"

#include <string.h>

void expected_find(uint64_t rows, uint64_t seed, struct group *groups, struct row *sums)
{
    memset(groups, 0, GROUPS * sizeof(*groups));
    memset(sums, 0, TABLES * sizeof(*sums));
    for (uint64_t n = 0; n < rows; n++) {
        uint64_t partner = random_at(seed + 2, n) % (rows + rows / 4);
        struct row build = row_at(TABLE_BUILD, n, rows, seed);
        struct row row = row_at(TABLE_PROBE, n, rows, seed);

        sums[TABLE_BUILD].key += build.key;
        sums[TABLE_BUILD].value += build.value;
        sums[TABLE_PROBE].key += row.key;
        sums[TABLE_PROBE].value += row.value;
        if (partner < rows) {
            struct group *group = &groups[row_at(TABLE_BUILD, partner, rows, seed).value];

            group->count++;
            group->sum += row.value;
        }
    }
}
