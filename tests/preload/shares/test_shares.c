/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded on the simulated driver: random sequences of calls, held against a model of the two shares after each. A
 * sequence that fails is made shorter as long as it fails, and printed with its seed.
 *
 * EBBTIDE_TEST_LONG=1 runs a hundred times as many; SHARES_SEED=N runs the sequence of one seed.
 */
#include <stdio.h>
#include <string.h>

#include "step.h"

#define STEPS 48

/* ---- after a step ----------------------------------------------------------------------------------------- */

static bool agrees_on_block(int index)
{
    const struct model_block *block = &run.model.block[index];
    struct ebb_block_info info = {.struct_bytes = sizeof info};
    char text[64];

    if (!block->is_alive || !block->is_registered)
        return true;
    snprintf(text, sizeof text, "ebb_query of block %d", index);
    if (!run_same(text, ebb_query(run_address(index), &info), 0))
        return false;
    snprintf(text, sizeof text, "bytes of block %d on the device", index);
    if (!run_same(text, (long long)info.resident_bytes, (long long)model_here(&run.model, block)))
        return false;
    snprintf(text, sizeof text, "pins of block %d", index);
    if (!run_same(text, info.pins, block->pins))
        return false;
    snprintf(text, sizeof text, "saves of block %d", index);
    return run_same(text, info.saves, block->saves);
}

static bool agrees(uint64_t used_before)
{
    const struct model *model = &run.model;
    struct ebb_stats now = {.struct_bytes = sizeof now}, peak = {.struct_bytes = sizeof peak};
    const struct ebb_tier_stats *tier = &now.tier[EBB_TIER_DEVICE];
    uint64_t most = used_before > model->capacity_bytes ? used_before : model->capacity_bytes;

    most += run.size.staging_granules * GRANULE; /* what is in the air */
    cr_assert_eq(ebb_pop_peak(&peak), 0);
    cr_assert_eq(ebb_get_stats(&now), 0);
    for (int i = 0; i < MODEL_BLOCKS; i++)
        if (!agrees_on_block(i))
            return false;
    if (!run_same("operations", (long long)tier->operations_bytes, (long long)model_operations(model)) ||
        !run_same("buffers", (long long)tier->buffers_bytes, (long long)model_buffers(model)) ||
        !run_same("used", (long long)tier->used_bytes, (long long)model_used(model)) ||
        !run_same("evictions", (long long)(now.evictions - run.evictions), (long long)model->evictions) ||
        !run_same("saves", (long long)(now.saves - run.saves), (long long)model->saves))
        return false;
    if (peak.tier[EBB_TIER_DEVICE].peak_bytes > most)
        return run_wrong("peak: %llu, more than %llu",
                         (unsigned long long)peak.tier[EBB_TIER_DEVICE].peak_bytes, (unsigned long long)most);
    return true;
}

/* ---- a sequence ------------------------------------------------------------------------------------------- */

/* What freed blocks leave behind is the same before each sequence: the memory of one of a size that none of them has. */
static void forget(void)
{
    uint64_t bytes = (run.size.most_granules + 1) * GRANULE;
    CUdeviceptr at;

    cr_assert_eq(ebb_set_budget(EBB_TIER_DEVICE, 0, (int64_t)(bytes + run.size.staging_granules * GRANULE)),
                 0);
    OK(cuMemAlloc(&at, bytes));
    OK(cuMemFree(at));
}

static void clear(void)
{
    for (int i = 0; i < MODEL_BLOCKS; i++)
        if (run.model.block[i].is_alive)
            OK(cuMemFree(run.at[i]));
    for (int i = 0; i < MODEL_RESERVATIONS; i++)
        if (run.model.reservation[i].is_alive)
            (void)ebb_reserve_release(run.reservation[i], SIZE_MAX);
    forget();
}

static void start(void)
{
    struct ebb_stats now = {.struct_bytes = sizeof now};

    cr_assert_eq(ebb_set_budget(EBB_TIER_DEVICE, 0, (int64_t)(run.size.budget_granules * GRANULE)), 0);
    model_begin(&run.model, (run.size.budget_granules - run.size.staging_granules) * GRANULE,
                run.size.staging_granules * GRANULE);
    cr_assert_eq(ebb_get_stats(&now), 0);
    cr_assert_eq(now.tier[EBB_TIER_DEVICE].used_bytes, 0, "%zu are left of the sequence before",
                 (size_t)now.tier[EBB_TIER_DEVICE].used_bytes);
    run.evictions = now.evictions;
    run.saves = now.saves;
    run.wrong[0] = '\0';
}

/* True: the library and the model agree to its end, or to where the design leaves it open. */
static bool agree(const struct step *steps, unsigned count, bool tells)
{
    bool good = true;

    start();
    run.tells = tells;
    for (unsigned i = 0; good && i < count && !run.model.is_over; i++) {
        uint64_t used_before = model_used(&run.model);

        cr_assert_eq(ebb_push_peak(), 0);
        good = step_take(&steps[i]);
        if (!good || run.model.is_over)
            cr_assert_eq(ebb_pop_peak(NULL), 0);
        else
            good = agrees(used_before);
    }
    clear();
    return good;
}

/* Without each step in turn, from the last, as long as it fails still. */
static unsigned shrink(struct step *steps, unsigned count)
{
    for (unsigned i = count; i-- > 0;) {
        struct step without[STEPS];

        memcpy(without, steps, i * sizeof *steps);
        memcpy(without + i, steps + i + 1, (count - i - 1) * sizeof *steps);
        if (!agree(without, count - 1, false))
            memcpy(steps, without, --count * sizeof *steps);
    }
    return count;
}

static void run_seed(uint64_t seed)
{
    struct step steps[STEPS];
    char first[sizeof run.wrong];
    unsigned count = STEPS;

    steps_draw(seed, steps, STEPS);
    if (agree(steps, count, false))
        return;
    memcpy(first, run.wrong, sizeof first);
    count = shrink(steps, count);
    count = shrink(steps, count);
    agree(steps, count, true);
    cr_assert_fail("seed %llu: %s; in short: %s%s", (unsigned long long)seed, first, run.wrong, run.text);
}

static void run_seeds(struct size size, uint64_t first, uint64_t count)
{
    const char *only = getenv("SHARES_SEED");
    CUdeviceptr largest;

    run.size = size;
    world_make();
    /* Chunks are as large as they get from now on, and shares in force. */
    cr_assert_eq(ebb_set_budget(EBB_TIER_DEVICE, 0, (int64_t)(size.budget_granules * GRANULE)), 0);
    OK(cuMemAlloc(&largest, size.most_granules * GRANULE));
    cr_assert_eq(ebb_register((void *)(uintptr_t)largest, GRANULE, 0, NULL), 0);
    OK(cuMemFree(largest));
    if (only) {
        run_seed(strtoull(only, NULL, 0));
        return;
    }
    if (getenv("EBBTIDE_TEST_LONG"))
        count *= 100;
    for (uint64_t seed = first; seed < first + count; seed++)
        run_seed(seed);
}

TestSuite(shares, .timeout = 3600);

/* Chunks of one granule. C is 10 of them, of which a share has at most 7: the boundaries are met to the byte. */
Test(shares, blocks_are_where_the_model_has_them)
{
    run_seeds((struct size){11, 1, 5}, 0, 1000);
}

/* Seven tenths of 9 granules are none of them. */
Test(shares, blocks_are_where_the_model_has_them_between_the_granules)
{
    run_seeds((struct size){10, 1, 5}, 1000000, 1000);
}

/* As the design's scenarios have it: a budget of 212 MiB in chunks of up to 12, and blocks of up to 76. */
Test(shares, blocks_of_large_chunks_are_where_the_model_has_them)
{
    run_seeds((struct size){106, 6, 38}, 2000000, 85);
}
