/* SPDX-License-Identifier: Apache-2.0 */
/* plan.c - see plan.h. */
#include "policy/plan.h"

#include <string.h>

#include "policy/forecast.h"

enum guard_ruler plan_ruler(const struct guard *guard, bool has_order)
{
    bool has_gaps = guard_allows(guard, GUARD_GAPS);

    if (has_order && guard_allows(guard, GUARD_ORDER))
        return GUARD_ORDER;
    if (guard->is_mru_better && (!has_order || !has_gaps))
        return GUARD_MRU;
    return has_gaps ? GUARD_GAPS : GUARD_LRU;
}

static bool is_trusted(const struct outlook *outlook, uint32_t index, enum outlook_trust in)
{
    return outlook->block[index].trust[in] >= OUTLOOK_TRUSTED;
}

struct plan_turn plan_turn(const struct outlook *outlook, uint32_t index, enum guard_ruler ruler)
{
    uint32_t age = outlook_age(outlook, index), ahead = OUTLOOK_NEVER;

    if (ruler == GUARD_MRU)
        return (struct plan_turn){UINT32_MAX - age, false};
    if (ruler == GUARD_ORDER && is_trusted(outlook, index, OUTLOOK_BY_ORDER))
        ahead = forecast_order(outlook, index);
    else if (ruler == GUARD_GAPS && is_trusted(outlook, index, OUTLOOK_BY_GAPS))
        ahead = forecast_gaps(outlook, index);
    if (ahead != OUTLOOK_NEVER)
        return (struct plan_turn){ahead, true};
    return (struct plan_turn){age ? age : 1, false};
}

void plan_list(struct plan_block *list, size_t *count, const struct plan_block *block)
{
    size_t at = *count;

    while (at && list[at - 1].turn.ahead > block->turn.ahead)
        at--;
    if (at == PLAN_BATCH_BLOCKS)
        return;
    if (*count < PLAN_BATCH_BLOCKS)
        ++*count;
    memmove(&list[at + 1], &list[at], (*count - at - 1) * sizeof(*list));
    list[at] = *block;
}

/* Cost of a block that comes before it is wanted. Its place is taken from one that is wanted later, for a part of the time
 * until that is: counted for half as much again, as replays moved the least with. And the less a block is trusted, the less
 * likely it is wanted at all. */
static uint64_t cost_of(const struct plan_block *come, const struct plan_block *leave, uint64_t granules,
                        uint64_t pause_bytes)
{
    uint64_t doubt = OUTLOOK_TRUST_MAX + 1 - (uint64_t)come->trust;
    uint64_t held = guard_move_cost(granules, pause_bytes) / leave->turn.ahead * come->turn.ahead * 3 / 2;

    return held + guard_move_cost(come->granules, pause_bytes) * doubt * 3 / (10 * (OUTLOOK_TRUST_MAX + 1));
}

static bool is_wanted_later(const struct plan_block *leave, const struct plan_block *come)
{
    return leave->turn.is_foretold &&
           (uint64_t)leave->turn.ahead * 100 > (uint64_t)come->turn.ahead * 102 + 100;
}

/* By whole chunks, until `want` granules have left. */
static uint32_t leaving(const struct plan_block *block, uint64_t want)
{
    uint64_t left = block->granules - block->moves;
    uint64_t chunks = (want + block->chunk - 1) / block->chunk * block->chunk;

    return (uint32_t)(chunks < left ? chunks : left);
}

/* Those from `at` on that leave for `come`, whose room lacks `want` granules. Where they go on; here_count: they do not. */
static bool may_leave(const struct plan_block *come, const struct plan_block *here, size_t here_count,
                      size_t at, uint64_t want, uint64_t pause_bytes)
{
    for (; want; at++) {
        uint32_t granules;

        if (at == here_count)
            return false;
        granules = leaving(&here[at], want);
        if (!granules)
            continue;
        if (!is_wanted_later(&here[at], come) ||
            cost_of(come, &here[at], granules, pause_bytes) > pause_bytes)
            return false;
        want -= granules < want ? granules : want;
    }
    return true;
}

uint64_t plan_batch(struct plan_block *away, size_t away_count, struct plan_block *here, size_t here_count,
                    uint64_t room, uint64_t pause_bytes)
{
    uint64_t come = 0;
    size_t at = 0;

    for (size_t i = 0; i < away_count && come < PLAN_BATCH_GRANULES; i++) {
        uint64_t granules = away[i].granules, want = granules > room ? granules - room : 0;

        if ((come && granules > PLAN_BATCH_GRANULES) ||
            !may_leave(&away[i], here, here_count, at, want, pause_bytes))
            continue;
        away[i].moves = away[i].granules;
        come += granules;
        room += want;
        while (want) {
            uint32_t left = leaving(&here[at], want);

            here[at].moves += left;
            room += left > want ? left - want : 0;
            want -= left < want ? left : want;
            at += want != 0;
        }
        room -= granules;
    }
    return come;
}
