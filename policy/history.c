/* SPDX-License-Identifier: Apache-2.0 */
/* history.c - see history.h. */
#include "policy/history.h"

#include <assert.h>
#include <string.h>

/* Words of a launch in the ring, in front of its names. */
enum {
    SIZE, /* names, and words of the launch before << 16 */
    HASH,
    FUNCTION,
    ALIKE,  /* words back to the one before in its list; 0: none */
    NUMBER, /* among those of the ring */
    WORDS
};

enum {
    CANDIDATES = 24, /* the last times that a launch was made, among which a place is looked for */
    STEPS = 192,     /* of a list, others of its hash included */
    BEFORE = 12,     /* launches before that have to agree */
    NEAR = 32,       /* launches: a place this close is preferred to another */
    RUN_TRUSTED = 3,
    RUN_CERTAIN = 12, /* whatever was right before */
    RUN_LONG = 16,    /* other blocks at the same place shorten a longer one */
    RUN_MAX = 64,
    LOST_MAX = 64
};

#define RIGHT_ONE     (1u << 16)
#define RIGHT_TRUSTED (RIGHT_ONE * 3 / 5)

/* Positions are begun anew before they are used up. */
#define END_MAX (UINT32_MAX / 2)

void history_init(struct history *history, uint32_t *word)
{
    memset(history, 0, sizeof(*history));
    history->word = word;
    history->place = HISTORY_NOWHERE;
    history->last = HISTORY_NOWHERE;
    history->stride = RIGHT_ONE;
}

static uint32_t *at(const struct history *history, uint32_t position)
{
    return &history->word[position % HISTORY_WORDS];
}

static uint32_t get(const struct history *history, uint32_t position, uint32_t field)
{
    return *at(history, position + field);
}

static bool holds(const struct history *history, uint32_t position)
{
    return position < history->end && history->end - position <= HISTORY_WORDS;
}

uint32_t history_uses(const struct history *history, uint32_t position)
{
    return get(history, position, SIZE) & 0xffff;
}

uint32_t history_name(const struct history *history, uint32_t position, uint32_t index)
{
    return get(history, position, WORDS + index);
}

uint32_t history_next(const struct history *history, uint32_t position)
{
    return position == history->last ? HISTORY_NOWHERE : position + WORDS + history_uses(history, position);
}

/* The launch before one; HISTORY_NOWHERE: the ring holds none. */
static uint32_t before(const struct history *history, uint32_t position)
{
    uint32_t words = get(history, position, SIZE) >> 16;

    return words && holds(history, position - words) ? position - words : HISTORY_NOWHERE;
}

static uint32_t hash_of(const struct launch *launch)
{
    uint32_t hash = launch->function;

    for (uint32_t i = 0; i < launch->count; i++) {
        hash ^= launch->name[i] * 0x85ebca6bu;
        hash = (hash << 13 | hash >> 19) * 0x9e3779b1u;
    }
    hash = (hash ^ hash >> 16) * 0xc2b2ae35u;
    return hash ^ hash >> 15;
}

static uint32_t *head_of(struct history *history, uint32_t hash)
{
    return &history->head[(hash * 0x85ebca6bu) >> 20];
}

static void append(struct history *history, const struct launch *launch, uint32_t hash)
{
    uint32_t position = history->end, *head = head_of(history, hash), room = WORDS + launch->count;
    uint32_t back = history->last == HISTORY_NOWHERE ? 0 : position - history->last;

    *at(history, position + SIZE) = launch->count | back << 16;
    *at(history, position + HASH) = hash;
    *at(history, position + FUNCTION) = launch->function;
    *at(history, position + ALIKE) = *head ? position + 1 - *head : 0;
    *at(history, position + NUMBER) = history->count++;
    for (uint32_t i = 0; i < launch->count; i++)
        *at(history, position + WORDS + i) = launch->name[i];
    *head = position + 1;
    history->last = position;
    history->end = position + room;
    if (history->place != HISTORY_NOWHERE && !holds(history, history->place))
        history->place = HISTORY_NOWHERE;
}

/* The next one of a list, from the newest on. */
static uint32_t alike(const struct history *history, uint32_t position)
{
    uint32_t back = get(history, position, ALIKE);

    return back && holds(history, position - back) ? position - back : HISTORY_NOWHERE;
}

/* Launches between two, as the ring counts them. */
static uint32_t apart(const struct history *history, uint32_t a, uint32_t b)
{
    uint32_t one = get(history, a, NUMBER), other = get(history, b, NUMBER);

    return one < other ? other - one : one - other;
}

static uint32_t agreement(const struct history *history, uint32_t candidate)
{
    uint32_t mine = history->last, agree = 0;

    for (unsigned i = 0; i < BEFORE; i++) {
        mine = before(history, mine);
        candidate = before(history, candidate);
        if (mine == HISTORY_NOWHERE || candidate == HISTORY_NOWHERE)
            break;
        agree += get(history, mine, HASH) == get(history, candidate, HASH);
    }
    return agree;
}

struct found {
    uint32_t position; /* HISTORY_NOWHERE */
    uint32_t agree;
    bool is_near;
};

/* The same function with the same blocks? */
static bool is_same(const struct history *history, uint32_t a, uint32_t b)
{
    uint32_t count = history_uses(history, a);

    if (get(history, a, HASH) != get(history, b, HASH) ||
        get(history, a, FUNCTION) != get(history, b, FUNCTION) || history_uses(history, b) != count)
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (history_name(history, a, i) != history_name(history, b, i))
            return false;
    return true;
}

/* Where the last launch was made before: two that agree count for more than that it is near, and less than two and a half.
 * @expected  where it was to be */
static struct found look(const struct history *history, uint32_t expected)
{
    struct found best = {HISTORY_NOWHERE, 0, false};
    uint32_t at_most = 0, one = alike(history, history->last);

    for (unsigned step = 0, tried = 0; step < STEPS && tried < CANDIDATES && one != HISTORY_NOWHERE;
         step++, one = alike(history, one)) {
        struct found found = {one, 0, false};
        uint32_t score;

        if (!is_same(history, one, history->last))
            continue;
        tried++;
        found.agree = agreement(history, one);
        found.is_near = expected != HISTORY_NOWHERE && apart(history, one, expected) <= NEAR;
        score = 1 + 2 * found.agree + 3 * found.is_near;
        if (score <= at_most)
            continue;
        at_most = score;
        best = found;
    }
    return best;
}

static void lose(struct history *history)
{
    history->run /= 2;
    if (history->place != HISTORY_NOWHERE && ++history->lost > LOST_MAX)
        history->place = HISTORY_NOWHERE;
}

/* The place behind the one that the launch before had, while it is not the last launch itself. */
static uint32_t expected_place(const struct history *history)
{
    uint32_t next =
        history->place == HISTORY_NOWHERE ? HISTORY_NOWHERE : history_next(history, history->place);

    return next == history->last ? HISTORY_NOWHERE : next;
}

/* Find the place of the last launch. True: it is where it was to be. */
static bool match(struct history *history)
{
    uint32_t expected = expected_place(history);
    struct found found;

    if (expected != HISTORY_NOWHERE && is_same(history, expected, history->last)) {
        history->place = expected;
        history->lost = 0;
        history->run += history->run < RUN_MAX;
        return true;
    }
    found = look(history, expected);
    /* The same function with blocks that were never together: made anew since, for the same work. */
    if (found.position == HISTORY_NOWHERE && expected != HISTORY_NOWHERE && history->run >= RUN_TRUSTED &&
        get(history, expected, FUNCTION) == get(history, history->last, FUNCTION)) {
        history->place = expected;
        history->run -= history->run > RUN_LONG;
        return true;
    }
    if (found.position == HISTORY_NOWHERE) {
        lose(history);
        return false;
    }
    if (found.is_near)
        history->run = history->run / 2 + (history->run > RUN_TRUSTED);
    else
        history->run = found.agree >= RUN_TRUSTED ? RUN_TRUSTED - 1 : 0;
    history->place = found.position;
    history->lost = 0;
    return false;
}

bool history_note(struct history *history, const struct launch *launch, uint32_t now)
{
    int64_t stride = (int64_t)(now - history->now) * RIGHT_ONE;
    bool is_right;

    if (launch->count > HISTORY_USES_MAX)
        return false;
    if (history->end > END_MAX)
        history_init(history, history->word);
    append(history, launch, hash_of(launch));
    is_right = match(history);
    history->right = history->right / 16 * 15 + (is_right ? RIGHT_ONE / 16 : 0);
    if (history->now)
        history->stride = (uint32_t)(history->stride + (stride - history->stride) / 50);
    history->now = now;
    return is_right;
}

bool history_trusted(const struct history *history)
{
    return history->place != HISTORY_NOWHERE && history->run >= RUN_TRUSTED &&
           (history->right >= RIGHT_TRUSTED || history->run >= RUN_CERTAIN);
}
