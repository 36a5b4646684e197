/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/victims.h"

#include <criterion/criterion.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static uint64_t random_state = 1;

static uint64_t random_next(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    uint64_t mixed = random_state ^ random_state >> 29;
    return mixed * 0x9e3779b97f4a7c15u >> 3;
}

/* What the blocks behind the stamps weigh, and whether each is asked for at most once. */
struct world {
    const uint64_t *bytes;
    unsigned char *asked;
};

static uint64_t movable_bytes(uint32_t index, void *arg)
{
    struct world *world = arg;
    cr_assert_eq(world->asked[index], 0, "block %u was asked for twice", index);
    world->asked[index] = 1;
    return world->bytes[index];
}

static uint64_t always_two(uint32_t index, void *arg)
{
    (void)index;
    (void)arg;
    return 2;
}

static int by_age(const void *left, const void *right)
{
    const struct victim *a = left, *b = right;
    if (a->order != b->order)
        return a->order < b->order ? -1 : 1;
    return a->index < b->index ? -1 : a->index > b->index;
}

/* The naive answer: sort everything. */
static size_t model_choose(const struct victims *view, const uint64_t *bytes, uint64_t need_bytes,
                           uint32_t *out, size_t out_max)
{
    struct victim *all = malloc((view->count + 1) * sizeof *all);
    size_t count = 0, chosen = 0;
    for (size_t i = 0; i < view->count; i++)
        if (view->stamp[i] != 0 && view->stamp[i] <= view->newest)
            all[count++] = (struct victim){view->stamp[i], 0, (uint32_t)i};
    qsort(all, count, sizeof *all, by_age);
    uint64_t got_bytes = 0;
    for (size_t i = 0; i < count && got_bytes < need_bytes && chosen < out_max; i++) {
        if (bytes[all[i].index] == 0)
            continue;
        got_bytes += bytes[all[i].index];
        out[chosen++] = all[i].index;
    }
    free(all);
    return chosen;
}

enum shape {
    RANDOM,
    ALL_EQUAL,
    FEW_VALUES,
    ASCENDING,
    DESCENDING,
    MOSTLY_ABSENT,
    ALL_ABSENT,
    PERIODIC,
    HUGE,
    SHAPE_COUNT
};

static uint64_t stamp_of(enum shape shape, size_t i, size_t count)
{
    switch (shape) {
    case RANDOM:
        return random_next() % (4 * count) + 1;
    case ALL_EQUAL:
        return 7;
    case FEW_VALUES:
        return random_next() % 4;
    case ASCENDING:
        return i + 1;
    case DESCENDING:
        return count - i;
    case MOSTLY_ABSENT:
        return random_next() % 50 ? 0 : random_next() % count + 1;
    case PERIODIC:
        return i % 64 + 1;
    case HUGE:
        return VICTIMS_STAMP_MAX - random_next() % 100;
    case ALL_ABSENT:
    case SHAPE_COUNT:
        break;
    }
    return 0;
}

static void check_against_model(enum shape shape, size_t count, size_t scratch_count)
{
    uint64_t *stamp = malloc((count + 1) * sizeof *stamp), *bytes = malloc((count + 1) * sizeof *bytes);
    uint32_t *got = malloc((count + 1) * sizeof *got), *expected = malloc((count + 1) * sizeof *expected);
    struct world world = {.bytes = bytes, .asked = calloc(count + 1, 1)};
    struct victim *scratch = malloc(scratch_count * sizeof *scratch);
    uint64_t total = 0;
    for (size_t i = 0; i < count; i++) {
        stamp[i] = stamp_of(shape, i, count);
        bytes[i] = random_next() % 3 ? random_next() % 64 : 0;
        total += bytes[i];
    }
    struct victims view = {.stamp = stamp,
                           .count = count,
                           .newest = random_next() % 2 ? UINT64_MAX : random_next() % (2 * count + 2),
                           .movable_bytes = movable_bytes,
                           .arg = &world,
                           .scratch = scratch,
                           .scratch_count = scratch_count};
    uint64_t needs[] = {0, 1, random_next() % 500, total / 2, UINT64_MAX};
    uint64_t need_bytes = needs[random_next() % 5];
    size_t out_max = random_next() % 4 ? count : random_next() % (count + 1);
    size_t chosen = victims_choose(&view, need_bytes, got, out_max);
    cr_assert_eq(chosen, model_choose(&view, bytes, need_bytes, expected, out_max),
                 "shape %d of %zu: %zu chosen", shape, count, chosen);
    cr_assert_eq(memcmp(got, expected, chosen * sizeof *got), 0, "shape %d of %zu: another order", shape,
                 count);
    free(stamp);
    free(bytes);
    free(got);
    free(expected);
    free(world.asked);
    free(scratch);
}

Test(victims, any_input_gives_what_sorting_gives)
{
    for (unsigned round = 0; round < 150; round++)
        for (enum shape shape = 0; shape < SHAPE_COUNT; shape++) {
            size_t count = random_next() % 5 ? random_next() % 300 + 1 : random_next() % 6000 + 1;
            check_against_model(shape, count,
                                random_next() % 2 ? VICTIMS_SCRATCH_MIN : random_next() % 200 + 16);
        }
}

Test(victims, any_input_gives_what_sorting_gives_at_full_size)
{
    for (enum shape shape = 0; shape < SHAPE_COUNT; shape++)
        check_against_model(shape, 50000, VICTIMS_SCRATCH);
}

Test(victims, stops_at_the_first_that_is_enough)
{
    uint64_t stamp[] = {50, 10, 0, 30, 20, 40};
    struct victim scratch[VICTIMS_SCRATCH_MIN];
    struct victims view = {.stamp = stamp,
                           .count = 6,
                           .newest = UINT64_MAX,
                           .movable_bytes = always_two,
                           .scratch = scratch,
                           .scratch_count = VICTIMS_SCRATCH_MIN};
    uint32_t out[6];
    cr_assert_eq(victims_choose(&view, 5, out, 6), 3);
    cr_assert_eq(out[0], 1);
    cr_assert_eq(out[1], 4);
    cr_assert_eq(out[2], 3);
    cr_assert_eq(victims_choose(&view, 4, out, 6), 2);
    cr_assert_eq(victims_choose(&view, 0, out, 6), 0);
    cr_assert_eq(victims_choose(&view, 100, out, 6), 5);
    view.newest = 20;
    cr_assert_eq(victims_choose(&view, 100, out, 6), 2);
}

Test(victims, sum_that_overflows_is_enough)
{
    uint64_t stamp[] = {1, 2, 3}, bytes[] = {UINT64_MAX - 1, UINT64_MAX, 1};
    unsigned char asked[3] = {0};
    struct world world = {.bytes = bytes, .asked = asked};
    struct victim scratch[VICTIMS_SCRATCH_MIN];
    struct victims view = {.stamp = stamp,
                           .count = 3,
                           .newest = UINT64_MAX,
                           .movable_bytes = movable_bytes,
                           .arg = &world,
                           .scratch = scratch,
                           .scratch_count = VICTIMS_SCRATCH_MIN};
    uint32_t out[3];
    cr_assert_eq(victims_choose(&view, UINT64_MAX, out, 3), 2);
}
