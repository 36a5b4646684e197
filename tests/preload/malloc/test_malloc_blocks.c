/* SPDX-License-Identifier: Apache-2.0 */
/* Ranges of the heap that are registered, evicted, and freed or resized by each way there is, without a word to us. */
#include <criterion/criterion.h>
#include <ebbtide.h>

#include <stdlib.h>
#include <string.h>

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

void *mallocx(size_t bytes, int flags) __attribute__((weak));
void *rallocx(void *memory, size_t bytes, int flags) __attribute__((weak));
void dallocx(void *memory, int flags) __attribute__((weak));
void sdallocx(void *memory, size_t bytes, int flags) __attribute__((weak));
size_t xallocx(void *memory, size_t bytes, size_t extra, int flags) __attribute__((weak));

/* A page in a slab, a slot, what only jemalloc keeps, what is given to the system. */
static const size_t sizes[] = {8 * KIB, 64 * KIB, 2 * MIB, 20 * MIB};

static unsigned char *evicted(size_t bytes, int value)
{
    unsigned char *memory = malloc(bytes);
    struct ebb_block_info info = {.struct_bytes = sizeof info};

    cr_assert(memory);
    memset(memory, value, bytes);
    cr_assert_eq(ebb_register(memory, bytes, 0, "heap"), 0);
    cr_expect_geq(ebb_evict(memory, 0, EBB_TIER_DISK), 0);
    cr_assert_eq(ebb_query(memory, &info), 0);
    return memory;
}

static void expect_all(const unsigned char *memory, size_t bytes, int value)
{
    for (size_t i = 0; i < bytes; i++)
        cr_assert_eq(memory[i], value, "byte %zu of %zu is %d", i, bytes, memory[i]);
}

/* What the freed range becomes is nobody's block, holds what is written to it, and zeros for calloc. */
static void expect_free(const unsigned char *memory, size_t bytes)
{
    struct ebb_block_info info = {.struct_bytes = sizeof info};
    unsigned char *again[12];

    cr_expect_neq(ebb_query((void *)memory, &info), 0, "%zu bytes: it is a block still", bytes);
    for (unsigned i = 0; i < 12 && bytes * 12 <= 64 * MIB; i++) {
        again[i] = i % 2 ? calloc(1, bytes) : malloc(bytes);
        cr_assert(again[i]);
        if (i % 2)
            expect_all(again[i], bytes, 0);
        memset(again[i], (int)i + 1, bytes);
    }
    for (unsigned i = 0; i < 12 && bytes * 12 <= 64 * MIB; i++) {
        expect_all(again[i], bytes, (int)i + 1);
        free(again[i]);
    }
    again[0] = calloc(1, bytes);
    cr_assert(again[0]);
    expect_all(again[0], bytes, 0);
    free(again[0]);
}

static void by_free(void *memory, size_t bytes)
{
    (void)bytes;
    free(memory);
}

static void by_dallocx(void *memory, size_t bytes)
{
    (void)bytes;
    dallocx(memory, 0);
}

static void by_sdallocx(void *memory, size_t bytes)
{
    sdallocx(memory, bytes, 0);
}

static void by_realloc(void *memory, size_t bytes)
{
    (void)bytes;
    cr_expect_null(realloc(memory, 0));
}

static void free_each(void (*way)(void *memory, size_t bytes))
{
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        unsigned char *memory = evicted(sizes[i], 77);

        way(memory, sizes[i]);
        expect_free(memory, sizes[i]);
    }
}

/* The budget of 64 MiB is full of another object when one is freed whose bytes are away: nothing of that is charged, and
 * no room comes of it that there is not. */
static void free_over_the_budget(void (*way)(void *memory, size_t bytes), size_t bytes)
{
    const size_t count = 40 * MIB / bytes, piece = 256 * KIB;
    unsigned char *memory[40 * MIB / (2 * MIB)], *full, *more[64 * MIB / (256 * KIB)];
    struct ebb_stats now = {.struct_bytes = sizeof now};
    unsigned got = 0;

    for (size_t i = 0; i < count; i++)
        memory[i] = evicted(bytes, 3);
    cr_assert_eq(ebb_get_stats(&now), 0);
    if (!now.to_disk_bytes)
        cr_skip("faults of the kernel are not handed to this user");
    full = malloc(48 * MIB);
    cr_assert(full);
    memset(full, 4, 48 * MIB);
    for (size_t i = 0; i < count; i++)
        way(memory[i], bytes);
    while (got < sizeof more / sizeof more[0] && (more[got] = malloc(piece)))
        memset(more[got++], 5, piece);
    cr_assert_eq(ebb_get_stats(&now), 0);
    cr_expect_leq(now.tier[EBB_TIER_HOST].peak_bytes, 64 * MIB, "objects of %zu bytes", bytes);
    cr_expect_leq(48 * MIB + got * piece, 64 * MIB);
    cr_expect_geq(48 * MIB + got * piece, 56 * MIB, "%u more", got);
    while (got)
        free(more[--got]);
    free(full);
}

TestSuite(malloc_blocks, .timeout = 60);

Test(malloc_blocks, evicted_data_of_the_heap_goes_to_disk_and_comes_back)
{
    unsigned char *memory = evicted(20 * MIB, 5);
    struct ebb_stats now = {.struct_bytes = sizeof now};

    cr_assert_eq(ebb_get_stats(&now), 0);
    if (!now.to_disk_bytes)
        cr_skip("faults of the kernel are not handed to this user");
    cr_expect_geq(now.to_disk_bytes, 19 * MIB);
    expect_all(memory, 20 * MIB, 5);
    cr_expect_eq(ebb_unregister(memory), 0);
    free(memory);
}

Test(malloc_blocks, free_ends_them)
{
    free_each(by_free);
}

Test(malloc_blocks, dallocx_ends_them)
{
    free_each(by_dallocx);
}

Test(malloc_blocks, sdallocx_ends_them)
{
    free_each(by_sdallocx);
}

Test(malloc_blocks, realloc_to_0_ends_them)
{
    free_each(by_realloc);
}

Test(malloc_blocks, realloc_and_rallocx_keep_what_was_away)
{
    for (unsigned i = 0; i < 3; i++) {
        for (unsigned way = 0; way < 4; way++) {
            unsigned char *memory = evicted(sizes[i], 33), *moved;
            size_t bytes = way % 2 ? sizes[i] / 2 : sizes[i] * 2;

            moved = way < 2 ? realloc(memory, bytes) : rallocx(memory, bytes, 0);
            cr_assert(moved && moved != memory);
            expect_all(moved, bytes < sizes[i] ? bytes : sizes[i], 33);
            expect_free(memory, sizes[i]);
            free(moved);
        }
    }
}

Test(malloc_blocks, xallocx_leaves_them_as_they_are)
{
    unsigned char *memory = evicted(2 * MIB, 44);

    cr_expect_geq(xallocx(memory, MIB, 0, 0), 2 * MIB);
    expect_all(memory, 2 * MIB, 44);
    free(memory);
    expect_free(memory, 2 * MIB);
}

Test(malloc_blocks, one_inside_an_object_ends_with_it)
{
    unsigned char *memory = malloc(4 * MIB);
    struct ebb_block_info info = {.struct_bytes = sizeof info};

    cr_assert(memory);
    memset(memory, 9, 4 * MIB);
    cr_assert_eq(ebb_register(memory + MIB, MIB, 0, "inside"), 0);
    ebb_evict(memory + MIB, 0, EBB_TIER_DISK);
    free(memory);
    cr_expect_neq(ebb_query(memory + MIB, &info), 0);
    expect_free(memory, 4 * MIB);
}

/* Else it would be charged as heap and as registered memory. */
Test(malloc_blocks, the_heap_is_charged_once)
{
    struct ebb_stats before = {.struct_bytes = sizeof before}, after = before;
    unsigned char *memory = malloc(20 * MIB);

    memset(memory, 1, 20 * MIB);
    cr_assert_eq(ebb_get_stats(&before), 0);
    for (unsigned inside = 0; inside < 2; inside++) {
        unsigned char *range = memory + inside * 7 * MIB;

        cr_assert_eq(ebb_register(range, 12 * MIB, 0, "heap"), 0);
        cr_assert_eq(ebb_get_stats(&after), 0);
        cr_expect_lt(after.tier[EBB_TIER_HOST].used_bytes, before.tier[EBB_TIER_HOST].used_bytes + 2 * MIB);
        cr_assert_eq(ebb_unregister(range), 0);
    }
    free(memory);
    cr_assert_eq(ebb_get_stats(&after), 0);
    cr_expect_lt(after.tier[EBB_TIER_HOST].used_bytes + 15 * MIB, before.tier[EBB_TIER_HOST].used_bytes);
}

static void free_each_over_the_budget(void (*way)(void *memory, size_t bytes))
{
    free_over_the_budget(way, 2 * MIB);
    free_over_the_budget(way, 20 * MIB);
}

Test(malloc_blocks, free_charges_nothing_that_was_away)
{
    free_each_over_the_budget(by_free);
}

Test(malloc_blocks, dallocx_and_sdallocx_charge_nothing_that_was_away)
{
    free_each_over_the_budget(by_dallocx);
    free_each_over_the_budget(by_sdallocx);
}
