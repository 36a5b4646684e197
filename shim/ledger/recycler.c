/* SPDX-License-Identifier: Apache-2.0 */
/* stock.c - see stock.h. */
#include "ledger/recycler.h"

#include <assert.h>
#include <errno.h>

static unsigned class_of(uint64_t bytes)
{
    assert(bytes && bytes % GRANULE_BYTES == 0 && bytes / GRANULE_BYTES <= STOCK_CLASSES);
    return (unsigned)(bytes / GRANULE_BYTES);
}

/* May one more item of a size wait? */
static bool has_place(const struct stock *stock, unsigned class)
{
    return !stock->keeps_none && stock->idle_count[class] < STOCK_DEPTH;
}

/* Take an idle item, or charge for a new one. 1: idle taken; 0: charged. */
static int reserve(struct stock *stock, uint64_t bytes, uint64_t keep_free_bytes, uint64_t *out_item,
                   uint64_t *out_drawn_bytes)
{
    struct budget *budget = stock->budget;
    unsigned class = class_of(bytes);
    uint64_t drawn;
    int r;

    pthread_mutex_lock(stock->lock);
    drawn = stock->drawable ? stock->drawable(bytes) : 0;
    if (stock->idle_count[class] && budget_may_use(budget, bytes - drawn, keep_free_bytes)) {
        *out_item = stock->idle[class][--stock->idle_count[class]];
        budget_credit(budget, stock->drawn_class, drawn);
        budget_from_idle(budget, stock->class, bytes);
        r = 1;
    } else {
        r = budget_charge(budget, stock->class, bytes - drawn, keep_free_bytes);
        if (!r)
            budget_shift(budget, stock->drawn_class, stock->class, drawn);
    }
    if (r >= 0 && drawn)
        stock->drawn((int64_t)drawn);
    *out_drawn_bytes = drawn;
    pthread_mutex_unlock(stock->lock);
    return r;
}

int stock_take(struct stock *stock, uint64_t bytes, uint64_t keep_free_bytes, uint64_t *out_item)
{
    uint64_t drawn;
    int r;

    while ((r = reserve(stock, bytes, keep_free_bytes, out_item, &drawn)) < 0)
        if (!stock_trim(stock, bytes))
            return -ENOSPC;
    if (r == 1)
        return 0;
    r = stock->create(stock, bytes, out_item);
    if (r == -ENOMEM && stock_trim(stock, bytes))
        r = stock->create(stock, bytes, out_item);
    if (r < 0) {
        pthread_mutex_lock(stock->lock);
        budget_shift(stock->budget, stock->class, stock->drawn_class, drawn);
        budget_credit(stock->budget, stock->class, bytes - drawn);
        if (drawn)
            stock->drawn(-(int64_t)drawn);
        pthread_mutex_unlock(stock->lock);
    }
    return r;
}

bool stock_has(const struct stock *stock, uint64_t bytes)
{
    return stock->idle_count[class_of(bytes)] != 0;
}

int stock_add(struct stock *stock, uint64_t bytes)
{
    uint64_t item;
    int r;

    pthread_mutex_lock(stock->lock);
    r = has_place(stock, class_of(bytes)) ? budget_charge(stock->budget, stock->class, bytes, 0) : -ENOSPC;
    pthread_mutex_unlock(stock->lock);
    if (r < 0)
        return -ENOSPC;
    r = stock->create(stock, bytes, &item);
    if (r == 0) {
        stock_return(stock, bytes, item);
        return 0;
    }
    pthread_mutex_lock(stock->lock);
    budget_credit(stock->budget, stock->class, bytes);
    pthread_mutex_unlock(stock->lock);
    return r;
}

void stock_return(struct stock *stock, uint64_t bytes, uint64_t item)
{
    unsigned class = class_of(bytes);
    bool kept;

    pthread_mutex_lock(stock->lock);
    kept = has_place(stock, class);
    if (kept) {
        stock->idle[class][stock->idle_count[class]++] = item;
        budget_to_idle(stock->budget, stock->class, bytes);
    }
    pthread_mutex_unlock(stock->lock);
    if (!kept)
        stock_discard(stock, bytes, item);
}

void stock_discard(struct stock *stock, uint64_t bytes, uint64_t item)
{
    stock->destroy(stock, bytes, item);
    pthread_mutex_lock(stock->lock);
    budget_credit(stock->budget, stock->class, bytes);
    pthread_mutex_unlock(stock->lock);
}

/* The largest idle item; its size in granules, or 0. */
static unsigned pop_largest(struct stock *stock, uint64_t *out_item)
{
    unsigned found = 0;

    pthread_mutex_lock(stock->lock);
    for (unsigned class = STOCK_CLASSES; class && !found; class --)
        if (stock->idle_count[class]) {
            *out_item = stock->idle[class][--stock->idle_count[class]];
            found = class;
        }
    pthread_mutex_unlock(stock->lock);
    return found;
}

uint64_t stock_trim(struct stock *stock, uint64_t bytes)
{
    uint64_t given_bytes = 0, item;
    unsigned class;

    while (given_bytes < bytes && (class = pop_largest(stock, &item))) {
        stock->destroy(stock, class * GRANULE_BYTES, item);
        pthread_mutex_lock(stock->lock);
        budget_drop_idle(stock->budget, class * GRANULE_BYTES);
        pthread_mutex_unlock(stock->lock);
        given_bytes += class * GRANULE_BYTES;
    }
    return given_bytes;
}
