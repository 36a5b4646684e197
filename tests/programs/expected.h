/* SPDX-License-Identifier: Apache-2.0 */
/* What hashjoin has to find. */
#ifndef PROGRAMS_EXPECTED_H
#define PROGRAMS_EXPECTED_H

#include "hashjoin.h"

/*
 * Works the result out on the CPU, without partitions and hash tables: the rows are generated, so partners
 * are known. Fills groups[GROUPS], and in sums[TABLES] all keys and all values of each table added up.
 */
void expected_find(uint64_t rows, uint64_t seed, struct group *groups, struct row *sums);

#endif
