/* SPDX-License-Identifier: Apache-2.0 */
#include "base/extent.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static struct extents space(uint32_t count)
{
    struct extents extents;
    extent_init(&extents, calloc(1, extent_bytes_needed(count)), count);
    return extents;
}

static uint32_t take(struct extents *extents, uint32_t granules)
{
    uint32_t first = UINT32_MAX;
    cr_assert_eq(extent_take(extents, granules, &first), 0);
    return first;
}

Test(extent, fills_the_space_to_its_last_granule)
{
    struct extents extents = space(10);
    uint32_t first = 77;
    cr_assert_eq(extent_take(&extents, 11, &first), -ENOMEM);
    cr_assert_eq(take(&extents, 4), 0);
    cr_assert_eq(take(&extents, 6), 4);
    cr_assert_eq(extent_take(&extents, 1, &first), -ENOMEM);
    cr_assert_eq(first, 77);
    cr_assert_eq(extents.taken, 10);
    free(extents.record);
}

Test(extent, given_neighbours_become_one_run)
{
    struct extents extents = space(12);
    uint32_t a = take(&extents, 4), b = take(&extents, 4), c = take(&extents, 3);
    cr_assert_eq(take(&extents, 1), 11);
    extent_give(&extents, a, 4);
    extent_give(&extents, c, 3);
    extent_give(&extents, b, 4);
    cr_assert_eq(take(&extents, 11), 0);
    free(extents.record);
}

Test(extent, run_is_taken_where_it_is_wanted_if_all_of_it_is_free)
{
    struct extents extents = space(20);
    uint32_t a = take(&extents, 4), b = take(&extents, 4);

    cr_assert_eq(extent_take_at(&extents, 12, 2), 0); /* above all that is in use */
    cr_assert_eq(extent_take_at(&extents, 13, 2), -ENOMEM);
    cr_assert_eq(extent_take_at(&extents, 6, 3), -ENOMEM);
    cr_assert_eq(extent_take_at(&extents, 19, 2), -ENOMEM);
    cr_assert_eq(extent_take_at(&extents, 9, 2), 0); /* within a free run */
    extent_give(&extents, a, 4);
    cr_assert_eq(extent_take_at(&extents, 0, 4), 0);
    cr_assert_eq(extents.taken, 12);
    cr_assert_eq(take(&extents, 1), 8); /* what is left of that is free */
    cr_assert_eq(take(&extents, 1), 11);
    extent_give(&extents, 9, 2);
    extent_give(&extents, b, 4);
    extent_give(&extents, 0, 4);
    extent_give(&extents, 8, 1);
    extent_give(&extents, 11, 1);
    extent_give(&extents, 12, 2);
    cr_assert_eq(take(&extents, 20), 0);
    free(extents.record);
}

Test(extent, low_places_come_first)
{
    struct extents extents = space(100);
    uint32_t first[10];
    for (unsigned i = 0; i < 10; i++)
        first[i] = take(&extents, 3);
    extent_give(&extents, first[2], 3);
    extent_give(&extents, first[8], 3);
    extent_give(&extents, first[5], 3);
    cr_assert_eq(take(&extents, 2), first[2]);
    cr_assert_eq(take(&extents, 3), first[5]);
    cr_assert_eq(take(&extents, 3), first[8]);
    cr_assert_eq(take(&extents, 1), first[2] + 2);
    free(extents.record);
}

Test(extent, high_remembers_the_most_ever_used)
{
    struct extents extents = space(100);
    cr_assert_eq(extent_high(&extents), 0);
    uint32_t a = take(&extents, 30), b = take(&extents, 20);
    extent_give(&extents, b, 20);
    extent_give(&extents, a, 30);
    cr_assert_eq(extent_high(&extents), 50);
    cr_assert_eq(take(&extents, 40), 0);
    cr_assert_eq(extent_high(&extents), 50);
    free(extents.record);
}

Test(extent, vast_space_touches_only_what_it_uses)
{
    uint32_t count = EXTENT_MAX;
    size_t bytes = extent_bytes_needed(count);
    void *memory = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    cr_assert_neq(memory, MAP_FAILED);
    cr_assert_eq(mprotect(memory, 4096, PROT_READ | PROT_WRITE), 0);
    struct extents extents;
    extent_init(&extents, memory, count);
    uint32_t first[100];
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 100; i++)
            first[i] = take(&extents, 1 + i % 5);
        for (unsigned i = 0; i < 100; i++)
            extent_give(&extents, first[i], 1 + i % 5);
    }
    cr_assert_eq(extents.taken, 0);
    cr_assert_eq(munmap(memory, bytes), 0);
}

Test(extent, longest_run_of_all_is_found_again)
{
    size_t bytes = extent_bytes_needed(EXTENT_MAX);
    void *memory =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    cr_assert_neq(memory, MAP_FAILED);
    struct extents extents;
    extent_init(&extents, memory, EXTENT_MAX);
    cr_assert_eq(take(&extents, EXTENT_MAX - 1), 0);
    cr_assert_eq(take(&extents, 1), EXTENT_MAX - 1);
    extent_give(&extents, 0, EXTENT_MAX - 1);
    cr_assert_eq(take(&extents, 5), 0);
    cr_assert_eq(take(&extents, EXTENT_MAX - 6), 5);
    cr_assert_eq(munmap(memory, bytes), 0);
}

#ifndef NDEBUG
Test(extent, giving_twice_is_caught, .signal = SIGABRT)
{
    struct extents extents = space(10);
    uint32_t a = take(&extents, 4);
    take(&extents, 4);
    extent_give(&extents, a, 4);
    extent_give(&extents, a, 4);
}

Test(extent, giving_a_part_is_caught, .signal = SIGABRT)
{
    struct extents extents = space(10);
    uint32_t a = take(&extents, 4);
    extent_give(&extents, a, 3);
}
#endif

/* ---- against a model: one byte per granule ---- */

struct model {
    unsigned char *used;
    uint32_t count;
    uint32_t taken;
    uint32_t high;
};

static bool model_has_room(const struct model *model, uint32_t granules)
{
    uint32_t run = 0;
    for (uint32_t i = 0; i < model->count; i++) {
        run = model->used[i] ? 0 : run + 1;
        if (run == granules)
            return true;
    }
    return false;
}

struct run {
    uint32_t first, granules;
};

static uint64_t random_next(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

static void check_random_operations(uint64_t seed, uint32_t count, uint32_t longest, unsigned steps)
{
    struct extents extents = space(count);
    struct model model = {.used = calloc(count, 1), .count = count};
    struct run *live = calloc(count, sizeof *live);
    unsigned lives = 0;
    uint64_t state = seed;
    for (unsigned step = 0; step < steps; step++) {
        /* Phases of growth and of shrinking, so that both full and empty spaces are seen. */
        unsigned growth = step / (4 * count) % 2 ? 40 : 60;
        if (lives == 0 || random_next(&state) % 100 < growth) {
            uint32_t granules = (uint32_t)(random_next(&state) % longest) + 1, first = UINT32_MAX;
            int rc = extent_take(&extents, granules, &first);
            cr_assert_eq(rc, model_has_room(&model, granules) ? 0 : -ENOMEM, "seed %lu step %u",
                         (unsigned long)seed, step);
            if (rc != 0) {
                cr_assert_eq(first, UINT32_MAX);
                continue;
            }
            cr_assert(first < count && granules <= count - first);
            for (uint32_t i = first; i < first + granules; i++) {
                cr_assert_eq(model.used[i], 0, "granule %u given out twice", i);
                model.used[i] = 1;
            }
            model.taken += granules;
            model.high = first + granules > model.high ? first + granules : model.high;
            live[lives++] = (struct run){first, granules};
        } else {
            unsigned at = (unsigned)(random_next(&state) % lives);
            extent_give(&extents, live[at].first, live[at].granules);
            memset(model.used + live[at].first, 0, live[at].granules);
            model.taken -= live[at].granules;
            live[at] = live[--lives];
        }
        cr_assert_eq(extents.taken, model.taken);
        cr_assert_eq(extent_high(&extents), model.high);
    }
    while (lives > 0) {
        lives--;
        extent_give(&extents, live[lives].first, live[lives].granules);
    }
    cr_assert_eq(extents.top, 0);
    for (unsigned word = 0; word < EXTENT_LISTS / 64; word++)
        cr_assert_eq(extents.filled[word], 0);
    free(extents.record);
    free(model.used);
    free(live);
}

Test(extent, random_operations_match_a_bitmap)
{
    for (uint64_t seed = 1; seed <= 40; seed++) {
        check_random_operations(seed, 64, 8, 4000);
        check_random_operations(seed, 300, 70, 4000);
        check_random_operations(seed, 300, 1, 4000);
        check_random_operations(seed, 1000, 400, 2000);
    }
}
