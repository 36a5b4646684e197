/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_host_shares.c - how operations and buffers share the host's budget: the arithmetic of the policy design in MiB,
 * and random programs against a model of it that knows sums only. C is 40 without a device: op max 28, buf max 28,
 * buf min 6.
 */
#include "host_world.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>

#include "api/object.h"
#include "ledger/share.h"
#include "ledger/state.h"

TestSuite(host_shares, .timeout = 120);

static void begin(uint64_t mib)
{
    host_world_begin(mib * MIB, NULL);
}

static uint64_t *buffer(uint64_t mib)
{
    uint64_t *words = range_map(mib * MIB);

    range_fill(words, mib * MIB);
    cr_assert_eq(host_object_register(words, mib * MIB, "buffer"), 0);
    return words;
}

static uint64_t op(void)
{
    return host_share_now().operations_bytes / MIB;
}

static uint64_t buf(void)
{
    return host_share_now().buffers_bytes / MIB;
}

static void end(uint64_t *words, uint64_t mib)
{
    cr_expect(range_is_filled(words, mib * MIB));
    range_release(words, mib * MIB);
}

Test(host_shares, operations_stop_at_their_maximum_and_a_refusal_changes_nothing)
{
    begin(40);
    uint64_t *one = buffer(16), *two = buffer(12), *third = buffer(4);
    range_evict(third, 4 * MIB);
    cr_assert_eq(host_object_pin(one, 0), 0);
    cr_assert_eq(host_object_pin(two, 0), 0);
    cr_expect_eq(op(), 28);
    cr_expect_eq(buf(), 0);
    cr_expect_eq(host_object_pin(third, 0), -ENOSPC);
    cr_expect_eq(range_away(third), 4 * MIB);
    cr_expect_eq(op(), 28);
    cr_expect_eq(host_used(), 28 * MIB);
    cr_assert_eq(host_object_pin(one, 0), 0, "again: it counts once");
    cr_assert_eq(host_object_unpin(one), 0);
    cr_expect_eq(op(), 28);
    cr_assert_eq(host_object_unpin(one), 0);
    cr_expect_eq(op(), 12);
    cr_expect_eq(buf(), 16);
    cr_expect_eq(host_object_pin(third, 0), 0);
    cr_expect_eq(op(), 16);
    cr_assert_eq(host_object_unpin(third), 0);
    cr_assert_eq(host_object_unpin(two), 0);
    end(one, 16);
    end(two, 12);
    end(third, 4);
    host_world_end();
}

Test(host_shares, buffers_keep_to_their_maximum_and_the_coldest_leave)
{
    begin(40);
    uint64_t *one = buffer(12), *two = buffer(12);
    cr_expect_eq(buf(), 24);
    uint64_t *third = buffer(12);
    cr_expect_eq(buf(), 28);
    cr_expect_eq(range_away(one), 8 * MIB, "no more than needed");
    cr_expect_eq(range_away(two) + range_away(third), 0);
    cr_expect(range_is_filled(one, 12 * MIB));
    cr_expect_leq(host_share_now().buffers_bytes, 28 * MIB, "what an access brings back pushes others out");
    cr_expect_eq(range_away(one), 0);
    cr_expect_eq(range_away(two), 8 * MIB);
    end(one, 12);
    end(two, 12);
    end(third, 12);
    host_world_end();
}

Test(host_shares, prefetch_of_what_is_there_is_a_use)
{
    begin(40);
    uint64_t *one = buffer(8), *two = buffer(8), *third;

    cr_assert_eq(host_object_prefetch(one), 0);
    third = buffer(18);
    cr_expect_geq(range_away(two), 6 * MIB, "34 of 28");
    cr_expect_eq(range_away(one), 0);
    end(one, 8);
    end(two, 8);
    end(third, 18);
}

Test(host_shares, operations_push_buffers_out_until_all_fits)
{
    begin(40);
    uint64_t *one = buffer(16);
    range_evict(one, 16 * MIB);
    uint64_t *two = buffer(14), *third = buffer(12);
    cr_expect_eq(buf(), 26);
    cr_assert_eq(host_object_pin(one, 0), 0);
    cr_expect_eq(op(), 16);
    cr_expect_leq(buf(), 24, "16 and 26 do not fit");
    cr_expect_gt(buf(), 20, "but a little is kept free for accesses");
    cr_expect_eq(range_away(one) + range_away(third), 0, "the coldest has left");
    cr_assert_eq(host_object_unpin(one), 0);
    cr_expect_leq(buf(), 28, "it is a buffer again, and others have left for it");
    cr_expect_eq(range_away(one), 0);
    end(one, 16);
    end(two, 14);
    end(third, 12);
    host_world_end();
}

Test(host_shares, heap_and_what_the_driver_pins_shrink_both)
{
    begin(40);
    uint64_t *one = buffer(8), *two = buffer(8);
    cr_assert_eq(core_host_charge(HOST_HEAP, 12 * MIB), 0);
    cr_assert_eq(core_host_charge(HOST_PINNED, 8 * MIB), 0);
    cr_expect_eq(host_share_now().limits.capacity_bytes, 20 * MIB);
    cr_expect_eq(host_share_now().limits.operations_max_bytes, 14 * MIB);
    cr_assert_eq(host_object_pin(one, 0), 0);
    cr_expect_eq(host_object_pin(two, 0), -ENOSPC, "16 of 14");
    core_host_credit(HOST_PINNED, 8 * MIB);
    cr_expect_eq(host_object_pin(two, 0), 0, "16 of 19");
    cr_assert_eq(host_object_unpin(one), 0);
    cr_assert_eq(host_object_unpin(two), 0);
    core_host_credit(HOST_HEAP, 12 * MIB);
    end(one, 8);
    end(two, 8);
    host_world_end();
}

Test(host_shares, what_the_driver_has_pinned_is_no_buffer_and_what_a_call_names_is_one)
{
    struct use use;

    begin(40);
    uint64_t *one = buffer(12), *two = buffer(12);
    use_init(&use, false);
    use_host(&use, one, MIB);
    cr_expect_eq(host_share_now().limits.capacity_bytes, 40 * MIB);
    cr_expect_eq(buf(), 24);
    cr_assert(host_hold(one, MIB));
    cr_expect_eq(host_share_now().limits.capacity_bytes, 28 * MIB);
    cr_expect_eq(buf(), 12);
    cr_expect_eq(host_share_now().demand_bytes, 12 * MIB);
    host_hold_drop_all(&use.host);
    cr_expect_eq(buf(), 12);
    cr_assert_eq(host_object_pin(two, 0), 0, "12 of 19");
    cr_expect_eq(op(), 12);
    cr_expect_eq(host_object_pin(one, 0), -ENOSPC, "24 of 19");
    host_hold_drop(one, MIB);
    cr_expect_eq(host_share_now().limits.capacity_bytes, 40 * MIB);
    cr_expect_eq(buf(), 12);
    cr_expect_eq(host_object_pin(one, 0), 0, "24 of 28");
    cr_expect_eq(buf(), 0);
    cr_assert_eq(host_object_unpin(one), 0);
    cr_assert_eq(host_object_unpin(two), 0);
    end(one, 12);
    end(two, 12);
    host_world_end();
}

Test(host_shares, what_others_take_leaves_buffers_the_smaller_of_minimum_and_demand)
{
    begin(40);
    host_spill.options.operations.min_ppm = 500000;
    host_spill.options.operations.max_ppm = 1000000;
    uint64_t *one = buffer(12), *two = buffer(12);
    cr_assert_eq(core_host_charge(HOST_PINNED, 15 * MIB), 0); /* C 25, buf min 3.75 */
    cr_assert_eq(host_object_pin(one, 0), 0);
    cr_expect_eq(host_object_pin(two, 0), 0, "24 and no demand left");
    uint64_t *third = buffer(1);
    cr_assert_eq(host_object_unpin(two), 0);
    cr_expect_eq(host_object_pin(two, 0), 0, "24 and 1");
    cr_assert_eq(host_object_unpin(two), 0);
    uint64_t *fourth = buffer(2);
    cr_expect_eq(host_object_pin(two, 0), -ENOSPC, "24 and 3");
    core_host_credit(HOST_PINNED, 15 * MIB);
    cr_expect_eq(host_object_pin(two, 0), 0, "a minimum is no wall while the tier is whole");
    cr_assert_eq(host_object_unpin(two), 0);
    cr_assert_eq(host_object_unpin(one), 0);
    end(one, 12);
    end(two, 12);
    end(third, 1);
    end(fourth, 2);
    host_world_end();
}

Test(host_shares, host_has_one_limit_until_the_program_uses_the_api)
{
    begin(40);
    uint64_t *one = range_map(36 * MIB);
    range_fill(one, 36 * MIB);
    cr_assert_eq(host_block_register(one, 36 * MIB, 0, NULL), 0, "as malloc does it");
    cr_expect_eq(range_away(one), 0, "36 of 28");
    uint64_t *two = buffer(1);
    cr_expect_eq(buf(), 28);
    end(two, 1);
    end(one, 36);
    host_world_end();
}

Test(host_shares, host_has_one_limit_where_areas_are_off)
{
    begin(40);
    host_spill.options.operations.off = true;
    uint64_t *one = buffer(34), *two = buffer(4);
    cr_expect_eq(range_away(one) + range_away(two), 0);
    cr_expect_eq(host_object_pin(one, 0), 0, "34 of 40");
    cr_expect_eq(host_object_pin(two, 0), 0);
    cr_expect_eq(host_object_pin(two, 0), 0);
    uint64_t *third = buffer(4);
    cr_expect_eq(host_object_pin(third, 0), -ENOSPC, "42 of 40");
    cr_assert_eq(host_object_unpin(one), 0);
    cr_assert_eq(host_object_unpin(two), 0);
    cr_assert_eq(host_object_unpin(two), 0);
    end(one, 34);
    end(two, 4);
    end(third, 4);
    host_world_end();
}

/* ---- random programs --------------------------------------------------------------------------------------- */

enum {
    RANGES = 8
};

/* The sentences of the design, about sums. */
struct model {
    uint64_t limit, untracked;
    struct {
        uint64_t *words, mib;
        unsigned pins;
    } range[RANGES];
};

static uint64_t capacity(const struct model *model)
{
    return (model->limit - model->untracked) * MIB;
}

static uint64_t sum(const struct model *model, bool pinned)
{
    uint64_t mib = 0;

    for (unsigned i = 0; i < RANGES; i++)
        mib += model->range[i].words && (model->range[i].pins != 0) == pinned ? model->range[i].mib : 0;
    return mib * MIB;
}

/* "refuse if op+n > op_max C", and with others' use "op may not push buf below min(buf_min C, demand)". */
static bool admits(const struct model *model, unsigned index)
{
    uint64_t bytes = model->range[index].mib * MIB, grown = sum(model, true) + bytes;
    uint64_t demand = sum(model, false) - bytes, least = capacity(model) * 15 / 100;

    if (demand < least)
        least = demand;
    if (!model->untracked)
        least = 0;
    return grown <= capacity(model) * 70 / 100 && grown + least <= capacity(model);
}

static void step(struct model *model, unsigned index, unsigned what)
{
    uint64_t **words = &model->range[index].words;
    int r;

    if (!*words) {
        model->range[index].mib = 1 + (unsigned)rand() % 12;
        *words = buffer(model->range[index].mib);
        return;
    }
    switch (what) {
    case 0:
    case 1:
    case 2:
        r = host_object_pin(*words, 0);
        cr_assert_eq(r, model->range[index].pins || admits(model, index) ? 0 : -ENOSPC);
        model->range[index].pins += !r;
        cr_assert(r || range_away(*words) == 0);
        return;
    case 3:
    case 4:
        r = host_object_unpin(*words);
        cr_assert_eq(r, model->range[index].pins ? 0 : -EINVAL);
        model->range[index].pins -= !r;
        return;
    case 5:
        cr_assert_eq(host_block_touch(*words), 0);
        return;
    case 6:
        cr_assert(range_is_filled(*words, model->range[index].mib * MIB));
        return;
    case 7:
        cr_assert_eq(host_object_prefetch(*words), 0);
        return;
    case 8: /* others' use */
        core_host_credit(HOST_PINNED, model->untracked * MIB);
        model->untracked = (unsigned)rand() % 2 ? 0 : (unsigned)rand() % 8;
        cr_assert_eq(core_host_charge(HOST_PINNED, model->untracked * MIB), 0);
        return;
    default:
        if (model->range[index].pins)
            return;
        end(*words, model->range[index].mib);
        *words = NULL;
    }
}

Test(host_shares, random_programs_are_admitted_and_kept_in_bounds_as_a_model_of_sums_says)
{
    struct model model = {.limit = 40};
    unsigned steps = getenv("EBBTIDE_TEST_LONG") ? 5000 : 400;

    begin(model.limit);
    srand(1);
    for (unsigned i = 0; i < steps; i++) {
        unsigned what = (unsigned)rand() % 10;
        struct shares shares = host_share_now();
        uint64_t before_bytes = shares.buffers_bytes, most_bytes;

        step(&model, (unsigned)rand() % RANGES, what);
        shares = host_share_now();
        cr_assert_eq(shares.operations_bytes, sum(&model, true), "step %u", i);
        cr_assert_eq(shares.limits.capacity_bytes, capacity(&model), "step %u", i);
        cr_assert_eq(shares.demand_bytes, sum(&model, false), "step %u", i);
        cr_assert_leq(shares.operations_bytes + shares.buffers_bytes, capacity(&model),
                      "step %u of kind %u: %lu and %lu of %lu", i, what, shares.operations_bytes >> 10,
                      shares.buffers_bytes >> 10, capacity(&model) >> 10);
        most_bytes = capacity(&model) * 70 / 100;
        cr_assert_leq(shares.buffers_bytes, before_bytes > most_bytes ? before_bytes : most_bytes,
                      "step %u of kind %u", i, what);
    }
    core_host_credit(HOST_PINNED, model.untracked * MIB);
    for (unsigned i = 0; i < RANGES; i++) {
        for (; model.range[i].pins; model.range[i].pins--)
            cr_assert_eq(host_object_unpin(model.range[i].words), 0);
        if (model.range[i].words)
            end(model.range[i].words, model.range[i].mib);
    }
    host_world_end();
}
