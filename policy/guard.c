/* SPDX-License-Identifier: Apache-2.0 */
/* guard.c - see guard.h. */
#include "policy/guard.h"

#include <string.h>

#define GRANULE_BYTES ((uint64_t)2 << 20)

enum {
    WINDOW_PERCENT = 3,   /* of a budget, both ways */
    MISSES_PERCENT = 103, /* what LRU would have cost counts for as much */
    TERM_MAX = 64
};

enum {
    LRU,
    MRU
};

void guard_init(struct guard *guard, uint64_t room)
{
    memset(guard, 0, sizeof(*guard));
    guard->room = room;
    guard->pause_share = 1 << 16;
    guard->pause_bytes = GUARD_PAUSE_BYTES;
    for (int ruler = 0; ruler < GUARD_RULERS; ruler++)
        guard->trial[ruler].term = 1;
}

void guard_resize(struct guard *guard, uint64_t room)
{
    guard->room = room;
}

uint64_t guard_move_cost(uint64_t granules, uint64_t pause_bytes)
{
    uint64_t chunks = (granules + GUARD_CHUNK_GRANULES - 1) / GUARD_CHUNK_GRANULES;

    return granules * GRANULE_BYTES + 2 * chunks * (pause_bytes / GUARD_CHUNKS_OF_PAUSE);
}

/* With its share of the pause. */
static uint64_t miss_cost(const struct guard *guard, uint64_t granules)
{
    return granules ? guard_move_cost(granules, guard->pause_bytes) +
                          (guard->pause_bytes * guard->pause_share >> 16)
                    : 0;
}

/* ---- ghosts ----------------------------------------------------------------------------------------------------- */

/* The way into the list, from either end, and the way on. */
static uint32_t *link(struct outlook *outlook, uint32_t number, int kind, bool to_younger)
{
    struct outlook_ghost *ghost = &outlook->block[number - 1].ghost[kind];

    return to_younger ? &ghost->younger : &ghost->older;
}

static void unlist(struct guard *guard, struct outlook *outlook, uint32_t index, int kind)
{
    struct outlook_ghost *mine = &outlook->block[index].ghost[kind];
    struct guard_ghost *ghost = &guard->ghost[kind];

    *(mine->older ? link(outlook, mine->older, kind, true) : &ghost->oldest) = mine->younger;
    *(mine->younger ? link(outlook, mine->younger, kind, false) : &ghost->youngest) = mine->older;
    mine->older = mine->younger = 0;
}

static void list_youngest(struct guard *guard, struct outlook *outlook, uint32_t index, int kind)
{
    struct outlook_ghost *mine = &outlook->block[index].ghost[kind];
    struct guard_ghost *ghost = &guard->ghost[kind];

    mine->older = ghost->youngest;
    *(ghost->youngest ? link(outlook, ghost->youngest, kind, true) : &ghost->oldest) = index + 1;
    ghost->youngest = index + 1;
}

static void take(struct guard *guard, struct outlook *outlook, uint32_t index, int kind, uint64_t granules)
{
    struct outlook_ghost *mine = &outlook->block[index].ghost[kind];

    mine->here -= (uint32_t)granules;
    guard->ghost[kind].used -= granules;
    if (!mine->here)
        unlist(guard, outlook, index, kind);
}

static void give(struct guard *guard, struct outlook *outlook, uint32_t index, int kind, uint64_t granules)
{
    struct outlook_ghost *mine = &outlook->block[index].ghost[kind];

    mine->here += (uint32_t)granules;
    guard->ghost[kind].used += granules;
    if (mine->here)
        list_youngest(guard, outlook, index, kind);
}

static uint64_t room_of(const struct guard *guard, int kind)
{
    return guard->room > guard->ghost[kind].used ? guard->room - guard->ghost[kind].used : 0;
}

/* The launch's own blocks stand in no list while room is made, so that nobody of them leaves. */
static void make_room(struct guard *guard, struct outlook *outlook, uint64_t want, int kind)
{
    struct guard_ghost *ghost = &guard->ghost[kind];

    while (room_of(guard, kind) < want) {
        uint32_t victim = kind == LRU ? ghost->oldest : ghost->youngest;
        uint64_t over = want - room_of(guard, kind), here;

        if (!victim)
            return;
        here = outlook->block[victim - 1].ghost[kind].here;
        take(guard, outlook, victim - 1, kind, over < here ? over : here);
    }
}

/* All of what a launch uses comes. Returns the granules that were missing. */
static uint64_t run_ghost(struct guard *guard, struct outlook *outlook, const uint32_t *index, size_t count,
                          int kind)
{
    uint64_t missing = 0;

    for (size_t i = 0; i < count; i++) {
        struct outlook_block *block = &outlook->block[index[i]];

        missing += block->granules - block->ghost[kind].here;
        if (block->ghost[kind].here)
            unlist(guard, outlook, index[i], kind);
    }
    make_room(guard, outlook, missing, kind);
    for (size_t i = 0; i < count; i++) {
        struct outlook_block *block = &outlook->block[index[i]];
        uint64_t granules = block->granules - block->ghost[kind].here, room = room_of(guard, kind);

        give(guard, outlook, index[i], kind, granules < room ? granules : room);
    }
    return missing;
}

void guard_make(struct guard *guard, struct outlook *outlook, uint32_t index)
{
    for (int kind = LRU; kind <= MRU; kind++)
        run_ghost(guard, outlook, &index, 1, kind);
}

void guard_free(struct guard *guard, struct outlook *outlook, uint32_t index)
{
    for (int kind = LRU; kind <= MRU; kind++)
        if (outlook->block[index].ghost[kind].here)
            take(guard, outlook, index, kind, outlook->block[index].ghost[kind].here);
}

/* ---- windows ---------------------------------------------------------------------------------------------------- */

static uint64_t window_bytes(const struct guard *guard)
{
    return 2 * guard->room * GRANULE_BYTES * WINDOW_PERCENT / 100;
}

static void regret(struct guard *guard, enum guard_ruler ruler, int64_t window, int64_t most)
{
    struct guard_trial *trial = &guard->trial[ruler];
    uint64_t ghost = guard->ghost[LRU].cost;

    if (trial->off)
        trial->off--;
    if (2 * trial->launches > guard->launches)
        trial->regret += (int64_t)guard->cost - (int64_t)(ghost * MISSES_PERCENT / 100);
    if (trial->regret < -window)
        trial->regret = -window;
    if (trial->off)
        return;
    if (trial->regret > most) {
        trial->regret = 0;
        trial->off = trial->term;
        guard->given_up++;
        trial->term = 2 * trial->term < TERM_MAX ? 2 * trial->term : TERM_MAX;
    } else if (ruler == GUARD_ORDER && guard->cost < ghost / 10 * 9 && trial->term > 1) {
        trial->term /= 2;
    }
}

static void end_window(struct guard *guard)
{
    int64_t window = (int64_t)window_bytes(guard);

    regret(guard, GUARD_GAPS, window, window);
    regret(guard, GUARD_ORDER, window, window);
    regret(guard, GUARD_MRU, window, window / 2);
    guard->is_mru_better =
        guard_allows(guard, GUARD_MRU) && guard->ghost[MRU].cost < guard->ghost[LRU].cost / 2;
    guard->cost = guard->ghost[LRU].cost = guard->ghost[MRU].cost = 0;
    guard->launches = 0;
    for (int ruler = 0; ruler < GUARD_RULERS; ruler++)
        guard->trial[ruler].launches = 0;
}

void guard_launch(struct guard *guard, struct outlook *outlook, const uint32_t *index, size_t count,
                  enum guard_ruler ruler)
{
    uint64_t window = window_bytes(guard);

    for (int kind = LRU; kind <= MRU; kind++)
        guard->ghost[kind].cost += miss_cost(guard, run_ghost(guard, outlook, index, count, kind));
    guard->launches++;
    guard->trial[ruler].launches++;
    if (guard->ghost[LRU].cost > window || guard->cost > window)
        end_window(guard);
}

void guard_pause(struct guard *guard, uint64_t wanted, uint64_t more)
{
    uint64_t together = wanted ? wanted + more : 1, alone = wanted ? wanted : 1;
    /* The share of a pause falls with what comes in it beside what was wanted. */
    int64_t share = (int64_t)((alone << 16) / together);

    guard->pause_share = (uint32_t)(guard->pause_share + (share - (int64_t)guard->pause_share) / 10);
    guard->cost += miss_cost(guard, wanted) + (more ? guard_move_cost(more, guard->pause_bytes) : 0);
}
