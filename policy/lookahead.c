/* SPDX-License-Identifier: Apache-2.0 */
/* lookahead.c - see lookahead.h. */
#include "policy/lookahead.h"

#include <string.h>

#include "policy/forecast.h"

#define ONE (1u << 16)

enum {
    WASTE_PART = 20,     /* one block moves the share by a 20th */
    WASTE_FADES = 2000,  /* launches */
    WASTE_MOST = ONE / 4 /* from here on nothing comes early */
};

void lookahead_init(struct lookahead *lookahead, uint64_t room, struct outlook_block *block, uint32_t blocks,
                    struct history *history, unsigned threads)
{
    memset(lookahead, 0, sizeof(*lookahead));
    outlook_init(&lookahead->outlook, block, blocks);
    guard_init(&lookahead->guard, room);
    lookahead->history = history;
    lookahead->threads = threads;
}

uint32_t lookahead_make(struct lookahead *lookahead, uint32_t index, uint32_t granules)
{
    uint32_t name = outlook_make(&lookahead->outlook, index, granules);

    guard_make(&lookahead->guard, &lookahead->outlook, index);
    return name;
}

void lookahead_free(struct lookahead *lookahead, uint32_t index)
{
    guard_free(&lookahead->guard, &lookahead->outlook, index);
    outlook_free(&lookahead->outlook, index);
}

static void settle_early(struct lookahead *lookahead, uint32_t index, bool is_wanted)
{
    struct outlook_block *block = &lookahead->outlook.block[index];

    if (!block->is_early)
        return;
    block->is_early = false;
    lookahead->waste -= lookahead->waste / WASTE_PART;
    if (is_wanted)
        return;
    lookahead->waste += ONE / WASTE_PART;
    lookahead->unused++;
}

static bool has_order(const struct lookahead *lookahead)
{
    for (unsigned i = 0; i < lookahead->threads; i++)
        if (history_trusted(&lookahead->history[i]))
            return true;
    return false;
}

void lookahead_launch(struct lookahead *lookahead, unsigned thread, const struct launch *launch)
{
    struct outlook *outlook = &lookahead->outlook;
    struct history *history = &lookahead->history[thread];
    uint32_t index[HISTORY_USES_MAX], count = 0;
    bool is_hit;

    outlook_launch(outlook);
    for (uint32_t i = 0; i < launch->count && i < HISTORY_USES_MAX; i++) {
        if (!outlook_lives(outlook, launch->name[i]))
            continue;
        index[count] = outlook_index(launch->name[i]);
        outlook_use(outlook, index[count], launch->function, i);
        settle_early(lookahead, index[count++], true);
    }
    lookahead->waste -= lookahead->waste / WASTE_FADES;
    is_hit = history_note(history, launch, outlook->now);
    *(is_hit ? &lookahead->hits : &lookahead->misses) += 1;
    if (is_hit)
        forecast_inherit(outlook, history);
    guard_launch(&lookahead->guard, outlook, index, count,
                 plan_ruler(&lookahead->guard, has_order(lookahead)));
}

void lookahead_plan(struct lookahead *lookahead)
{
    lookahead->ruler = plan_ruler(&lookahead->guard, has_order(lookahead));
    forecast_begin(&lookahead->outlook);
    if (lookahead->ruler != GUARD_ORDER)
        return;
    for (unsigned i = 0; i < lookahead->threads; i++)
        if (history_trusted(&lookahead->history[i]))
            forecast_walk(&lookahead->outlook, &lookahead->history[i]);
}

bool lookahead_batches(const struct lookahead *lookahead)
{
    return lookahead->ruler == GUARD_ORDER && lookahead->waste < WASTE_MOST;
}

void lookahead_leave(struct lookahead *lookahead, uint32_t index, uint32_t oldest)
{
    outlook_leave(&lookahead->outlook, index, oldest);
    settle_early(lookahead, index, false);
}

void lookahead_come_early(struct lookahead *lookahead, uint32_t index)
{
    lookahead->outlook.block[index].is_early = true;
    lookahead->early++;
}

void lookahead_paused(struct lookahead *lookahead, uint64_t wanted, uint64_t more)
{
    guard_pause(&lookahead->guard, wanted, more);
}
