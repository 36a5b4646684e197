/* SPDX-License-Identifier: Apache-2.0 */
/* step.c - see step.h. */
#include "step.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct run run;

static const char *const names[WHATS] = {"allocate",  "name",      "free",  "register", "unregister",
                                         "pin",       "unpin",     "touch", "prefetch", "evict",
                                         "evict any", "reserve",   "weigh", "output",   "commit",
                                         "release",   "set budget"};

/* How often each is drawn. */
static const unsigned weights[WHATS] = {5, 12, 8, 3, 1, 14, 14, 3, 4, 4, 2, 5, 2, 6, 4, 5, 1};

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

void steps_draw(uint64_t seed, struct step *steps, unsigned count)
{
    random_state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    draw(2);
    for (unsigned i = 0; i < count; i++)
        steps[i] = (struct step){draw_what(), draw(1 << 16), draw(1 << 16), draw(2), draw(3) == 0};
}

/* Half of all sizes are at, or one granule beside, what is left of a limit. */
static uint64_t size_of(const struct step *step)
{
    const struct model *model = &run.model;
    uint64_t capacity = model->capacity_bytes, share = capacity / 10 * 7;
    uint64_t left[] = {capacity - model_used(model),
                       share - model_operations(model),
                       share - model_buffers(model),
                       capacity - model_operations(model),
                       share,
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

void *run_address(int block)
{
    return (void *)(uintptr_t)run.at[block];
}

/* ---- a step ----------------------------------------------------------------------------------------------- */

bool run_wrong(const char *format, ...)
{
    va_list list;

    va_start(list, format);
    vsnprintf(run.wrong, sizeof run.wrong, format, list);
    va_end(list);
    return false;
}

bool run_same(const char *what, long long got, long long want)
{
    return got == want || run_wrong("%s: %lld, the model says %lld", what, got, want);
}

static bool allocate(int index, uint64_t bytes)
{
    CUresult result = cuMemAlloc(&run.at[index], bytes);

    model_allocate(&run.model, index, bytes);
    return run_same("cuMemAlloc", result, CUDA_SUCCESS);
}

static bool name(int index)
{
    struct model_block *block = &run.model.block[index];
    int got = ebb_register(run_address(index), block->bytes, 0, "block");

    return run_same("ebb_register", got, model_register(&run.model, index));
}

static bool reserve(int index, uint64_t bytes, unsigned more)
{
    int got = ebb_reserve(bytes - more, 0, 0, &run.reservation[index], NULL);

    return run_same("ebb_reserve", got, model_reserve(&run.model, index, bytes));
}

static bool commit(int reservation, int index)
{
    int got = ebb_reserve_commit(run.reservation[reservation], run_address(index));

    return run_same("ebb_reserve_commit", got, model_commit(&run.model, reservation, index));
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

    return run_same("ebb_reserve to ask", got, model_weigh(&run.model, bytes)) &&
           run_same("overbooked", (long long)over, 0);
}

static bool release(int reservation, const struct step *step)
{
    uint64_t left = run.model.reservation[reservation].bytes;
    uint64_t bytes = step->flag ? UINT64_MAX : left ? (1 + step->size % (left / GRANULE)) * GRANULE : GRANULE;
    int got = ebb_reserve_release(run.reservation[reservation], bytes == UINT64_MAX ? SIZE_MAX : bytes);

    return run_same("ebb_reserve_release", got, model_release(&run.model, reservation, bytes));
}

static bool set_budget(const struct step *step)
{
    uint64_t budget = (run.size.budget_granules - step->size % 4) * GRANULE;

    model_set_capacity(&run.model, budget - run.size.staging_granules * GRANULE);
    return run_same("ebb_set_budget", ebb_set_budget(EBB_TIER_DEVICE, 0, (int64_t)budget), 0);
}

static bool on_block(const struct step *step, int index)
{
    struct model *model = &run.model;
    unsigned flags = (step->flag ? EBB_RO : EBB_RW) | (step->other ? EBB_NOWAIT : 0);
    long got;

    switch (step->what) {
    case FREE:
        model_free(model, index);
        return run_same("cuMemFree", cuMemFree(run.at[index]), CUDA_SUCCESS);
    case REGISTER:
        return name(index);
    case UNREGISTER:
        got = ebb_unregister(run_address(index));
        return run_same("ebb_unregister", got, model_unregister(model, index));
    case PIN:
        got = ebb_pin(run_address(index), flags, NULL);
        return run_same("ebb_pin", got, model_pin(model, index, !step->flag, !step->other));
    case UNPIN:
        got = ebb_unpin(run_address(index), step->flag ? EBB_CLEAN : EBB_DIRTY);
        return run_same("ebb_unpin", got, model_unpin(model, index, !step->flag));
    case TOUCH:
        got = ebb_touch(run_address(index));
        return run_same("ebb_touch", got, model_touch(model, index));
    case PREFETCH:
        got = ebb_prefetch(run_address(index), EBB_TIER_DEVICE, NULL);
        return run_same("ebb_prefetch", got, model_prefetch(model, index));
    default:
        got = ebb_evict(run_address(index), 0, EBB_TIER_HOST);
        return run_same("ebb_evict", got, model_evict(model, index));
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
        return run_same("ebb_evict", ebb_evict(NULL, bytes, EBB_TIER_HOST),
                        model_evict_any(&run.model, bytes));
    default:
        return some == MODEL_NONE || on_block(step, some);
    }
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

bool step_take(const struct step *step)
{
    bool is_new = step->what == ALLOCATE || step->what == NAME || step->what == OUTPUT;
    int index = is_new ? free_block() : some_block(step->which);
    uint64_t bytes = size_of(step);
    bool good = take(step);

    if (run.tells)
        tell(step, index, bytes);
    return good;
}
