/* SPDX-License-Identifier: Apache-2.0 */
/* budget.c - see budget.h. */
#include "policy/budget.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

void budget_init(struct budget *budget, uint64_t limit_bytes)
{
    memset(budget, 0, sizeof(*budget));
    budget->limit_bytes = limit_bytes;
}

uint64_t budget_held(const struct budget *budget)
{
    return budget->used_bytes + budget->idle_bytes;
}

uint64_t budget_room(const struct budget *budget, uint64_t keep_free_bytes)
{
    uint64_t held_bytes = budget_held(budget) + budget->lent_bytes;
    if (budget->limit_bytes == BUDGET_NO_LIMIT)
        return UINT64_MAX - held_bytes;
    if (keep_free_bytes >= budget->limit_bytes)
        return 0;
    uint64_t reach_bytes = budget->limit_bytes - keep_free_bytes;
    return reach_bytes > held_bytes ? reach_bytes - held_bytes : 0;
}

bool budget_may_use(const struct budget *budget, uint64_t bytes, uint64_t keep_free_bytes)
{
    uint64_t limit_bytes = budget->limit_bytes;

    if (limit_bytes == BUDGET_NO_LIMIT)
        return true;
    if (budget->used_bytes > limit_bytes || keep_free_bytes > limit_bytes - budget->used_bytes)
        return !bytes;
    return bytes <= limit_bytes - budget->used_bytes - keep_free_bytes;
}

static void add_to_class(struct budget *budget, unsigned class, uint64_t bytes)
{
    budget->used_bytes += bytes;
    budget->class_bytes[class] += bytes;
    if (budget->used_bytes > budget->used_peak_bytes)
        budget->used_peak_bytes = budget->used_bytes;
}

void budget_force(struct budget *budget, unsigned class, uint64_t bytes)
{
    assert(class < BUDGET_CLASSES);
    add_to_class(budget, class, bytes);
    uint64_t held_bytes = budget_held(budget);
    if (held_bytes > budget->peak_bytes)
        budget->peak_bytes = held_bytes;
}

int budget_charge(struct budget *budget, unsigned class, uint64_t bytes, uint64_t keep_free_bytes)
{
    assert(class < BUDGET_CLASSES);
    /* Never "limit - used < bytes": over the limit that difference wraps and admits everything. Nothing is
     * also admitted over the limit, since it takes nothing. */
    if (bytes > budget_room(budget, keep_free_bytes))
        return -ENOMEM;
    budget_force(budget, class, bytes);
    return 0;
}

static void take_from_class(struct budget *budget, unsigned class, uint64_t bytes)
{
    assert(class < BUDGET_CLASSES);
    assert(bytes <= budget->class_bytes[class]);
    assert(bytes <= budget->used_bytes);
    budget->class_bytes[class] -= bytes;
    budget->used_bytes -= bytes;
}

void budget_credit(struct budget *budget, unsigned class, uint64_t bytes)
{
    take_from_class(budget, class, bytes);
}

int budget_lend(struct budget *budget, uint64_t bytes, uint64_t keep_free_bytes)
{
    if (bytes > budget_room(budget, keep_free_bytes))
        return -ENOMEM;
    budget_lend_anyway(budget, bytes);
    return 0;
}

void budget_lend_anyway(struct budget *budget, uint64_t bytes)
{
    budget->lent_bytes += bytes;
}

void budget_take_back(struct budget *budget, uint64_t bytes)
{
    assert(bytes <= budget->lent_bytes);
    budget->lent_bytes -= bytes;
}

void budget_refuse(struct budget *budget)
{
    budget->refused++;
}

void budget_to_idle(struct budget *budget, unsigned class, uint64_t bytes)
{
    take_from_class(budget, class, bytes);
    budget->idle_bytes += bytes;
}

void budget_shift(struct budget *budget, unsigned from_class, unsigned to_class, uint64_t bytes)
{
    assert(to_class < BUDGET_CLASSES);
    take_from_class(budget, from_class, bytes);
    add_to_class(budget, to_class, bytes);
}

void budget_drop_idle(struct budget *budget, uint64_t bytes)
{
    assert(bytes <= budget->idle_bytes);
    budget->idle_bytes -= bytes;
}

void budget_from_idle(struct budget *budget, unsigned class, uint64_t bytes)
{
    assert(class < BUDGET_CLASSES);
    budget_drop_idle(budget, bytes);
    add_to_class(budget, class, bytes);
}

void budget_unpack_idle(struct budget *budget, unsigned class, uint64_t bytes)
{
    uint64_t used_peak_bytes = budget->used_peak_bytes;

    budget_from_idle(budget, class, bytes);
    budget->used_peak_bytes = used_peak_bytes;
}
