/* SPDX-License-Identifier: Apache-2.0 */
/* host_model.c - see host_model.h. */
#include "host_model.h"

#include <errno.h>
#include <stddef.h>

static uint64_t above(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

static uint64_t most(const struct host_model *model)
{
    return model->capacity_bytes / 10 * 7 + model->capacity_bytes % 10 * 7 / 10;
}

uint64_t host_operations(const struct host_model *model)
{
    uint64_t bytes = 0;

    for (int i = 0; i < HOST_RANGES; i++)
        bytes += model->range[i].pins ? model->range[i].bytes : 0;
    return bytes;
}

uint64_t host_buffers(const struct host_model *model)
{
    uint64_t bytes = 0;

    for (int i = 0; i < HOST_RANGES; i++)
        bytes += model->range[i].is_registered && !model->range[i].pins ? model->range[i].here_bytes : 0;
    return bytes;
}

static struct host_range *next_to_leave(struct host_model *model, const struct host_range *but)
{
    struct host_range *next = NULL;

    for (int i = 0; i < HOST_RANGES; i++) {
        struct host_range *one = &model->range[i];

        if (one->is_registered && !one->pins && one->here_bytes && one != but &&
            (!next || one->use < next->use))
            next = one;
    }
    return next;
}

static uint64_t make_leave(struct host_model *model, uint64_t bytes, const struct host_range *but)
{
    struct host_range *next;
    uint64_t left = 0;

    while (left < bytes && (next = next_to_leave(model, but))) {
        uint64_t some = bytes - left < next->here_bytes ? bytes - left : next->here_bytes;

        next->here_bytes -= some;
        left += some;
    }
    return left;
}

static void settle(struct host_model *model, uint64_t coming_bytes, const struct host_range *but)
{
    uint64_t all = host_operations(model) + host_buffers(model) + coming_bytes;

    make_leave(model, above(all, model->capacity_bytes), but);
    make_leave(model, above(host_buffers(model) + coming_bytes, most(model)), but);
}

int host_register(struct host_model *model, int index, uint64_t bytes)
{
    struct host_range *range = &model->range[index];

    settle(model, bytes, NULL);
    *range = (struct host_range){true, bytes, bytes, 0, ++model->now};
    return 0;
}

int host_unregister(struct host_model *model, int index)
{
    if (model->range[index].pins)
        return -EBUSY;
    model->range[index].is_registered = false;
    return 0;
}

/* A pinned range counts as a whole, whatever of it is here. */
int host_pin(struct host_model *model, int index, bool waits)
{
    struct host_range *range = &model->range[index];

    if (range->here_bytes < range->bytes && !waits)
        return -EAGAIN;
    if (!range->pins && host_operations(model) + range->bytes > most(model))
        return -ENOSPC;
    range->pins++;
    range->here_bytes = range->bytes;
    make_leave(model, above(host_operations(model) + host_buffers(model), model->capacity_bytes), range);
    return 0;
}

int host_unpin(struct host_model *model, int index)
{
    struct host_range *range = &model->range[index];

    if (!range->pins)
        return -EINVAL;
    range->use = ++model->now;
    if (!--range->pins)
        settle(model, 0, NULL);
    return 0;
}

int host_touch(struct host_model *model, int index)
{
    model->range[index].use = ++model->now;
    return 0;
}

int host_prefetch(struct host_model *model, int index)
{
    struct host_range *range = &model->range[index];
    uint64_t away_bytes = range->bytes - range->here_bytes;

    range->use = ++model->now;
    settle(model, away_bytes, range);
    range->here_bytes = range->bytes;
    return 0;
}

long host_evict(struct host_model *model, int index)
{
    struct host_range *range = &model->range[index];
    uint64_t bytes = range->here_bytes;

    if (range->pins)
        return -EBUSY;
    range->here_bytes = 0;
    return (long)bytes;
}

long host_evict_any(struct host_model *model, uint64_t bytes)
{
    return (long)make_leave(model, bytes, NULL);
}
