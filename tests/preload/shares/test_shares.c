/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded on the simulated driver: random sequences of calls, held against a model of the two areas after each. A
 * sequence that fails is made shorter as long as it fails, and printed with its seed.
 *
 * EBBTIDE_TEST_LONG=1 runs a hundred times as many; SHARES_SEED=N runs the sequence of one seed.
 */
#include "../world.h"

#include <ebbtide.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "model.h"

#define GRANULE (2 * MIB)
#define STEPS   48

enum what {
    ALLOCATE,
    NAME, /* allocate and register */
    FREE,
    REGISTER,
    UNREGISTER,
    PIN,
    UNPIN,
    TOUCH,
    PREFETCH,
    EVICT,
    EVICT_ANY,
    RESERVE,
    WEIGH,
    OUTPUT, /* reserve, allocate, register, commit: what a program does for a result */
    COMMIT,
    RELEASE,
    SET_BUDGET,
    WHATS
};

static const char *const names[WHATS] = {"allocate",  "name",      "free",  "register", "unregister",
                                         "pin",       "unpin",     "touch", "prefetch", "evict",
                                         "evict any", "reserve",   "weigh", "output",   "commit",
                                         "release",   "set budget"};

/* How often each is drawn. */
static const unsigned weights[WHATS] = {5, 12, 8, 3, 1, 14, 14, 3, 4, 4, 2, 5, 2, 6, 4, 5, 1};

/* Any step makes sense in any state: what it names is found from its numbers when it is taken. */
struct step {
    enum what what;
    unsigned which, size;
    bool flag, other;
};

struct size {
    unsigned budget_granules, staging_granules, most_granules;
};

static struct {
    struct size size;
    struct model model;
    CUdeviceptr at[MODEL_BLOCKS];
    ebb_reservation reservation[MODEL_RESERVATIONS];
    uint64_t evictions, saves; /* before the sequence */
    char wrong[512], text[8192];
} run;

/* ---- numbers ---------------------------------------------------------------------------------------------- */

static uint64_t random_state;

static unsigned draw(unsigned below)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)((random_state >> 33) % below);
}

static enum what draw_what(void)
{
    unsigned all = 0, at;

    for (unsigned i = 0; i < WHATS; i++)
        all += weights[i];
    at = draw(all);
    for (unsigned i = 0; i < WHATS; i++) {
        if (at < weights[i])
            return (enum what)i;
        at -= weights[i];
    }
    return ALLOCATE;
}

static void draw_steps(uint64_t seed, struct step *steps)
{
    random_state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    draw(2);
    for (unsigned i = 0; i < STEPS; i++)
        steps[i] = (struct step){draw_what(), draw(1 << 16), draw(1 << 16), draw(2), draw(3) == 0};
}

/* Half of all sizes are at, or one granule beside, what is left of a limit. */
static uint64_t size_of(const struct step *step)
{
    const struct model *model = &run.model;
    uint64_t capacity = model->capacity_bytes, area = capacity / 10 * 7;
    uint64_t left[] = {capacity - model_used(model),
                       area - model_operations(model),
                       area - model_buffers(model),
                       capacity - model_operations(model),
                       area,
                       run.size.staging_granules * GRANULE};
    unsigned most = run.size.most_granules;
    uint64_t granules = 1 + step->size % most;

    if (step->size & 0x4000)
        granules = left[step->size % 6] / GRANULE + (step->size >> 8) % 3 - 1;
    return (granules < 1 || granules > most ? 1 + step->size % most : granules) * GRANULE;
}

/* ---- what is named ---------------------------------------------------------------------------------------- */

static int free_block(void)
{
    for (int i = 0; i < MODEL_BLOCKS; i++)
        if (!run.model.block[i].is_alive)
            return i;
    return MODEL_NONE;
}

static int some_block(unsigned which)
{
    for (int i = 0; i < MODEL_BLOCKS; i++)
        if (run.model.block[(which + (unsigned)i) % MODEL_BLOCKS].is_alive)
            return (int)((which + (unsigned)i) % MODEL_BLOCKS);
    return MODEL_NONE;
}

static int free_reservation(void)
{
    for (int i = 0; i < MODEL_RESERVATIONS; i++)
        if (!run.model.reservation[i].is_alive)
            return i;
    return MODEL_NONE;
}

static int some_reservation(unsigned which)
{
    for (int i = 0; i < MODEL_RESERVATIONS; i++)
        if (run.model.reservation[(which + (unsigned)i) % MODEL_RESERVATIONS].is_alive)
            return (int)((which + (unsigned)i) % MODEL_RESERVATIONS);
    return MODEL_NONE;
}

static void *ptr(int block)
{
    return (void *)(uintptr_t)run.at[block];
}

/* ---- a step ----------------------------------------------------------------------------------------------- */

__attribute__((format(printf, 1, 2))) static bool wrong(const char *format, ...)
{
    va_list list;

    va_start(list, format);
    vsnprintf(run.wrong, sizeof run.wrong, format, list);
    va_end(list);
    return false;
}

static bool same(const char *what, long long got, long long want)
{
    return got == want || wrong("%s: %lld, the model says %lld", what, got, want);
}

static bool allocate(int index, uint64_t bytes)
{
    CUresult result = cuMemAlloc(&run.at[index], bytes);

    model_allocate(&run.model, index, bytes);
    return same("cuMemAlloc", result, CUDA_SUCCESS);
}

static bool name(int index)
{
    struct model_block *block = &run.model.block[index];
    int got = ebb_register(ptr(index), block->bytes, 0, "block");

    return same("ebb_register", got, model_register(&run.model, index));
}

static bool reserve(int index, uint64_t bytes, unsigned more)
{
    int got = ebb_reserve(bytes - more, 0, 0, &run.reservation[index], NULL);

    return same("ebb_reserve", got, model_reserve(&run.model, index, bytes));
}

static bool commit(int reservation, int index)
{
    int got = ebb_reserve_commit(run.reservation[reservation], ptr(index));

    return same("ebb_reserve_commit", got, model_commit(&run.model, reservation, index));
}

static bool output(uint64_t bytes)
{
    int reservation = free_reservation(), index = free_block();

    if (reservation == MODEL_NONE || index == MODEL_NONE)
        return true;
    if (!reserve(reservation, bytes, 0))
        return false;
    return !run.model.reservation[reservation].is_alive ||
           (allocate(index, bytes) && name(index) && commit(reservation, index));
}

static bool weigh(uint64_t bytes)
{
    ebb_reservation none = 0;
    size_t over = 0;
    int got = ebb_reserve(bytes, EBB_OVERBOOK_ASK, 0, &none, &over);

    return same("ebb_reserve to ask", got, model_weigh(&run.model, bytes)) &&
           same("overbooked", (long long)over, 0);
}

static bool release(int reservation, const struct step *step)
{
    uint64_t left = run.model.reservation[reservation].bytes;
    uint64_t bytes = step->flag ? UINT64_MAX : left ? (1 + step->size % (left / GRANULE)) * GRANULE : GRANULE;
    int got = ebb_reserve_release(run.reservation[reservation], bytes == UINT64_MAX ? SIZE_MAX : bytes);

    return same("ebb_reserve_release", got, model_release(&run.model, reservation, bytes));
}

static bool set_budget(const struct step *step)
{
    uint64_t budget = (run.size.budget_granules - step->size % 4) * GRANULE;

    model_set_capacity(&run.model, budget - run.size.staging_granules * GRANULE);
    return same("ebb_set_budget", ebb_set_budget(EBB_TIER_DEVICE, 0, (int64_t)budget), 0);
}

static bool on_block(const struct step *step, int index)
{
    struct model *model = &run.model;
    unsigned flags = (step->flag ? EBB_RO : EBB_RW) | (step->other ? EBB_NOWAIT : 0);
    long got;

    switch (step->what) {
    case FREE:
        model_free(model, index);
        return same("cuMemFree", cuMemFree(run.at[index]), CUDA_SUCCESS);
    case REGISTER:
        return name(index);
    case UNREGISTER:
        got = ebb_unregister(ptr(index));
        return same("ebb_unregister", got, model_unregister(model, index));
    case PIN:
        got = ebb_pin(ptr(index), flags, NULL);
        return same("ebb_pin", got, model_pin(model, index, !step->flag, !step->other));
    case UNPIN:
        got = ebb_unpin(ptr(index), step->flag ? EBB_CLEAN : EBB_DIRTY);
        return same("ebb_unpin", got, model_unpin(model, index, !step->flag));
    case TOUCH:
        got = ebb_touch(ptr(index));
        return same("ebb_touch", got, model_touch(model, index));
    case PREFETCH:
        got = ebb_prefetch(ptr(index), EBB_TIER_DEVICE, NULL);
        return same("ebb_prefetch", got, model_prefetch(model, index));
    default:
        got = ebb_evict(ptr(index), 0, EBB_TIER_HOST);
        return same("ebb_evict", got, model_evict(model, index));
    }
}

static bool take(const struct step *step)
{
    int index = free_block(), some = some_block(step->which), reservation = some_reservation(step->which);
    uint64_t bytes = size_of(step);

    switch (step->what) {
    case ALLOCATE:
        return index == MODEL_NONE || allocate(index, bytes);
    case NAME:
        return index == MODEL_NONE || (allocate(index, bytes) && name(index));
    case RESERVE:
        return free_reservation() == MODEL_NONE || reserve(free_reservation(), bytes, step->other ? 4096 : 0);
    case WEIGH:
        return weigh(bytes);
    case OUTPUT:
        return output(bytes);
    case COMMIT:
        return reservation == MODEL_NONE || some == MODEL_NONE || commit(reservation, some);
    case RELEASE:
        return reservation == MODEL_NONE || release(reservation, step);
    case SET_BUDGET:
        return set_budget(step);
    case EVICT_ANY:
        return same("ebb_evict", ebb_evict(NULL, bytes, EBB_TIER_HOST), model_evict_any(&run.model, bytes));
    default:
        return some == MODEL_NONE || on_block(step, some);
    }
}

/* ---- after a step ----------------------------------------------------------------------------------------- */

static bool agrees_on_block(int index)
{
    const struct model_block *block = &run.model.block[index];
    struct ebb_block_info info = {.struct_bytes = sizeof info};
    char text[64];

    if (!block->is_alive || !block->is_registered)
        return true;
    snprintf(text, sizeof text, "ebb_query of block %d", index);
    if (!same(text, ebb_query(ptr(index), &info), 0))
        return false;
    snprintf(text, sizeof text, "bytes of block %d on the device", index);
    if (!same(text, (long long)info.resident_bytes, (long long)model_here(&run.model, block)))
        return false;
    snprintf(text, sizeof text, "pins of block %d", index);
    if (!same(text, info.pins, block->pins))
        return false;
    snprintf(text, sizeof text, "saves of block %d", index);
    return same(text, info.saves, block->saves);
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
    if (!same("operations", (long long)tier->operations_bytes, (long long)model_operations(model)) ||
        !same("buffers", (long long)tier->buffers_bytes, (long long)model_buffers(model)) ||
        !same("used", (long long)tier->used_bytes, (long long)model_used(model)) ||
        !same("evictions", (long long)(now.evictions - run.evictions), (long long)model->evictions) ||
        !same("saves", (long long)(now.saves - run.saves), (long long)model->saves))
        return false;
    if (peak.tier[EBB_TIER_DEVICE].peak_bytes > most)
        return wrong("peak: %llu, more than %llu", (unsigned long long)peak.tier[EBB_TIER_DEVICE].peak_bytes,
                     (unsigned long long)most);
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

/* The step, and what the model has after it: of each block what is here of it, with a letter for how it counts. */
static void tell(const struct step *step, int index, uint64_t bytes)
{
    const struct model *model = &run.model;
    size_t length = strlen(run.text);

    length += (size_t)snprintf(
        run.text + length, sizeof run.text - length, "\n%s %d, %llu MiB%s%s:", names[step->what], index,
        (unsigned long long)bytes / MIB, step->flag ? ", flag" : "", step->other ? ", other" : "");
    for (int i = 0; i < MODEL_BLOCKS && length < sizeof run.text - 64; i++) {
        const struct model_block *one = &model->block[i];

        if (one->is_alive)
            length += (size_t)snprintf(run.text + length, sizeof run.text - length, " %d%c%llu/%llu", i,
                                       one->pins                       ? 'p'
                                       : one->drawn_from != MODEL_NONE ? 'd'
                                       : one->is_registered            ? 'b'
                                                                       : 'l',
                                       (unsigned long long)model_here(model, one) / MIB,
                                       (unsigned long long)one->bytes / MIB);
    }
    snprintf(run.text + length, sizeof run.text - length, ": op %llu buf %llu used %llu of %llu",
             (unsigned long long)model_operations(model) / MIB,
             (unsigned long long)model_buffers(model) / MIB, (unsigned long long)model_used(model) / MIB,
             (unsigned long long)model->capacity_bytes / MIB);
}

/* True: the library and the model agree to its end, or to where the design leaves it open. */
static bool agree(const struct step *steps, unsigned count, bool tells)
{
    bool good = true;

    start();
    for (unsigned i = 0; good && i < count && !run.model.is_over; i++) {
        uint64_t used_before = model_used(&run.model), bytes = size_of(&steps[i]);
        int index = steps[i].what == ALLOCATE || steps[i].what == NAME || steps[i].what == OUTPUT
                        ? free_block()
                        : some_block(steps[i].which);

        cr_assert_eq(ebb_push_peak(), 0);
        good = take(&steps[i]);
        if (!good || run.model.is_over)
            cr_assert_eq(ebb_pop_peak(NULL), 0);
        else
            good = agrees(used_before);
        if (tells)
            tell(&steps[i], index, bytes);
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

    draw_steps(seed, steps);
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
    /* Chunks are as large as they get from now on, and areas in force. */
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

/* Chunks of one granule. C is 10 of them, of which an area has at most 7: the boundaries are met to the byte. */
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
