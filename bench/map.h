/* SPDX-License-Identifier: Apache-2.0 */
/*
 * map.h - the anchor of the look-up: the same question answered by a hash table (uthash, keys mixed in 64 bits).
 */
#ifndef EBB_BENCH_MAP_H
#define EBB_BENCH_MAP_H

#include <stdint.h>

/** Enter the blocks of the crowd. */
void map_fill(uint32_t blocks);
void map_empty(void);

/** What the block table answers for the start of a block. */
uint32_t map_owner(uint64_t address);

#endif
