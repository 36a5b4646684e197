/* SPDX-License-Identifier: Apache-2.0 */
/* policies.c - see policies.h. */
#include "policy/policies.h"

/* Sizes are ranked by this many bytes: what device memory is handed out in. */
#define STEP_BYTES ((uint64_t)2 << 20)

/* For a rank: in steps, and not more than `most`. */
static uint32_t steps(uint64_t bytes, uint32_t most)
{
    return bytes / STEP_BYTES < most ? (uint32_t)(bytes / STEP_BYTES) : most;
}

/* What came back less than this ago leaves after all else: a policy that does not go by use would send it away before
 * it was of use. */
#define SETTLE_MS 100

static void rank_fifo(const struct candidate *candidate, uint64_t need_bytes, uint32_t *rank, uint64_t *order)
{
    (void)need_bytes;
    (void)rank;
    *order = candidate->arrival;
}

/* A block that is enough comes before one that is not: the former by what it has too much, the latter by what it lacks. */
static void rank_size(const struct candidate *candidate, uint64_t need_bytes, uint32_t *rank, uint64_t *order)
{
    bool is_enough = candidate->bytes >= need_bytes;
    uint64_t off_bytes = is_enough ? candidate->bytes - need_bytes : need_bytes - candidate->bytes;

    (void)order;
    *rank = steps(off_bytes, POLICY_RANKS / 2 - 1) + (is_enough ? 0 : POLICY_RANKS / 2);
}

static void rank_stage(const struct candidate *candidate, uint64_t need_bytes, uint32_t *rank,
                       uint64_t *order)
{
    (void)need_bytes;
    (void)order;
    *rank = STAGE_MAX - candidate->stage;
}

/* No stamp is as late as who is known is put. Of those that are as far ahead the stamp decides, as exactly as there is room
 * for it: a third of a millisecond at 3 GHz. */
static void rank_lookahead(const struct candidate *candidate, uint64_t need_bytes, uint32_t *rank,
                           uint64_t *order)
{
    (void)need_bytes;
    (void)rank;
    if (candidate->ahead)
        *order = (uint64_t)(UINT32_MAX - candidate->ahead) << 31 | (*order >> 20 & INT32_MAX);
}

#define POLICY_ROW(name, rank, by_bytes) {rank, by_bytes},
const struct policy policies[POLICY_COUNT] = {POLICIES(POLICY_ROW)};
#undef POLICY_ROW

struct question {
    const struct policies *view;
    uint64_t need_bytes;
};

static uint64_t movable_bytes(uint32_t index, void *arg)
{
    const struct question *question = arg;

    return question->view->victims.movable_bytes(index, question->view->victims.arg);
}

static void rank(const struct policy *policy, const struct candidate *candidate, uint64_t need_bytes,
                 struct victim *victim)
{
    uint32_t ranked = 0;

    if (policy->rank)
        policy->rank(candidate, need_bytes, &ranked, &victim->order);
    ranked += (uint32_t)(candidate->priority - PRIORITY_MIN) * POLICY_RANKS;
    victim->rank = ranked | (uint32_t)candidate->is_settling << 30 | (uint32_t)candidate->is_favoured << 31;
}

void policies_turn(enum policy_kind kind, const struct candidate *candidate, uint64_t need_bytes,
                   struct victim *turn)
{
    rank(&policies[kind], candidate, need_bytes, turn);
}

uint64_t policies_settled(enum policy_kind kind, uint64_t now, uint64_t stamp_hz)
{
    uint64_t settle = stamp_hz / 1000 * SETTLE_MS;

    bool is_by_use = !policies[kind].rank || kind == POLICY_LOOKAHEAD;

    return is_by_use || now < settle ? UINT64_MAX : now - settle;
}

static bool turn(struct victim *victim, uint64_t stamp, void *arg)
{
    const struct question *question = arg;
    const struct policies *view = question->view;
    struct candidate candidate = {0};

    victim->order = stamp;
    view->describe(victim->index, view->victims.arg, &candidate);
    if (view->policy->by_bytes)
        candidate.bytes = movable_bytes(victim->index, arg);
    if (view->policy->by_bytes && !candidate.bytes)
        return false;
    rank(view->policy, &candidate, question->need_bytes, victim);
    return true;
}

static size_t choose(const struct policies *view, uint64_t need_bytes, uint32_t *out, size_t out_max)
{
    struct question question = {view, need_bytes};
    struct victims victims = view->victims;

    if (!view->policy->rank && !view->is_ranked)
        return victims_choose(&view->victims, need_bytes, out, out_max);
    victims.turn = turn;
    victims.movable_bytes = movable_bytes;
    victims.arg = &question;
    return victims_choose(&victims, need_bytes, out, out_max);
}

static bool is_among(uint32_t index, const uint32_t *list, size_t count)
{
    while (count && list[count - 1] != index)
        count--;
    return count != 0;
}

/* The last one may have less too much with another in its place. */
static void refine_last(const struct policies *view, uint64_t need_bytes, uint32_t *out, size_t count)
{
    struct question question = {view, need_bytes};
    uint32_t better;

    for (size_t i = 0; i + 1 < count; i++)
        need_bytes -= movable_bytes(out[i], &question);
    if (choose(view, need_bytes, &better, 1) == 1 && !is_among(better, out, count) &&
        movable_bytes(better, &question) >= need_bytes &&
        movable_bytes(better, &question) < movable_bytes(out[count - 1], &question))
        out[count - 1] = better;
}

size_t policies_choose(const struct policies *view, uint64_t need_bytes, uint32_t *out, size_t out_max)
{
    size_t count = choose(view, need_bytes, out, out_max);

    if (view->policy->by_bytes && count > 1)
        refine_last(view, need_bytes, out, count);
    return count;
}
