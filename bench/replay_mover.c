/* SPDX-License-Identifier: Apache-2.0 */
/* replay_mover.c - see replay_mover.h. */
#include "replay_mover.h"

#include <stdlib.h>

#define GRANULE_BYTES ((uint64_t)2 << 20)

enum {
    VICTIMS_MOST = 256 /* of one question */
};

struct seat {
    uint32_t granules, here;
    uint64_t arrival;
    bool in_use; /* by the operation that makes room */
};

struct mover {
    const struct trace *trace;
    struct seat *seat;
    uint64_t *stamp; /* even: of the launch that used it last; odd: made, between two; 0: nobody there */
    uint64_t room, used;
    struct policies view;
    struct traffic traffic;
    struct victim scratch[VICTIMS_SCRATCH];
};

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
    *out = (struct candidate){.arrival = ((struct mover *)arg)->seat[index].arrival};
}

/* By whole chunks, until `want` granules have left or none is there. How many have. */
static uint32_t leave(struct mover *mover, uint32_t block, uint64_t want)
{
    struct seat *seat = &mover->seat[block];
    uint32_t chunk = chunk_of(seat->granules), granules = 0;

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

static void launch(struct mover *mover, const struct trace_op *op, uint32_t number)
{
    const struct trace_use *use = &mover->trace->use[op->use];
    uint64_t want = 0;

    for (uint32_t i = 0; i < op->count; i++) {
        struct seat *seat = &mover->seat[use[i].block];

        want += seat->granules - seat->here;
        seat->in_use = true;
        mover->stamp[use[i].block] = 2 * (uint64_t)number + 2;
    }
    if (want) {
        make_room(mover, want);
        mover->traffic.pauses++;
    }
    for (uint32_t i = 0; i < op->count; i++) {
        mover->traffic.restored += come(mover, use[i].block);
        mover->seat[use[i].block].in_use = false;
    }
}

static void make(struct mover *mover, const struct trace_op *op, uint32_t number, uint64_t arrival)
{
    struct seat *seat = &mover->seat[op->block];

    *seat = (struct seat){.granules = op->granules, .arrival = arrival, .in_use = true};
    mover->stamp[op->block] = 2 * (uint64_t)number + 1;
    if (mover->used + op->granules > mover->room) {
        make_room(mover, op->granules);
        mover->traffic.pauses++;
    }
    come(mover, op->block);
    seat->in_use = false;
}

static void drop(struct mover *mover, uint32_t block)
{
    mover->used -= mover->seat[block].here;
    mover->seat[block].here = 0;
    mover->stamp[block] = 0;
}

static void start(struct mover *mover, const struct trace *trace, uint64_t room, enum policy_kind kind)
{
    mover->trace = trace;
    mover->room = room;
    mover->seat = calloc(trace->blocks + 1, sizeof(*mover->seat));
    mover->stamp = calloc(trace->blocks + 1, sizeof(*mover->stamp));
    if (!mover->seat || !mover->stamp)
        abort();
    mover->view = (struct policies){.policy = &policies[kind],
                                    .victims = {.stamp = mover->stamp,
                                                .count = trace->blocks,
                                                .newest = UINT64_MAX,
                                                .movable_bytes = movable_bytes,
                                                .arg = mover,
                                                .scratch = mover->scratch,
                                                .scratch_count = VICTIMS_SCRATCH},
                                    .describe = describe};
}

void replay_run(const struct trace *trace, uint64_t room, enum policy_kind kind, struct traffic *out,
                struct traffic *out_steady,
                bool (*after)(uint32_t launch, const struct traffic *traffic, void *arg), void *arg)
{
    static struct mover mover;
    struct traffic half = {0};
    uint32_t launches = 0;
    bool more = true;

    mover = (struct mover){0};
    start(&mover, trace, room, kind);
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
    free(mover.seat);
    free(mover.stamp);
}
