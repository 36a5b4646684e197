/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lookahead_model.c - any launches of two threads: places, forecasts, gaps and ghosts are what the rules say.
 *
 * The model keeps every launch as it was made and looks through all of them each time; ghosts are rows with the number of
 * their last use. Programs are short loops that change now and then, so that launches repeat.
 */
#include "draw.h"
#include "fuzz.h"
#include "policy/forecast.h"
#include "policy/lookahead.h"

#include <stdlib.h>
#include <string.h>

enum {
    ROWS = 12,
    THREADS = 2,
    LAUNCHES = 4096,
    NAMES = 3,
    LOOP = 9
};

struct made {
    uint32_t function, count, name[NAMES];
};

struct past {
    struct made launch[LAUNCHES];
    int count, place, run, lost;
    uint32_t right, stride, now;
};

struct ghost_row {
    uint64_t here, used_at;
};

struct world {
    struct lookahead lookahead;
    struct history history[THREADS];
    struct outlook_block block[ROWS];
    struct past past[THREADS];
    struct ghost_row ghost[OUTLOOK_GHOSTS][ROWS];
    uint64_t ghost_used[OUTLOOK_GHOSTS], clock, room;
    uint32_t granules[ROWS], name[ROWS], last[ROWS], heir[ROWS], heir_of[ROWS];
    uint32_t burst[ROWS][LAUNCHES], bursts[ROWS];
    struct made loop[LOOP];
    uint32_t now;
};

static uint32_t words[THREADS][HISTORY_WORDS];

static void hold(bool is_so)
{
    if (!is_so)
        abort();
}

/* ---- places ------------------------------------------------------------------------------------------------------ */

static bool same(const struct made *a, const struct made *b)
{
    return a->function == b->function && a->count == b->count &&
           !memcmp(a->name, b->name, a->count * sizeof(*a->name));
}

static int score(const struct past *past, int at, int expected, int *agree)
{
    *agree = 0;
    for (int i = 1; i <= 12 && i <= at; i++)
        *agree += same(&past->launch[at - i], &past->launch[past->count - 1 - i]);
    return 1 + 2 * *agree + (expected >= 0 && abs(at - expected) <= 32 ? 3 : 0);
}

static void jump(struct past *past, int to, int agree, int expected)
{
    if (expected >= 0 && abs(to - expected) <= 32)
        past->run = past->run / 2 + (past->run > 3);
    else
        past->run = agree >= 3 ? 2 : 0;
    past->place = to;
    past->lost = 0;
}

static bool find_place(struct past *past)
{
    const struct made *mine = &past->launch[past->count - 1];
    int expected = past->place >= 0 && past->place + 1 < past->count - 1 ? past->place + 1 : -1;
    int best = -1, best_score = 0, best_agree = 0, tried = 0, agree;

    if (expected >= 0 && same(&past->launch[expected], mine)) {
        past->place = expected;
        past->lost = 0;
        past->run += past->run < 64;
        return true;
    }
    for (int at = past->count - 2; at >= 0 && tried < 24; at--) {
        if (!same(&past->launch[at], mine))
            continue;
        tried++;
        if (score(past, at, expected, &agree) <= best_score)
            continue;
        best_score = score(past, at, expected, &best_agree);
        best = at;
    }
    if (best < 0 && expected >= 0 && past->run >= 3 && past->launch[expected].function == mine->function) {
        past->place = expected;
        past->run -= past->run > 16;
        return true;
    }
    if (best >= 0) {
        jump(past, best, best_agree, expected);
        return false;
    }
    past->run /= 2;
    if (past->place >= 0 && ++past->lost > 64)
        past->place = -1;
    return false;
}

static bool trusted(const struct past *past)
{
    return past->place >= 0 && past->run >= 3 && (past->right >= 39321 || past->run >= 12);
}

/* ---- ghosts ------------------------------------------------------------------------------------------------------ */

static int ghost_victim(const struct world *world, int kind, const uint32_t *index, uint32_t count)
{
    int best = -1;

    for (int i = 0; i < ROWS; i++) {
        bool is_mine = false;

        for (uint32_t k = 0; k < count; k++)
            is_mine |= index[k] == (uint32_t)i;
        if (is_mine || !world->ghost[kind][i].here)
            continue;
        if (best < 0 || (world->ghost[kind][i].used_at < world->ghost[kind][best].used_at) == (kind == 0))
            best = i;
    }
    return best;
}

static void run_ghosts(struct world *world, const uint32_t *index, uint32_t count)
{
    for (int kind = 0; kind < OUTLOOK_GHOSTS; kind++) {
        uint64_t missing = 0, *used = &world->ghost_used[kind];
        int victim;

        for (uint32_t i = 0; i < count; i++)
            missing += world->granules[index[i]] - world->ghost[kind][index[i]].here;
        while (*used + missing > world->room && (victim = ghost_victim(world, kind, index, count)) >= 0) {
            struct ghost_row *row = &world->ghost[kind][victim];
            uint64_t over = *used + missing - world->room, left = over < row->here ? over : row->here;

            row->here -= left;
            *used -= left;
        }
        for (uint32_t i = 0; i < count; i++) {
            struct ghost_row *row = &world->ghost[kind][index[i]];
            uint64_t lacks = world->granules[index[i]] - row->here,
                     room = world->room > *used ? world->room - *used : 0;

            lacks = lacks < room ? lacks : room;
            row->here += lacks;
            *used += lacks;
            row->used_at = ++world->clock;
        }
    }
}

/* ---- forecasts --------------------------------------------------------------------------------------------------- */

static int living(const struct world *world, uint32_t name)
{
    uint32_t row = name % OUTLOOK_BLOCKS_MAX;

    if (world->name[row] == name)
        return (int)row;
    if (world->heir_of[row] == name && world->name[world->heir[row] % OUTLOOK_BLOCKS_MAX] == world->heir[row])
        return (int)(world->heir[row] % OUTLOOK_BLOCKS_MAX);
    return -1;
}

static uint32_t foretold(const struct world *world, int row)
{
    uint64_t best = OUTLOOK_NEVER;

    for (int t = 0; t < THREADS; t++) {
        const struct past *past = &world->past[t];

        for (int i = past->place + 1; trusted(past) && i < past->count; i++)
            for (uint32_t k = 0; k < past->launch[i].count; k++) {
                uint64_t own = (uint64_t)(i - past->place), ahead = (own * past->stride + 32768) / 65536;

                ahead = ahead < own ? own : ahead;
                if (living(world, past->launch[i].name[k]) == row && ahead < best)
                    best = ahead;
            }
    }
    return (uint32_t)best;
}

static uint32_t foretold_by_gaps(const struct world *world, int row)
{
    const uint32_t *burst = world->burst[row];
    int count = (int)world->bursts[row], gaps = count > 17 ? 16 : count - 1;

    for (int p = 1; 2 * p <= gaps; p++) {
        bool is_good = true;
        uint32_t length = burst[count - p] - burst[count - p - 1], late = world->now - burst[count - 1];

        for (int i = 1; i <= p; i++) {
            int a = (int)(burst[count - i] - burst[count - i - 1]);
            int b = (int)(burst[count - i - p] - burst[count - i - p - 1]);

            is_good &= 10 * abs(a - b) <= a + 20;
        }
        if (!is_good)
            continue;
        if (late <= length)
            return length - late + 1;
        return 10 * (late - length) < length + 20 ? 1 : OUTLOOK_NEVER;
    }
    return OUTLOOK_NEVER;
}

/* ---- operations -------------------------------------------------------------------------------------------------- */

static void make(struct world *world, uint32_t row, uint32_t granules)
{
    world->name[row] = lookahead_make(&world->lookahead, row, granules);
    world->granules[row] = granules;
    world->last[row] = world->now;
    world->bursts[row] = 0;
    run_ghosts(world, &row, 1);
}

static void drop(struct world *world, uint32_t row)
{
    lookahead_free(&world->lookahead, row);
    world->name[row] = 0;
    for (int kind = 0; kind < OUTLOOK_GHOSTS; kind++) {
        world->ghost_used[kind] -= world->ghost[kind][row].here;
        world->ghost[kind][row].here = 0;
    }
}

static void inherit(struct world *world, const struct past *past)
{
    const struct made *old = &past->launch[past->place], *mine = &past->launch[past->count - 1];

    for (uint32_t i = 0; old->count == mine->count && i < mine->count; i++) {
        uint32_t row = old->name[i] % OUTLOOK_BLOCKS_MAX;
        /* Its size is known until another block has its row. */
        bool is_known = world->block[row].generation == old->name[i] >> OUTLOOK_INDEX_BITS;

        if (old->name[i] == mine->name[i] ||
            (is_known && world->granules[row] != world->granules[mine->name[i] % OUTLOOK_BLOCKS_MAX]))
            continue;
        world->heir[row] = mine->name[i];
        world->heir_of[row] = old->name[i];
    }
}

static void launch(struct world *world, unsigned thread, const struct made *made)
{
    struct past *past = &world->past[thread];
    uint32_t index[NAMES];
    bool is_hit;

    lookahead_launch(&world->lookahead, thread, &(struct launch){made->function, made->count, made->name});
    world->now++;
    for (uint32_t i = 0; i < made->count; i++) {
        index[i] = made->name[i] % OUTLOOK_BLOCKS_MAX;
        if (!world->bursts[index[i]] || world->now - world->last[index[i]] > 6)
            world->burst[index[i]][world->bursts[index[i]]++] = world->now;
        world->last[index[i]] = world->now;
    }
    if (past->count)
        past->stride += ((int64_t)(world->now - past->now) * 65536 - past->stride) / 50;
    past->now = world->now;
    past->launch[past->count++] = *made;
    is_hit = find_place(past);
    past->right = past->right / 16 * 15 + (is_hit ? 4096 : 0);
    if (is_hit)
        inherit(world, past);
    run_ghosts(world, index, made->count);
}

static void compare(struct world *world)
{
    bool has_order = false;

    for (int t = 0; t < THREADS; t++) {
        const struct history *history = &world->history[t];

        hold(trusted(&world->past[t]) == history_trusted(history));
        hold((world->past[t].place < 0) == (history->place == HISTORY_NOWHERE));
        has_order |= trusted(&world->past[t]);
    }
    forecast_begin(&world->lookahead.outlook);
    for (int t = 0; t < THREADS; t++)
        if (history_trusted(&world->history[t]))
            forecast_walk(&world->lookahead.outlook, &world->history[t]);
    for (int i = 0; i < ROWS; i++) {
        for (int kind = 0; kind < OUTLOOK_GHOSTS; kind++)
            hold(world->block[i].ghost[kind].here == world->ghost[kind][i].here);
        if (!world->name[i])
            continue;
        hold(forecast_order(&world->lookahead.outlook, (uint32_t)i) == foretold(world, i));
        hold(forecast_gaps(&world->lookahead.outlook, (uint32_t)i) == foretold_by_gaps(world, i));
        hold(world->block[i].trust[0] <= OUTLOOK_TRUST_MAX && world->block[i].trust[1] <= OUTLOOK_TRUST_MAX);
    }
    lookahead_plan(&world->lookahead);
    hold(has_order || world->lookahead.ruler != GUARD_ORDER);
}

static void draw_launch(const struct world *world, struct input *input, struct made *made)
{
    made->function = draw(input, 4);
    made->count = 0;
    for (unsigned i = draw(input, NAMES + 1); i; i--) {
        uint32_t row = draw(input, ROWS), k = 0;

        while (k < made->count && made->name[k] != world->name[row])
            k++;
        if (world->name[row] && k == made->count)
            made->name[made->count++] = world->name[row];
    }
}

/* Names of a loop that are gone are those of whoever has their row now, or nobody's. */
static struct made renamed(const struct world *world, const struct made *made)
{
    struct made now = {.function = made->function};

    for (uint32_t i = 0; i < made->count; i++)
        if (world->name[made->name[i] % OUTLOOK_BLOCKS_MAX])
            now.name[now.count++] = world->name[made->name[i] % OUTLOOK_BLOCKS_MAX];
    return now;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world world;
    struct input input = {data, size};
    unsigned at = 0, length = 0;

    memset(&world, 0, sizeof(world));
    world.room = 4 + draw(&input, 40);
    for (int t = 0; t < THREADS; t++) {
        world.past[t].place = -1;
        world.past[t].stride = 65536;
        history_init(&world.history[t], words[t]);
    }
    lookahead_init(&world.lookahead, world.room, world.block, ROWS, world.history, THREADS);
    for (uint32_t row = 0; row < ROWS; row++)
        make(&world, row, 1 + draw(&input, 6));
    while (input.size && world.now + 1 < LAUNCHES) {
        unsigned kind = draw(&input, 64), thread = draw(&input, 8) == 0;

        if (kind == 0 || !length) {
            length = 1 + draw(&input, LOOP);
            for (unsigned i = 0; i < length; i++)
                draw_launch(&world, &input, &world.loop[i]);
        } else if (kind < 4) {
            uint32_t row = draw(&input, ROWS);

            if (world.name[row])
                drop(&world, row);
            else
                make(&world, row, 1 + draw(&input, 6));
        } else if (kind < 6) {
            struct made made;

            draw_launch(&world, &input, &made);
            launch(&world, thread, &made);
        } else if (kind < 8 && world.name[kind]) {
            lookahead_leave(&world.lookahead, kind,
                            world.name[draw(&input, ROWS)] ? draw(&input, ROWS) : OUTLOOK_NOBODY);
        } else {
            struct made made = renamed(&world, &world.loop[at++ % length]);

            launch(&world, thread, &made);
        }
        compare(&world);
    }
    return 0;
}
