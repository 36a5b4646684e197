/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/block.h"

#include <criterion/criterion.h>
#include <stdlib.h>

enum {
    GRANULES = 32
};

static struct blocks blocks;

static void setup(void)
{
    cr_assert_eq(blocks_init(&blocks, GRANULE_BYTES, GRANULES * GRANULE_BYTES), 0);
    extent_init(&blocks.arena, calloc(1, extent_bytes_needed(GRANULES)), GRANULES);
}

/* A block of chunks of `each` granules and a last one of what is over. */
static uint32_t block_of(uint32_t granules, uint32_t each)
{
    uint32_t first;

    cr_assert_eq(extent_take(&blocks.arena, granules, &first), 0);
    blocks.block[first] =
        (struct block){.id = ++blocks.last_id, .granules = granules, .chunk_granules = each};
    for (uint32_t at = 0; at < granules; at += each)
        blocks.chunk[first + at] =
            (struct chunk){.granules = granules - at < each ? granules - at : each, .slot = SLOT_NONE};
    return first;
}

TestSuite(block, .init = setup);

Test(block, each_chunk_is_seen_once_and_the_last_may_be_short)
{
    uint32_t before = block_of(3, 3), first = block_of(7, 3), seen = 0;

    block_of(1, 1);
    cr_assert_eq(first, before + 3);
    chunks_each(g, &blocks, first) {
        cr_assert_eq(g, first + 3 * seen);
        cr_assert_eq(blocks.chunk[g].granules, seen == 2 ? 1 : 3);
        seen++;
    }
    cr_assert_eq(seen, 3);
}

Test(block, bytes_are_told_by_state_and_by_whether_they_are_mapped)
{
    uint32_t first = block_of(7, 3);

    blocks.chunk[first].state = CHUNK_RESIDENT;
    blocks.chunk[first + 3].state = CHUNK_HOST;
    blocks.chunk[first + 3].mapped = true;
    blocks.chunk[first + 6].state = CHUNK_HOST;
    cr_assert_eq(chunks_bytes(&blocks, first, CHUNKS(CHUNK_RESIDENT)), 3 * GRANULE_BYTES);
    cr_assert_eq(chunks_bytes(&blocks, first, CHUNKS(CHUNK_HOST)), 4 * GRANULE_BYTES);
    cr_assert_eq(chunks_bytes(&blocks, first, CHUNKS_MAPPED(CHUNK_HOST)), 3 * GRANULE_BYTES);
    cr_assert_eq(chunks_bytes(&blocks, first, CHUNKS_UNMAPPED(CHUNK_HOST)), GRANULE_BYTES);
    cr_assert_eq(chunks_bytes(&blocks, first, ~CHUNKS(CHUNK_RESIDENT)), 4 * GRANULE_BYTES);
    cr_assert_eq(chunks_bytes(&blocks, first, CHUNKS(CHUNK_DISK) | CHUNKS_MAPPED(CHUNK_RESIDENT)), 0);
}

Test(block, each_block_is_seen_dead_or_alive_and_a_hole_is_not)
{
    uint32_t first[] = {block_of(2, 2), block_of(3, 1), block_of(4, 4)}, seen[2], count = 0;

    blocks.block[first[0]].flags = BLOCK_DEAD;
    blocks.block[first[1]].id = 0;
    blocks_each(g, &blocks) {
        cr_assert_lt(count, 2);
        seen[count++] = g;
    }
    cr_assert_eq(count, 2);
    cr_assert_eq(seen[0], first[0]);
    cr_assert_eq(seen[1], first[2]);
}

Test(block, an_arena_that_was_never_used_has_no_block)
{
    cr_assert_eq(blocks_next(&blocks, 0), BLOCK_NONE);
    granules_each(g, &blocks)
        cr_assert_fail("granule %u", g);
}
