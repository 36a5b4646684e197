/* SPDX-License-Identifier: Apache-2.0 */
/* test_shares.c - the numbers of the design, and random sequences against a model of objects. */
#include "policy/shares.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>

#define MIB ((uint64_t)1 << 20)

static const struct share_bounds half_to_most = {500000, 700000}, little_to_most = {150000, 700000};

/* A tier of 200 of which others use some. */
static struct share_limits limits_with(uint64_t untracked_mib)
{
    return shares_limit(200 * MIB, untracked_mib * MIB, half_to_most, little_to_most);
}

static struct shares systemds(uint64_t op_mib, uint64_t buf_mib)
{
    return (struct shares){.limits = limits_with(0),
                           .operations_bytes = op_mib * MIB,
                           .buffers_bytes = buf_mib * MIB,
                           .demand_bytes = buf_mib * MIB};
}

static void grows(struct shares shares, uint64_t mib, uint64_t evict_mib)
{
    uint64_t evict_bytes = 1;

    cr_expect_eq(shares_grow_operations(&shares, mib * MIB, &evict_bytes), 0);
    cr_expect_eq(evict_bytes, evict_mib * MIB, "%llu", (unsigned long long)evict_bytes);
}

static void refuses(struct shares shares, uint64_t mib)
{
    uint64_t evict_bytes = 1;

    cr_expect_eq(shares_grow_operations(&shares, mib * MIB, &evict_bytes), -ENOSPC);
    cr_expect_eq(evict_bytes, 1, "a refusal touches nothing");
}

static void buffers_grow(struct shares shares, uint64_t mib, uint64_t any_mib, uint64_t buffer_mib)
{
    struct shares_excess excess = shares_grow_buffers(&shares, mib * MIB);

    cr_expect_eq(excess.any_bytes, any_mib * MIB);
    cr_expect_eq(excess.buffer_bytes, buffer_mib * MIB);
}

Test(shares, shares_of_200_are_those_of_systemds)
{
    struct share_limits limits = limits_with(0);

    cr_expect_eq(limits.operations_max_bytes, 140 * MIB);
    cr_expect_eq(limits.buffers_max_bytes, 140 * MIB);
    cr_expect_eq(limits.buffers_min_bytes, 0, "a minimum is no wall while the tier is whole");
    cr_expect_eq(limits_with(2).buffers_min_bytes, 198 * MIB * 15 / 100);
}

Test(shares, operations_grow_up_to_their_maximum_and_no_further)
{
    grows(systemds(0, 0), 140, 0);
    refuses(systemds(0, 0), 141);
    refuses(systemds(140, 60), 2);
    grows(systemds(140, 60), 0, 0);
}

Test(shares, operations_push_buffers_out)
{
    grows(systemds(0, 140), 100, 40);
    grows(systemds(100, 100), 40, 40);
    grows(systemds(0, 100), 100, 0);
}

Test(shares, what_is_pinned_where_it_lies_evicts_nothing)
{
    grows(systemds(0, 124), 76, 0);
    grows(systemds(62, 138 - 62), 60, 0);
}

Test(shares, buffers_keep_to_their_maximum_and_to_the_capacity)
{
    buffers_grow(systemds(0, 120), 20, 0, 0);
    buffers_grow(systemds(0, 140), 20, 0, 20);
    buffers_grow(systemds(140, 60), 20, 20, 0);
    buffers_grow(systemds(100, 100), 60, 60, 20);
}

Test(shares, loose_bytes_count_against_the_capacity_alone)
{
    struct shares shares = systemds(0, 100);

    shares.loose_bytes = 90 * MIB;
    buffers_grow(shares, 40, 30, 0);
    grows(shares, 20, 10);
}

Test(shares, untracked_use_shrinks_all_of_it)
{
    struct shares shares = systemds(0, 0);

    shares.limits = limits_with(100);
    cr_expect_eq(shares.limits.capacity_bytes, 100 * MIB);
    cr_expect_eq(shares.limits.operations_max_bytes, 70 * MIB);
    grows(shares, 70, 0);
    refuses(shares, 72);
    shares.limits = limits_with(300);
    cr_expect_eq(shares.limits.capacity_bytes, 0);
    refuses(shares, 2);
}

Test(shares, shrunk_operations_leave_buffers_the_smaller_of_minimum_and_demand)
{
    static const struct share_bounds all = {500000, 1000000};
    struct shares shares = systemds(0, 60);

    shares.limits = shares_limit(200 * MIB, 0, all, little_to_most);
    grows(shares, 200, 60); /* a minimum is no wall while the tier is whole */
    shares.limits = shares_limit(200 * MIB, 100 * MIB, all, little_to_most);
    refuses(shares, 86);
    grows(shares, 85, 45);
    shares.demand_bytes = 10 * MIB;
    shares.buffers_bytes = 10 * MIB;
    grows(shares, 90, 0);
    refuses(shares, 91);
}

Test(shares, overbooking_is_what_passes_the_capacity)
{
    struct shares shares = systemds(100, 40);

    cr_expect_eq(shares_overbooked(&shares, 60 * MIB), 0);
    cr_expect_eq(shares_overbooked(&shares, 80 * MIB), 20 * MIB);
    cr_expect_eq(shares_overbooked(&shares, UINT64_MAX), UINT64_MAX - 200 * MIB);
}

Test(shares, tier_without_a_limit_refuses_nothing)
{
    struct shares shares = systemds(1000, 1000);

    shares.limits = shares_limit(UINT64_MAX, 5 * MIB, half_to_most, little_to_most);
    grows(shares, 100000, 0);
    buffers_grow(shares, 100000, 0, 0);
}

/* ---- objects ------------------------------------------------------------------------------------------------ */

/* The model knows objects and the sentences of the design; its numbers are small, so that it can count units. */
enum {
    OBJECTS = 24
};

enum place {
    ABSENT,
    AWAY,
    BUFFER,
    OPERAND
};

struct object {
    enum place place;
    unsigned units, age;
};

struct model {
    struct object object[OBJECTS];
    unsigned capacity, untracked, reserved, clock;
    struct share_bounds operations, buffers;
};

static unsigned sum(const struct model *model, enum place place)
{
    unsigned units = place == OPERAND ? model->reserved : 0;

    for (unsigned i = 0; i < OBJECTS; i++)
        units += model->object[i].place == place ? model->object[i].units : 0;
    return units;
}

static unsigned part(const struct model *model, uint32_t ppm)
{
    unsigned whole = model->untracked < model->capacity ? model->capacity - model->untracked : 0;

    return (unsigned)((double)whole * ppm / 1e6 + 1e-7);
}

/* "evict the least recent buffers": one, or false when there is none but `but`. */
static bool model_evict(struct model *model, const struct object *but)
{
    struct object *oldest = NULL;

    for (unsigned i = 0; i < OBJECTS; i++) {
        struct object *object = &model->object[i];

        if (object->place == BUFFER && object != but && (!oldest || object->age < oldest->age))
            oldest = object;
    }
    if (oldest)
        oldest->place = AWAY;
    return oldest != NULL;
}

/* "refuse if op+n > op_max C; else evict the least recent buffers until op+buf+n <= C". */
static bool model_admits(const struct model *model, unsigned units)
{
    unsigned floor = 0, demand = sum(model, BUFFER) + sum(model, AWAY);

    if (model->untracked)
        floor = part(model, model->buffers.min_ppm) < demand ? part(model, model->buffers.min_ppm) : demand;
    return sum(model, OPERAND) + units <= part(model, model->operations.max_ppm) &&
           sum(model, OPERAND) + units + floor <= part(model, 1000000);
}

static void model_settle(struct model *model, const struct object *fresh)
{
    while (sum(model, BUFFER) > part(model, model->buffers.max_ppm) ||
           sum(model, OPERAND) + sum(model, BUFFER) > part(model, 1000000))
        if (!model_evict(model, fresh))
            break;
}

static struct shares shares_of(const struct model *model)
{
    return (struct shares){
        .limits = shares_limit(model->capacity, model->untracked, model->operations, model->buffers),
        .operations_bytes = sum(model, OPERAND),
        .buffers_bytes = sum(model, BUFFER),
        .demand_bytes = sum(model, BUFFER) + sum(model, AWAY)};
}

/* What is under test, given nothing but sums: evict by its answers, least recent first. */
static void drive(struct model *model, uint64_t bytes, const struct object *but)
{
    while (bytes) {
        unsigned before = sum(model, BUFFER);

        if (!model_evict(model, but))
            return;
        bytes -= before - sum(model, BUFFER) < bytes ? before - sum(model, BUFFER) : bytes;
    }
}

static bool same(const struct model *a, const struct model *b)
{
    for (unsigned i = 0; i < OBJECTS; i++)
        if (a->object[i].place != b->object[i].place)
            return false;
    return true;
}

/* Pin an object, or reserve when there is none. */
static void step_operation(struct model *model, struct object *object, unsigned units)
{
    struct model driven;
    struct shares shares;
    uint64_t evict_bytes = 0;
    enum place was = object ? object->place : ABSENT;
    int r;

    if (object) {
        units = object->units;
        object->place = ABSENT; /* its bytes leave the buffers first */
    }
    shares = shares_of(model);
    if (object)
        shares.demand_bytes = sum(model, BUFFER) + sum(model, AWAY);
    r = shares_grow_operations(&shares, units, &evict_bytes);
    cr_assert_eq(r == 0, !units || model_admits(model, units), "growth by %u", units);
    if (r) {
        if (object)
            object->place = was;
        return;
    }
    driven = *model;
    drive(&driven, evict_bytes, NULL);
    while (sum(model, OPERAND) + sum(model, BUFFER) + units > part(model, 1000000))
        if (!model_evict(model, NULL))
            break;
    cr_assert(same(&driven, model), "other victims than the design's");
    if (object)
        object->place = OPERAND;
    else
        model->reserved += units;
}

static void step_buffer(struct model *model, struct object *object)
{
    struct model driven;
    struct shares shares;
    struct shares_excess excess;

    object->place = ABSENT;
    shares = shares_of(model);
    excess = shares_grow_buffers(&shares, object->units);
    object->place = BUFFER;
    object->age = ++model->clock;
    driven = *model;
    drive(&driven, excess.any_bytes > excess.buffer_bytes ? excess.any_bytes : excess.buffer_bytes,
          &driven.object[object - model->object]);
    model_settle(model, object);
    cr_assert(same(&driven, model), "other victims than the design's");
}

static unsigned draw(unsigned below)
{
    static uint64_t state = 7;

    state = state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)((state >> 33) % below);
}

static void step(struct model *model)
{
    struct object *object = &model->object[draw(OBJECTS)];

    switch (draw(8)) {
    case 0: /* somebody else takes or leaves memory */
        model->untracked = draw(3) ? 0 : draw(model->capacity / 4);
        return;
    case 1:
        step_operation(model, NULL, draw(model->capacity / 4));
        return;
    case 2:
        model->reserved -= model->reserved ? draw(model->reserved + 1) : 0;
        return;
    case 3:
        object->place = ABSENT;
        return;
    default:
        break;
    }
    if (object->place == ABSENT) {
        object->units = 1 + draw(model->capacity / 3);
        step_buffer(model, object);
    } else if (object->place == OPERAND) {
        step_buffer(model, object);
    } else {
        step_operation(model, object, 0);
    }
}

Test(shares, random_sequences_evict_what_a_model_of_the_design_evicts)
{
    unsigned rounds = getenv("EBBTIDE_TEST_LONG") ? 2000 : 100;

    for (unsigned round = 0; round < rounds; round++) {
        struct model model = {.capacity = 50 + draw(400)};

        model.operations.max_ppm = 1000 * (300 + draw(701));
        model.operations.min_ppm = model.operations.max_ppm / 2;
        model.buffers.max_ppm = 1000 * (300 + draw(701));
        model.buffers.min_ppm = model.buffers.max_ppm / 4;
        for (unsigned i = 0; i < 500; i++)
            step(&model);
    }
}
