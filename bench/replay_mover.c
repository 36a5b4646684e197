/* SPDX-License-Identifier: Apache-2.0 */
/* replay_mover.c - see replay_mover.h. */
#include "replay_mover.h"

#include <stdlib.h>
#include <string.h>

#include "policy/lookahead.h"

#define GRANULE_BYTES ((uint64_t)2 << 20)

enum {
    VICTIMS_MOST = 256, /* of one question */
    THREADS = 8         /* a stream stands for a thread */
};

struct seat {
    uint32_t granules, here;
    uint64_t arrival;
    bool in_use;  /* by the operation that makes room */
    uint32_t row; /* of the outlook */
};

/* What POLICY_LOOKAHEAD needs beside. */
struct sight {
    struct lookahead lookahead;
    struct history history[THREADS];
    uint32_t words[THREADS][HISTORY_WORDS];
    struct outlook_block *block;
    uint32_t *free_row, free_rows;
    struct plan_block away[PLAN_BATCH_BLOCKS], here[VICTIMS_MOST];
};

struct mover {
    const struct trace *trace;
    struct seat *seat;
    uint64_t *stamp; /* even: of the launch that used it last; odd: made, between two; 0: nobody there */
    uint64_t room, used;
    struct policies view;
    struct traffic traffic;
    struct victim scratch[VICTIMS_SCRATCH];
    struct sight *sight; /* NULL: there is none */
};

struct replay_lookahead replay_lookahead;

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint32_t chunk_of(uint32_t granules)
{
    return (uint32_t)least(granules, REPLAY_CHUNK);
}

uint64_t replay_room(const struct trace *trace, unsigned percent)
{
    uint32_t most = 1;
    uint64_t budget = trace->need * percent / 100;

    for (uint32_t i = 0; i < trace->blocks; i++)
        if (chunk_of(trace->granules_of[i]) > most)
            most = chunk_of(trace->granules_of[i]);
    return budget > most ? budget - most : 0;
}

static uint64_t movable_bytes(uint32_t index, void *arg)
{
    const struct seat *seat = &((struct mover *)arg)->seat[index];

    return seat->in_use ? 0 : seat->here * GRANULE_BYTES;
}

static void describe(uint32_t index, void *arg, struct candidate *out)
{
    const struct mover *mover = arg;

    *out = (struct candidate){.arrival = mover->seat[index].arrival};
    if (mover->sight)
        out->ahead = lookahead_turn(&mover->sight->lookahead, mover->seat[index].row).ahead;
}

/* Who leaves first by LRU. */
static uint32_t oldest(const struct mover *mover)
{
    struct policies view = mover->view;
    uint32_t first;

    view.policy = &policies[POLICY_LRU];
    return policies_choose(&view, 1, &first, 1) ? first : OUTLOOK_NOBODY;
}

/* By whole chunks, until `want` granules have left or none is there. How many have. */
static uint32_t leave(struct mover *mover, uint32_t block, uint64_t want)
{
    struct seat *seat = &mover->seat[block];
    uint32_t chunk = chunk_of(seat->granules), granules = 0;

    if (mover->sight) {
        uint32_t first = oldest(mover);

        lookahead_leave(&mover->sight->lookahead, seat->row,
                        first == OUTLOOK_NOBODY ? first : mover->seat[first].row);
    }
    while (granules < want && granules < seat->here)
        granules += chunk;
    granules = (uint32_t)least(granules, seat->here);
    seat->here -= granules;
    mover->used -= granules;
    mover->traffic.evicted += granules;
    return granules;
}

static void make_room(struct mover *mover, uint64_t want)
{
    uint32_t victims[VICTIMS_MOST];
    size_t count;

    do {
        uint64_t over = mover->used + want > mover->room ? mover->used + want - mover->room : 0;

        count = over ? policies_choose(&mover->view, over * GRANULE_BYTES, victims, VICTIMS_MOST) : 0;
        for (size_t i = 0; i < count && over; i++)
            over -= least(over, leave(mover, victims[i], over));
    } while (count == VICTIMS_MOST);
}

/* What is missing of a block comes, by whole chunks where not all of it fits. How much did. */
static uint32_t come(struct mover *mover, uint32_t block)
{
    struct seat *seat = &mover->seat[block];
    uint64_t granules = seat->granules - seat->here, room;

    room = mover->room > mover->used ? mover->room - mover->used : 0;
    if (granules > room)
        granules = room - room % chunk_of(seat->granules);
    seat->here += (uint32_t)granules;
    mover->used += granules;
    return (uint32_t)granules;
}

/* ---- look-ahead ------------------------------------------------------------------------------------------------- */

/* Foretold blocks that are away, the next one first. */
static size_t list_away(struct mover *mover)
{
    struct sight *sight = mover->sight;
    size_t count = 0;

    for (uint32_t i = 0; i < mover->trace->blocks; i++) {
        const struct seat *seat = &mover->seat[i];
        struct plan_block block = {
            .index = i, .granules = seat->granules - seat->here, .chunk = chunk_of(seat->granules)};

        if (!mover->stamp[i] || seat->in_use || !block.granules)
            continue;
        block.turn = lookahead_turn(&sight->lookahead, seat->row);
        block.trust = sight->block[seat->row].trust[OUTLOOK_BY_ORDER];
        if (block.turn.is_foretold)
            plan_list(sight->away, &count, &block);
    }
    return count;
}

/* Blocks that are here, in the order in which they leave: as many as a batch may need. */
static size_t list_here(struct mover *mover)
{
    uint32_t victims[VICTIMS_MOST];
    size_t count =
        policies_choose(&mover->view, 2 * PLAN_BATCH_GRANULES * GRANULE_BYTES, victims, VICTIMS_MOST);

    for (size_t i = 0; i < count; i++) {
        const struct seat *seat = &mover->seat[victims[i]];

        mover->sight->here[i] =
            (struct plan_block){.index = victims[i],
                                .granules = seat->here,
                                .chunk = chunk_of(seat->granules),
                                .turn = lookahead_turn(&mover->sight->lookahead, seat->row)};
    }
    return count;
}

/* What comes beside what is wanted. How many granules did. */
static uint64_t batch(struct mover *mover)
{
    struct sight *sight = mover->sight;
    size_t away, here;
    uint64_t come_granules = 0;

    if (!lookahead_batches(&sight->lookahead))
        return 0;
    away = list_away(mover);
    for (size_t i = 0; i < away; i++) /* what is there of them stays */
        mover->seat[sight->away[i].index].in_use = true;
    here = away ? list_here(mover) : 0;
    plan_batch(sight->away, away, sight->here, here,
               mover->room > mover->used ? mover->room - mover->used : 0, GUARD_PAUSE_BYTES);
    for (size_t i = 0; i < here; i++)
        if (sight->here[i].moves)
            leave(mover, sight->here[i].index, sight->here[i].moves);
    for (size_t i = 0; i < away; i++) {
        mover->seat[sight->away[i].index].in_use = false;
        if (!sight->away[i].moves)
            continue;
        come_granules += come(mover, sight->away[i].index);
        lookahead_come_early(&sight->lookahead, mover->seat[sight->away[i].index].row);
    }
    mover->traffic.restored += come_granules;
    return come_granules;
}

static void note(struct mover *mover, const struct trace_op *op)
{
    const struct trace_use *use = &mover->trace->use[op->use];
    uint32_t name[TRACE_USES_MAX];

    for (uint32_t i = 0; i < op->count; i++)
        name[i] = outlook_name(&mover->sight->lookahead.outlook, mover->seat[use[i].block].row);
    lookahead_launch(&mover->sight->lookahead, op->stream % THREADS,
                     &(struct launch){op->function, op->count, name});
}

/* ---- operations ------------------------------------------------------------------------------------------------- */

static void launch(struct mover *mover, const struct trace_op *op, uint32_t number)
{
    const struct trace_use *use = &mover->trace->use[op->use];
    uint64_t want = 0, before;

    if (mover->sight)
        note(mover, op);

    for (uint32_t i = 0; i < op->count; i++) {
        struct seat *seat = &mover->seat[use[i].block];

        want += seat->granules - seat->here;
        seat->in_use = true;
        mover->stamp[use[i].block] = 2 * (uint64_t)number + 2;
    }
    if (want) {
        if (mover->sight)
            lookahead_plan(&mover->sight->lookahead);
        make_room(mover, want);
        mover->traffic.pauses++;
    }
    before = mover->traffic.restored;
    for (uint32_t i = 0; i < op->count; i++)
        mover->traffic.restored += come(mover, use[i].block);
    if (want && mover->sight)
        lookahead_paused(&mover->sight->lookahead, mover->traffic.restored - before, batch(mover));
    for (uint32_t i = 0; i < op->count; i++)
        mover->seat[use[i].block].in_use = false;
}

static void make(struct mover *mover, const struct trace_op *op, uint32_t number, uint64_t arrival)
{
    struct seat *seat = &mover->seat[op->block];

    *seat = (struct seat){.granules = op->granules, .arrival = arrival, .in_use = true};
    mover->stamp[op->block] = 2 * (uint64_t)number + 1;
    if (mover->sight) {
        seat->row = mover->sight->free_row[--mover->sight->free_rows];
        lookahead_make(&mover->sight->lookahead, seat->row, op->granules);
    }
    if (mover->used + op->granules > mover->room) {
        if (mover->sight)
            lookahead_plan(&mover->sight->lookahead);
        make_room(mover, op->granules);
        if (mover->sight)
            lookahead_paused(&mover->sight->lookahead, 0, 0);
        mover->traffic.pauses++;
    }
    come(mover, op->block);
    seat->in_use = false;
}

static void drop(struct mover *mover, uint32_t block)
{
    if (mover->sight) {
        lookahead_free(&mover->sight->lookahead, mover->seat[block].row);
        mover->sight->free_row[mover->sight->free_rows++] = mover->seat[block].row;
    }
    mover->used -= mover->seat[block].here;
    mover->seat[block].here = 0;
    mover->stamp[block] = 0;
}

static struct sight *begin_sight(uint32_t blocks, uint64_t room)
{
    struct sight *sight = calloc(1, sizeof(*sight));

    if (!sight)
        abort();
    sight->block = calloc(blocks + 1, sizeof(*sight->block));
    sight->free_row = calloc(blocks + 1, sizeof(*sight->free_row));
    if (!sight->block || !sight->free_row)
        abort();
    while (sight->free_rows < blocks) {
        sight->free_row[sight->free_rows] = blocks - 1 - sight->free_rows;
        sight->free_rows++;
    }
    for (unsigned i = 0; i < THREADS; i++)
        history_init(&sight->history[i], sight->words[i]);
    lookahead_init(&sight->lookahead, room, sight->block, blocks, sight->history, THREADS);
    return sight;
}

static void end_sight(struct sight *sight)
{
    const struct lookahead *lookahead = &sight->lookahead;

    replay_lookahead =
        (struct replay_lookahead){lookahead->hits, lookahead->misses, lookahead->early, lookahead->unused};
    free(sight->free_row);
    free(sight->block);
    free(sight);
}

static void start(struct mover *mover, const struct trace *trace, uint64_t room, const struct policy *policy)
{
    mover->trace = trace;
    mover->room = room;
    mover->seat = calloc(trace->blocks + 1, sizeof(*mover->seat));
    mover->stamp = calloc(trace->blocks + 1, sizeof(*mover->stamp));
    if (!mover->seat || !mover->stamp)
        abort();
    mover->view = (struct policies){.policy = policy,
                                    .victims = {.stamp = mover->stamp,
                                                .count = trace->blocks,
                                                .newest = UINT64_MAX,
                                                .movable_bytes = movable_bytes,
                                                .arg = mover,
                                                .scratch = mover->scratch,
                                                .scratch_count = VICTIMS_SCRATCH},
                                    .describe = describe};
    if (policy == &policies[POLICY_LOOKAHEAD])
        mover->sight = begin_sight(trace->blocks, room);
}

void replay_run(const struct trace *trace, uint64_t room, const struct policy *policy, struct traffic *out,
                struct traffic *out_steady,
                bool (*after)(uint32_t launch, const struct traffic *traffic, void *arg), void *arg)
{
    static struct mover mover;
    struct traffic half = {0};
    uint32_t launches = 0;
    bool more = true;

    mover = (struct mover){0};
    start(&mover, trace, room, policy);
    for (size_t i = 0; i < trace->ops && more; i++) {
        const struct trace_op *op = &trace->op[i];

        if (op->kind == TRACE_MAKE)
            make(&mover, op, launches, i);
        else if (op->kind == TRACE_FREE)
            drop(&mover, op->block);
        else {
            if (launches == trace->launches / 2)
                half = mover.traffic;
            launch(&mover, op, launches++);
            more = !after || after(launches, &mover.traffic, arg);
        }
    }
    *out = mover.traffic;
    *out_steady = (struct traffic){out->restored - half.restored, out->evicted - half.evicted,
                                   out->pauses - half.pauses};
    if (mover.sight)
        end_sight(mover.sight);
    free(mover.seat);
    free(mover.stamp);
}
