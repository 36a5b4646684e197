/* SPDX-License-Identifier: Apache-2.0 */
/* test_bin.c - small allocations against a model of their own: what each is told of itself, and what the ledger has. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>

#include "api/object.h"
#include "engine/allocate.h"
#include "engine/mover.h"
#include "engine/small.h"
#include "ledger/state.h"
#include "world.h"

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)

TestSuite(bin, .timeout = 240);

static struct world world;

static const char ample[] = "EBBTIDE_DEVICE_BUDGET=1G EBBTIDE_HOST_BUDGET=1G";

static void start(const char *settings)
{
    world_start(&world, settings, NULL);
}

static uint64_t allocate(uint64_t bytes)
{
    uint64_t address;

    cr_assert_eq(core_allocate(0, bytes, 0, NULL, true, &address), 0);
    return address;
}

static uint64_t held(void)
{
    return core.devices[0].budget.class_bytes[CLASS_BLOCK];
}

/* ---- the model ------------------------------------------------------------------------------------------------------ */

enum {
    ALIVE_MOST = 3000
};

struct known {
    uint64_t address, bytes, id, context;
    bool is_fixed;
};

struct model_of_all {
    struct known known[ALIVE_MOST];
    unsigned count;
    uint64_t random, last_id, asked_bytes;
};

static uint64_t draw(struct model_of_all *model, uint64_t below)
{
    model->random = model->random * 6364136223846793005u + 1442695040888963407u;
    return (model->random >> 33) % below;
}

static void model_find(const struct known *known, uint64_t offset)
{
    struct block_info info;

    cr_assert_eq(core_find(known->address + offset, &info), 0);
    cr_assert_eq(info.base, known->address);
    cr_assert_eq(info.bytes, known->bytes);
    cr_assert_eq(info.id, known->id);
    cr_assert_eq(info.context, known->context);
    cr_assert_eq(info.ordinal, 0);
    cr_assert_eq((uintptr_t)info.call_site, known->bytes);
}

static void model_allocate(struct model_of_all *model)
{
    struct known *known = &model->known[model->count];
    struct block_info info;

    if (model->count == ALIVE_MOST)
        return;
    known->bytes = 1 + draw(model, draw(model, 8) ? 16 * KIB : CELL_LARGEST_BYTES);
    known->context = draw(model, 2);
    known->is_fixed = !draw(model, 8);
    cr_assert_eq(core_allocate(0, known->bytes, known->context, (void *)(uintptr_t)known->bytes,
                               !known->is_fixed, &known->address),
                 0);
    cr_assert_eq(known->address % CELL_UNIT_BYTES, 0);
    cr_assert_eq(core_find(known->address, &info), 0);
    cr_assert_gt(info.id, model->last_id);
    model->last_id = known->id = info.id;
    model->asked_bytes += known->bytes;
    model->count++;
}

static void model_free(struct model_of_all *model, unsigned index)
{
    struct known known = model->known[index];
    struct block_info info;

    if (known.bytes > 1)
        cr_assert_eq(core_free(known.address + 1 + draw(model, known.bytes - 1)), -EINVAL);
    cr_assert_eq(core_free(known.address), 0);
    cr_assert_eq(core_find(known.address, &info), -ENOENT);
    cr_assert_eq(core_free(known.address), -EINVAL);
    model->asked_bytes -= known.bytes;
    model->known[index] = model->known[--model->count];
}

static void model_look_up(struct model_of_all *model)
{
    const struct known *known;
    struct block_info info;

    if (!model->count)
        return;
    known = &model->known[draw(model, model->count)];
    model_find(known, 0);
    model_find(known, draw(model, known->bytes));
    model_find(known, known->bytes - 1);
    if (known->bytes % CELL_UNIT_BYTES)
        cr_assert_eq(core_find(known->address + known->bytes, &info), -ENOENT);
}

static int by_address(const void *a, const void *b)
{
    const struct known *left = a, *right = b;

    return left->address < right->address ? -1 : left->address > right->address;
}

/* No two lie in each other, and what shares a block is of one context and kind. */
static void model_check(struct model_of_all *model)
{
    struct bins figures = bins_figures(0);

    qsort(model->known, model->count, sizeof(*model->known), by_address);
    for (unsigned i = 1; i < model->count; i++) {
        const struct known *before = &model->known[i - 1], *known = &model->known[i];

        cr_assert_leq(before->address + before->bytes, known->address);
        if (before->address / GRANULE_BYTES == known->address / GRANULE_BYTES) {
            cr_assert_eq(before->context, known->context);
            cr_assert_eq(before->is_fixed, known->is_fixed);
        }
    }
    cr_assert_eq(figures.allocations, model->count);
    cr_assert_eq(figures.asked_bytes, model->asked_bytes);
    cr_assert_eq(figures.held_bytes, held());
    world_check(&world);
}

Test(bin, random_allocations_frees_and_look_ups_agree_with_a_model)
{
    static struct model_of_all model;

    start("EBBTIDE_DEVICE_BUDGET=2G EBBTIDE_HOST_BUDGET=1G");
    model.random = 7;
    for (unsigned i = 0; i < world_steps(100000); i++) {
        uint64_t what = draw(&model, 4);

        if (what == 0)
            model_look_up(&model);
        else if (what == 1 && model.count)
            model_free(&model, (unsigned)draw(&model, model.count));
        else if (what > 1 && draw(&model, ALIVE_MOST) >= model.count)
            model_allocate(&model);
        if (i % 5000 == 0)
            model_check(&model);
    }
    while (model.count)
        model_free(&model, model.count - 1);
    model_check(&model);
    cr_expect_eq(held(), 0);
    world_finish(&world);
}

/* ---- sizes ---------------------------------------------------------------------------------------------------------- */

Test(bin, many_of_one_size_waste_an_eighth_at_most)
{
    static const uint64_t sizes[] = {300,           4 * KIB, 5 * KIB + 1, 64 * KIB,  100 * KIB,
                                     700 * KIB + 3, MIB,     1100 * KIB,  1500 * KIB};
    static uint64_t address[4000];

    start("EBBTIDE_DEVICE_BUDGET=6G EBBTIDE_HOST_BUDGET=1G");
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        uint64_t units = (sizes[i] + CELL_UNIT_BYTES - 1) / CELL_UNIT_BYTES * CELL_UNIT_BYTES;
        unsigned count = sizes[i] > 256 * KIB ? 400 : 4000;
        uint64_t last_bin = cells_granules(cells_class(sizes[i])) * GRANULE_BYTES;

        for (unsigned j = 0; j < count; j++)
            address[j] = allocate(sizes[i]);
        cr_expect_leq(7 * held(), 8 * (count * units + 2 * last_bin), "%llu bytes",
                      (unsigned long long)sizes[i]);
        for (unsigned j = 0; j < count; j++)
            cr_assert_eq(core_free(address[j]), 0);
        cr_expect_eq(held(), 0);
    }
    world_finish(&world);
}

/* Whatever there is of each: what is asked for is seven eighths of what is held, but for a granule or two. */
Test(bin, mixtures_of_all_sizes_waste_an_eighth_at_most)
{
    static const uint64_t most[] = {KIB, 16 * KIB, 64 * KIB, 256 * KIB};
    static uint64_t address[20000];
    struct model_of_all draws = {.random = 3};

    start("EBBTIDE_DEVICE_BUDGET=8G EBBTIDE_HOST_BUDGET=1G");
    for (unsigned i = 0; i < sizeof(most) / sizeof(*most); i++) {
        uint64_t asked = 0;

        for (unsigned count = 0; count < 20000; count++) {
            uint64_t units = 1 + draw(&draws, 1 + draw(&draws, most[i] / CELL_UNIT_BYTES));

            asked += units * CELL_UNIT_BYTES;
            address[count] = allocate(units * CELL_UNIT_BYTES);
            cr_assert_leq(7 * held(), 8 * (asked + 2 * GRANULE_BYTES),
                          "%u of up to %llu bytes: %llu for %llu", count, (unsigned long long)most[i],
                          (unsigned long long)held(), (unsigned long long)asked);
        }
        for (unsigned j = 0; j < 20000; j++)
            cr_assert_eq(core_free(address[j]), 0);
        cr_expect_eq(held(), 0);
    }
    world_finish(&world);
}

Test(bin, what_wastes_an_eighth_at_most_by_itself_has_a_block_of_its_own)
{
    uint64_t small, large;

    start(ample);
    small = allocate(CELL_LARGEST_BYTES);
    large = allocate(CELL_LARGEST_BYTES + 1);
    cr_expect(small_holds(small));
    cr_expect_not(small_holds(large));
    cr_assert_eq(core_free(small), 0);
    cr_assert_eq(core_free(large), 0);
    world_finish(&world);
}

/* Where a bin of several granules has no room, one of a single granule may. */
Test(bin, last_granule_of_the_budget_is_used)
{
    uint64_t address[8];
    unsigned count = 0;

    start("EBBTIDE_DEVICE_BUDGET=14M EBBTIDE_HOST_BUDGET=16M EBBTIDE_CACHEABLE=none");
    while (count < 8 && core_allocate(0, 1100 * KIB, 0, NULL, true, &address[count]) == 0)
        count++;
    cr_expect_geq(count, 6);
    while (count)
        cr_assert_eq(core_free(address[--count]), 0);
    world_finish(&world);
}

/* ---- frees ---------------------------------------------------------------------------------------------------------- */

Test(bin, cell_is_not_taken_again_before_its_device_is_at_rest)
{
    uint64_t kept, freed, next;
    struct block_info info;

    start(ample);
    kept = allocate(64 * KIB);
    freed = allocate(64 * KIB);
    atomic_store(&world.fake->restless, 1);
    cr_assert_eq(core_free(freed), 0);
    cr_expect_eq(core_find(freed, &info), -ENOENT);
    cr_expect_eq(core_free(freed), -EINVAL);
    cr_expect_eq(core.deferred, 1);
    next = allocate(64 * KIB);
    cr_expect_neq(next, freed);
    atomic_store(&world.fake->restless, 0);
    cr_expect(free_deferred(1000));
    cr_expect_eq(core.deferred, 0);
    cr_expect_eq(allocate(64 * KIB), freed);
    cr_assert_eq(core_free(kept), 0);
    cr_assert_eq(core_free(next), 0);
    cr_assert_eq(core_free(freed), 0);
    world_finish(&world);
}

/* Each time what is as large as what was freed goes where that was. */
Test(bin, memory_of_what_was_freed_is_enough_for_as_much)
{
    uint64_t address[60], bytes[60], before;

    start(ample);
    for (unsigned i = 0; i < 60; i++) {
        bytes[i] = (1 + i * 37 % 250) * 3 * KIB + 700;
        address[i] = allocate(bytes[i]);
    }
    before = held();
    for (unsigned round = 0; round < 50; round++)
        for (unsigned i = round % 3; i < 60; i += 3) {
            cr_assert_eq(core_free(address[i]), 0);
            address[i] = allocate(bytes[i]);
        }
    cr_expect_eq(held(), before);
    for (unsigned i = 0; i < 60; i++)
        cr_assert_eq(core_free(address[i]), 0);
    world_finish(&world);
}

Test(bin, bin_whose_last_frees_were_put_off_is_given_back_with_them)
{
    uint64_t address[3];

    start(ample);
    for (unsigned i = 0; i < 3; i++)
        address[i] = allocate(700 * KIB);
    atomic_store(&world.fake->restless, 1);
    for (unsigned i = 0; i < 3; i++)
        cr_assert_eq(core_free(address[i]), 0);
    cr_expect_gt(held(), 0);
    atomic_store(&world.fake->restless, 0);
    cr_expect(free_deferred(1000));
    cr_expect_eq(held(), 0);
    world_finish(&world);
}

Test(bin, memory_that_was_buried_stays_until_it_is_released)
{
    uint64_t address, kept, id, other;
    struct block_info info;

    start(ample);
    kept = allocate(KIB);
    address = allocate(KIB);
    cr_assert_eq(small_bury(address, false, &id), 0);
    cr_expect_eq(small_bury(address, false, &id), -EINVAL);
    cr_expect_eq(core_find(address, &info), -ENOENT);
    other = allocate(KIB);
    cr_expect_neq(other, address);
    small_release(address, id + 1); /* somebody else's */
    cr_expect_neq(allocate(KIB), address);
    small_release(address, id);
    cr_expect_eq(allocate(KIB), address);
    small_release(address, id); /* was released, and is another's now */
    cr_expect_eq(core_find(address, &info), 0);
    core_context_gone(0);
    cr_expect_eq(core_find(kept, &info), -ENOENT);
    world_finish(&world);
}

/* However many have something on the device: a context has bins of its own, and leaves nothing. */
Test(bin, contexts_do_not_share_blocks)
{
    enum {
        CONTEXTS = 500
    };
    static uint64_t address[CONTEXTS][3];

    start("EBBTIDE_DEVICE_BUDGET=2G EBBTIDE_HOST_BUDGET=1G");
    for (unsigned i = 0; i < 3 * CONTEXTS; i++)
        cr_assert_eq(
            core_allocate(0, 1000, 1 + i % CONTEXTS, NULL, true, &address[i % CONTEXTS][i / CONTEXTS]), 0);
    cr_expect_eq(held(), CONTEXTS * GRANULE_BYTES);
    for (unsigned i = 0; i < CONTEXTS; i++) {
        cr_expect_eq(address[i][0] / GRANULE_BYTES, address[i][2] / GRANULE_BYTES);
        core_context_gone(1 + i);
    }
    cr_expect_eq(held(), 0);
    for (unsigned i = 0; i < HOME_CHAINS; i++)
        cr_expect_null(core.devices[0].bins.homes.chain[i]);
    world_finish(&world);
}

Test(bin, context_takes_its_small_allocations_along_and_no_others)
{
    uint64_t gone, stays, dead, id;
    struct block_info info;

    start(ample);
    cr_assert_eq(core_allocate(0, KIB, 1, NULL, true, &gone), 0);
    cr_assert_eq(core_allocate(0, KIB, 1, NULL, true, &dead), 0);
    cr_assert_eq(core_allocate(0, KIB, 2, NULL, true, &stays), 0);
    cr_assert_eq(small_bury(dead, false, &id), 0);
    small_defer(dead, id);
    core_context_gone(1);
    cr_expect_eq(core.deferred, 0);
    cr_expect_eq(core_find(gone, &info), -ENOENT);
    cr_expect_eq(core_find(stays, &info), 0);
    small_release(dead, id);
    cr_expect_eq(held(), GRANULE_BYTES);
    cr_assert_eq(core_free(stays), 0);
    world_finish(&world);
}

/* ---- pins ----------------------------------------------------------------------------------------------------------- */

static uint64_t send(uint64_t address)
{
    uint64_t sent;

    mover_take();
    sent = mover_send(address_granule(&core.blocks, address), false);
    mover_give();
    return sent;
}

Test(bin, pin_of_a_small_allocation_keeps_its_bin_and_goes_with_it)
{
    uint64_t address, other;

    start(ample);
    address = allocate(64 * KIB);
    other = allocate(64 * KIB);
    cr_assert_eq(core_pin(address, PIN_TEXTURE), 0);
    cr_assert_eq(core_pin(address + 100, PIN_TEXTURE), 0);
    cr_expect_eq(send(other), 0);
    core_unpin(other, PIN_TEXTURE); /* has none */
    core_unpin(address, PIN_TEXTURE);
    cr_expect_eq(send(other), 0);
    cr_assert_eq(core_free(address), 0);
    cr_expect_eq(core_pin(address, PIN_TEXTURE), -ENOENT);
    cr_expect_gt(send(other), 0);
    cr_assert_eq(core_free(other), 0);
    world_finish(&world);
}

/* Who was let in may write to it whenever it likes. */
static void expect_left(enum pin_reason reason)
{
    uint64_t address, other;

    start(ample);
    address = allocate(64 * KIB);
    other = allocate(64 * KIB);
    cr_assert_eq(core_pin(address, reason), 0);
    cr_assert_eq(core_free(address), 0);
    cr_expect_eq(send(other), 0);
    for (unsigned i = 0; i < 100; i++)
        cr_assert_neq(allocate(64 * KIB), address);
    core_context_gone(0);
    cr_expect_eq(held(), 0);
    world_finish(&world);
}

Test(bin, memory_that_was_exported_serves_nobody_else)
{
    expect_left(PIN_EXPORTED);
}

Test(bin, memory_that_another_device_was_told_of_serves_nobody_else)
{
    expect_left(PIN_REGISTERED);
}

/* ---- bytes that a call names ---------------------------------------------------------------------------------------- */

static bool is_beyond(uint64_t address, uint64_t bytes, uint32_t *out_blocks)
{
    struct use use;

    use_init(&use, true);
    use_range(&use, address, bytes);
    *out_blocks = use.count;
    return use.beyond;
}

Test(bin, call_may_name_the_bytes_of_allocations_and_no_others)
{
    uint64_t address, large;
    uint32_t blocks;

    start(ample);
    address = allocate(1000);
    large = allocate(3 * MIB + 5);
    cr_expect_not(is_beyond(address, 0, &blocks));
    cr_expect_not(is_beyond(address + 1000, 0, &blocks));
    cr_expect_not(is_beyond(address, 1000, &blocks));
    cr_expect_not(is_beyond(address + 999, 1, &blocks));
    cr_expect(is_beyond(address, 1001, &blocks));
    cr_expect(is_beyond(address + 1000, 1, &blocks));
    cr_expect(is_beyond(address, UINT64_MAX, &blocks));
    cr_expect_not(is_beyond(large, 3 * MIB + 5, &blocks));
    cr_expect(is_beyond(large + 3 * MIB, 6, &blocks));
    cr_expect_not(is_beyond(12345, 6, &blocks), "is another's affair");
    cr_expect_eq(blocks, 0);
    cr_assert_eq(core_free(address), 0);
    cr_expect(is_beyond(address, 1, &blocks));
    cr_assert_eq(core_free(large), 0);
    cr_expect(is_beyond(large, 1, &blocks));
    world_finish(&world);
}

Test(bin, call_that_names_neighbours_names_the_blocks_of_both)
{
    uint64_t address[2];
    uint32_t blocks;

    start(ample);
    for (unsigned i = 0; i < 2; i++)
        address[i] = allocate(2 * MIB);
    cr_assert_eq(address[1] - address[0], 2 * MIB);
    cr_expect_not(is_beyond(address[0] + MIB, 2 * MIB, &blocks));
    cr_expect_eq(blocks, 2);
    for (unsigned i = 0; i < 2; i++)
        cr_assert_eq(core_free(address[i]), 0);
    world_finish(&world);
}

/* ---- kept ----------------------------------------------------------------------------------------------------------- */

Test(bin, what_shares_its_block_is_no_buffer)
{
    uint64_t address;

    start(ample);
    address = allocate(64 * KIB);
    cr_expect_eq(object_register(address, 64 * KIB, 0, "small"), -ENOTSUP);
    cr_expect_eq(object_register(address, KIB, 0, "small"), -ENOTSUP);
    cr_expect_eq(object_register(address, 65 * KIB, 0, "small"), -ENOTSUP);
    cr_expect_eq(object_register(address + 512, KIB, 0, "small"), -EINVAL);
    cr_expect_eq(object_register(address + 64 * KIB, KIB, 0, "small"), -EINVAL);
    cr_expect_eq(object_pin(address, 0, NULL), -ENOENT);
    cr_expect_eq(object_unregister(address), -ENOENT);
    cr_assert_eq(core_free(address), 0);
    world_finish(&world);
}

/* What of a bin is still the program's is leaked by it, with all that shares the bin. */
Test(bin, bin_of_which_all_was_freed_leaves_the_ledger_when_it_cannot_be_given_back)
{
    uint64_t alone, beside, kept;

    start(ample);
    alone = allocate(MIB + KIB);
    kept = allocate(MIB + KIB);
    beside = allocate(KIB);
    if (beside / GRANULE_BYTES == alone / GRANULE_BYTES) {
        uint64_t other = alone;

        alone = kept;
        kept = other;
    }
    cr_assert_eq(beside / GRANULE_BYTES, kept / GRANULE_BYTES);
    cr_assert_eq(held(), 2 * GRANULE_BYTES);
    atomic_store(&world.fake->restless, 1);
    cr_assert_eq(core_free(alone), 0);
    cr_assert_eq(core_free(beside), 0);
    free_write_off();
    cr_expect_eq(held(), GRANULE_BYTES);
    cr_expect_eq(core.deferred, 1);
}
