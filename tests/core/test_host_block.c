/* SPDX-License-Identifier: Apache-2.0 */
/* test_host_block.c - the rules of host blocks: what may be one, what stays, what leaves first, what it is charged. */
#include "host/host_state.h"
#include "host_world.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

Test(host_block, pinned_and_held_blocks_stay)
{
    host_world_begin(16 * MIB, NULL);
    uint64_t *words = range_map_registered(4 * MIB), *large = range_map_registered(20 * MIB);
    range_fill(words, 4 * MIB);
    cr_expect_eq(host_block_pin(words, 0), 0);
    cr_expect_eq(host_block_pin(words + 5, 0), 0);
    cr_expect_eq(host_block_evict(words, 0), 0);
    cr_expect_eq(host_block_pin(large, 0), -ENOSPC);
    cr_expect_eq(host_block_unregister(words), -EBUSY);
    cr_expect_eq(host_block_unpin(words), 0);
    cr_expect_eq(host_block_evict(words, 0), 0, "it still has a pin");
    cr_expect_eq(host_block_unpin(words), 0);
    cr_expect_eq(host_block_unpin(words), -EINVAL);
    range_evict(words, 4 * MIB);
    cr_expect_eq(host_block_pin(words, HOST_PIN_NOWAIT), -EAGAIN);
    cr_assert(host_hold(words + MIB / 8, MIB));
    cr_expect_eq(range_away(words), 0, "held: it is there");
    cr_expect_eq(host_block_evict(words, 0), 0);
    host_hold_drop(words + MIB / 8, MIB);
    range_evict(words, 4 * MIB);
    range_release(words, 4 * MIB);
    range_release(large, 20 * MIB);
    host_world_end();
}

Test(host_block, host_memory_that_a_copy_names_stays_until_it_has_ended)
{
    struct use use;

    host_world_begin(64 * MIB, NULL);
    uint64_t *words = range_map_registered(12 * MIB);
    range_fill(words, 12 * MIB);
    range_evict(words, 12 * MIB);
    use_init(&use, false);
    use_host(&use, words, MIB);
    cr_expect_eq(range_away(words), 0);
    use_host(&use, words + MIB / 2, MIB);
    use_host(&use, words + MIB / 8, MIB);
    cr_expect_eq(host_block_evict(words, 0), 0);
    host_hold_drop_all(&use.host);
    range_evict(words, 12 * MIB);
    cr_expect_eq(use.host.count, 0);
    range_release(words, 12 * MIB);
    host_world_end();
}

Test(host_block, range_that_the_driver_had_before_is_held)
{
    host_world_begin(64 * MIB, NULL);
    uint64_t *words = range_map(4 * MIB);
    cr_assert(host_hold(words, MIB));
    cr_assert_eq(host_block_register(words, 4 * MIB, 0, NULL), 0);
    range_fill(words, 4 * MIB);
    cr_expect_eq(host_block_evict(words, 0), 0);
    host_hold_drop(words, MIB);
    range_evict(words, 4 * MIB);
    range_release(words, 4 * MIB);
    host_world_end();
}

Test(host_block, misuse_is_refused)
{
    struct host_block_info info;
    FILE *file = tmpfile();
    char local = 0;

    host_world_begin(64 * MIB, NULL);
    char *memory = (char *)range_map(8 * MIB);
    cr_assert_eq(ftruncate(fileno(file), (off_t)MIB), 0);
    void *mapped = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE, fileno(file), 0);
    void *shared = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    cr_expect_eq(host_block_register(NULL, 4096, 0, NULL), -EINVAL);
    cr_expect_eq(host_block_register(memory, 0, 0, NULL), -EINVAL);
    cr_expect_eq(host_block_register(memory, SIZE_MAX, 0, NULL), -EINVAL);
    cr_expect_eq(host_block_register(mapped, MIB, 0, NULL), -EINVAL, "a file");
    cr_expect_eq(host_block_register(shared, MIB, 0, NULL), -EINVAL, "shared");
    cr_expect_eq(host_block_register(&local, 1, 0, NULL), -EINVAL, "a stack");
    cr_expect_eq(host_block_register(memory + MIB, MIB, 0, "a name"), 0);
    cr_expect_eq(host_block_register(memory + MIB, MIB, 0, NULL), -EEXIST);
    cr_expect_eq(host_block_register(memory + MIB, 2 * MIB, 0, NULL), -EINVAL, "same start");
    cr_expect_eq(host_block_register(memory, 8 * MIB, 0, NULL), -EINVAL, "around");
    cr_expect_eq(host_block_register(memory + MIB + 5, 1, 0, NULL), -EINVAL, "inside");
    cr_expect_eq(host_block_query(memory + MIB - 1, &info), -ENOENT);
    cr_expect_eq(host_block_query(memory + 2 * MIB, &info), -ENOENT);
    cr_expect_eq(host_block_query(memory + MIB + 77, &info), 0);
    cr_expect_eq(info.base, (uintptr_t)memory + MIB);
    cr_expect_eq(info.bytes, MIB);
    cr_expect_str_eq(info.name, "a name");
    cr_expect_eq(host_block_pin(memory, 0), -ENOENT);
    cr_expect_eq(host_block_unpin(memory), -ENOENT);
    cr_expect_eq(host_block_touch(memory), -ENOENT);
    cr_expect_eq(host_block_evict(memory, 0), -ENOENT);
    cr_expect_eq(host_block_unregister(memory), -ENOENT);
    cr_expect_eq(host_block_unregister(memory + 2 * MIB - 1), 0);
    cr_assert_eq(munmap(memory + 4 * MIB, 4096), 0);
    cr_expect_eq(host_block_register(memory, 8 * MIB, 0, NULL), -EINVAL, "a hole");
    fclose(file);
    host_world_end();
}

Test(host_block, untouched_memory_is_zero_and_costs_nothing)
{
    host_world_begin(64 * MIB, NULL);
    uint64_t *words = range_map(8 * MIB);
    words[0] = 5;
    cr_assert_eq(host_block_register(words, 8 * MIB, 0, NULL), 0);
    cr_expect_leq(host_used(), HOST_PIECE_BYTES);
    cr_expect_eq(words[MIB / 8], 0);
    cr_expect_gt(host_used(), HOST_PIECE_BYTES);
    cr_expect_eq(words[0], 5);
    cr_expect_leq(host_block_evict(words, 0), (long)(2 * HOST_PIECE_BYTES));
    cr_expect_eq(words[MIB / 8], 0);
    cr_expect_eq(words[0], 5);
    range_release(words, 8 * MIB);
    host_world_end();
}

Test(host_block, ranges_need_not_begin_or_end_at_a_page)
{
    host_world_begin(64 * MIB, NULL);
    uint64_t *words = range_map(3 * MIB);
    char *from = (char *)words + 777;
    range_fill(words, 3 * MIB);
    cr_assert_eq(host_block_register(from, 3 * MIB - 2000, 0, NULL), 0);
    cr_assert_eq(host_block_register(words, 10, 0, NULL), 0, "less than a page");
    cr_expect_eq(host_block_evict(from, 0), (long)(3 * MIB - 2 * 4096), "whole pages only");
    cr_expect_eq(host_block_evict(words, 0), 0);
    cr_expect(range_is_filled(words, 3 * MIB));
    cr_expect_eq(host_block_unregister(words), 0);
    cr_expect_eq(host_block_unregister(from), 0);
    munmap(words, 3 * MIB);
    host_world_end();
}

Test(host_block, coldest_leaves_first)
{
    host_world_begin(64 * MIB, NULL);
    uint64_t *one = range_map_registered(2 * MIB), *two = range_map_registered(2 * MIB);
    range_fill(one, 2 * MIB);
    range_fill(two, 2 * MIB);
    cr_expect_eq(host_block_touch(one), 0);
    cr_expect_eq(host_block_demote(2 * MIB), 2 * MIB);
    cr_expect_eq(range_away(one), 0);
    cr_expect_eq(range_away(two), 2 * MIB);
    range_release(one, 2 * MIB);
    range_release(two, 2 * MIB);
    host_world_end();
}

Test(host_block, host_memory_that_is_wanted_elsewhere_makes_blocks_leave)
{
    host_world_begin(16 * MIB, NULL);
    uint64_t *words = range_map_registered(12 * MIB);
    range_fill(words, 12 * MIB);
    cr_expect_eq(core_host_charge(HOST_PINNED, 10 * MIB), 0);
    cr_expect_leq(host_used(), 16 * MIB);
    cr_expect_geq(range_away(words), 6 * MIB);
    cr_expect(range_is_filled(words, 12 * MIB));
    core_host_credit(HOST_PINNED, 10 * MIB);
    range_release(words, 12 * MIB);
    host_world_end();
}

/* What is in memory of it is there already: others leave first, and of what is larger than the budget a part. */
Test(host_block, registering_what_there_is_no_room_for_makes_blocks_leave)
{
    host_world_begin(16 * MIB, NULL);
    uint64_t *words = range_map_registered(10 * MIB), *more = range_map(10 * MIB),
             *much = range_map(24 * MIB);
    range_fill(words, 10 * MIB);
    range_fill(more, 10 * MIB);
    range_fill(much, 24 * MIB);
    cr_assert_eq(host_block_register(more, 10 * MIB, 0, NULL), 0);
    cr_expect_leq(host_peak(), 16 * MIB);
    cr_expect_geq(range_away(words), 4 * MIB);
    uint64_t away_bytes = range_away(words) + range_away(more);
    cr_expect_eq(host_block_register(more, 10 * MIB, 0, NULL), -EEXIST);
    cr_expect_eq(range_away(words) + range_away(more), away_bytes, "a refusal makes nobody leave");
    cr_assert_eq(host_block_register(much, 24 * MIB, 0, NULL), 0);
    cr_expect_leq(host_used(), 16 * MIB);
    cr_expect(range_is_filled(words, 10 * MIB));
    cr_expect(range_is_filled(much, 24 * MIB));
    range_release(words, 10 * MIB);
    range_release(more, 10 * MIB);
    range_release(much, 24 * MIB);
    host_world_end();
}

Test(host_block, memory_unmapped_behind_our_back_harms_nobody)
{
    host_world_begin(64 * MIB, NULL);
    uint64_t *words = range_map_registered(4 * MIB);
    range_fill(words, 4 * MIB);
    cr_expect_eq(host_block_evict(words, 2 * MIB), (long)(2 * MIB));
    uint64_t *other =
        mmap(words, 4 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    cr_assert_eq(other, words);
    for (uint64_t i = 0; i < 4 * MIB / 8; i++)
        other[i] = i;
    host_block_evict(words, 0);
    uint64_t wrong = 0;
    for (uint64_t i = 0; i < 4 * MIB / 8; i++)
        wrong += other[i] != i;
    cr_expect_eq(wrong, 0);
    range_release(words, 4 * MIB);
    host_world_end();
}

/* The budget is full of other memory when it is freed: what is away is not charged again for that. */
Test(host_block, freed_heap_block_is_forgotten_with_what_is_on_disk)
{
    host_world_begin(8 * MIB, NULL);
    uint64_t *words = range_map(4 * MIB);
    range_fill(words, 4 * MIB);
    cr_assert_eq(core_host_charge(HOST_HEAP, 4 * MIB), 0); /* as malloc does */
    cr_assert_eq(host_block_adopt(words, 4 * MIB), 0);
    cr_expect_eq(host_used_by(HOST_HEAP), 4 * MIB);
    cr_expect_eq(host_block_evict(words, 3 * MIB), (long)(3 * MIB));
    cr_expect_eq(host_used_by(HOST_HEAP), MIB);
    cr_assert_eq(core_host_charge(HOST_PINNED, 6 * MIB), 0);
    cr_expect_eq(host_block_abandon(words + 1, 4 * MIB - 8), 0);
    cr_expect(host_block_any());
    uint64_t absent_bytes = host_block_abandon(words, 4 * MIB);
    cr_expect_not(host_block_any());
    cr_expect_geq(absent_bytes, 3 * MIB);
    cr_expect_eq(host_block_abandon(words, 4 * MIB), 0);
    cr_expect_eq(host_used_by(HOST_HEAP), 4 * MIB - absent_bytes);
    cr_expect_leq(host_peak(), 8 * MIB);
    core_host_credit(HOST_HEAP, 4 * MIB - absent_bytes);
    core_host_credit(HOST_PINNED, 6 * MIB);
    words[0] = 1; /* anybody's memory again */
    munmap(words, 4 * MIB);
    host_world_end();
}

/* malloc charges it all, unregistered, touched or not: others leave for it. */
Test(host_block, untouched_heap_is_charged_again_when_it_is_unregistered)
{
    host_world_begin(8 * MIB, NULL);
    uint64_t *words = range_map(4 * MIB), *others = range_map_registered(6 * MIB);
    cr_assert_eq(core_host_charge(HOST_HEAP, 4 * MIB), 0);
    cr_assert_eq(host_block_adopt(words, 4 * MIB), 0);
    cr_expect_eq(host_used_by(HOST_HEAP), 0);
    range_fill(others, 6 * MIB);
    cr_expect_eq(host_block_unregister(words), 0);
    cr_expect_eq(host_used_by(HOST_HEAP), 4 * MIB);
    cr_expect_leq(host_peak(), 8 * MIB);
    core_host_credit(HOST_HEAP, 4 * MIB);
    munmap(words, 4 * MIB);
    range_release(others, 6 * MIB);
    host_world_end();
}

static bool is_heap(const void *ptr)
{
    return ptr != NULL;
}

Test(host_block, freed_memory_takes_the_blocks_inside_it_along)
{
    host_world_begin(64 * MIB, NULL);
    host_block_is_heap = is_heap;
    uint64_t *words = range_map(4 * MIB);
    range_fill(words, 4 * MIB);
    cr_assert_eq(core_host_charge(HOST_HEAP, 4 * MIB), 0);
    cr_assert_eq(host_block_register(words + 100, MIB, 0, NULL), 0);
    cr_assert_eq(host_block_register(words + 2 * MIB / 8, MIB, 0, NULL), 0);
    cr_expect_eq(host_used(), 4 * MIB, "counted once");
    range_evict(words + 2 * MIB / 8, MIB);
    cr_expect_eq(host_used(), 3 * MIB);
    cr_expect_eq(host_block_abandon(words, 4 * MIB), MIB);
    cr_expect_not(host_block_any());
    cr_expect_eq(host_used(), 3 * MIB);
    core_host_credit(HOST_HEAP, 3 * MIB);
    munmap(words, 4 * MIB);
    host_world_end();
}

/* Each armed range is a mapping, and what lies between two is another one. */
Test(host_block, ranges_beyond_half_of_what_may_be_mapped_stay_in_memory)
{
    enum {
        MOST = 400,
        RANGES = 300
    };
    uint64_t stride = 2 * HOST_PIECE_BYTES, away = 0, heap = 0;

    host_maps_most = MOST;
    host_world_begin(64 * MIB, NULL);
    char *memory = (char *)range_map(RANGES * stride);

    for (uint64_t i = 0; i < RANGES; i++) {
        uint64_t *words = (uint64_t *)(void *)(memory + i * stride);

        cr_assert_eq(host_block_register(words, HOST_PIECE_BYTES, 0, NULL), 0);
        range_fill(words, HOST_PIECE_BYTES);
    }
    cr_expect_eq(host_used(), RANGES * HOST_PIECE_BYTES);
    for (uint64_t i = 0; i < RANGES; i++) {
        host_block_evict(memory + i * stride, 0);
        away += range_away(memory + i * stride) != 0;
    }
    cr_expect_eq(away, MOST / 4);
    heap += host_block_adopt(memory + HOST_PIECE_BYTES, 4096) == 0;
    cr_expect_eq(heap, 0, "the heap keeps it as it was");
    uint64_t *large = range_map_registered(4 * MIB);
    range_fill(large, 4 * MIB);
    range_evict(large, 4 * MIB);
    range_release(large, 4 * MIB);
    for (uint64_t i = 0; i < RANGES; i++) {
        cr_expect(range_is_filled((uint64_t *)(void *)(memory + i * stride), HOST_PIECE_BYTES));
        cr_assert_eq(host_block_unregister(memory + i * stride), 0);
    }
    uint64_t *again = range_map_registered(HOST_PIECE_BYTES);
    range_fill(again, HOST_PIECE_BYTES);
    range_evict(again, HOST_PIECE_BYTES);
    range_release(again, HOST_PIECE_BYTES);
    munmap(memory, RANGES * stride);
    host_world_end();
}
