/* SPDX-License-Identifier: Apache-2.0 */
#include "ptx/block.h"

#include <stdlib.h>

enum {
    WARPS = ROOM_THREADS / PTX_WARP,
    /* Stacks at equal distances would share a few sets of the cache. */
    STAGGER_BYTES = 320,
    STAGGERS = 256,
    /* A lane that neither waits nor comes may go on for ever. */
    GATHER_TURNS = 64
};

/* Runners, first come first. */
struct line {
    struct runner *first, *last;
};

struct barrier {
    u32 arrived, expected; /* expected: 0 is all threads */
    u32 set;               /* predicates that held */
    u32 came[WARPS];       /* which lanes have */
    bool reduces;          /* somebody waits for more than the others */
    struct line waiting;
};

/* Lanes of a warp that wait for each other. Lives on the stack of the first that came. */
struct meeting {
    struct meeting *next;
    u32 mask, arrived;
    void *lanes[PTX_WARP];
    ptx_combine *combine; /* the first one's; all bring the same */
    struct line waiting;
};

/* Lanes that have come to the same instruction, and want to know who else has. Lives on the stack of the first. */
struct gathering {
    struct gathering *next;
    const void *site;
    u32 lanes;
    struct runner *runners[PTX_WARP];
};

struct warp {
    u32 alive;    /* lanes */
    u32 waits;    /* of them: at a barrier or for a meeting */
    u32 yields;   /* those that let others go first */
    u32 gathered; /* those of all gatherings */
    struct meeting *meetings;
    struct gathering *gatherings;
};

struct block {
    unsigned alive; /* threads */
    struct warp warps[WARPS];
    struct barrier barriers[PTX_BARRIERS];
};

_Static_assert(sizeof(struct block) <= ROOM_BLOCK_BYTES, "a room has memory for a block");

/* Blocks that run together. */
struct turns {
    struct fiber main;
    const struct ptx_code *code;
    const u8 *params;
    struct runner *current;
    struct line ready;
    unsigned alive; /* threads of all of them */
    enum block_end end;
};

/* What runs on the calling thread. */
static __thread struct turns *running __attribute__((tls_model("initial-exec")));

static void line_add(struct line *line, struct runner *runner)
{
    runner->next = NULL;
    if (line->first)
        line->last->next = runner;
    else
        line->first = runner;
    line->last = runner;
}

static void line_join(struct line *line, struct line *more)
{
    if (!more->first)
        return;
    if (line->first)
        line->last->next = more->first;
    else
        line->first = more->first;
    line->last = more->last;
    *more = (struct line){NULL, NULL};
}

/* Lets the next one run that can; one that ends does not come back. */
static void proceed(struct turns *turns, bool ends)
{
    struct runner *from = turns->current, *to = turns->ready.first;

    if (!to) {
        turns->end = turns->alive ? BLOCK_STUCK : BLOCK_DONE;
        fiber_switch(&from->fiber, &turns->main, true);
    }
    turns->ready.first = to->next;
    if (to == from)
        return;
    turns->current = to;
    fiber_switch(&from->fiber, &to->fiber, ends);
}

static void wait_in(struct line *line)
{
    line_add(line, running->current);
    proceed(running, false);
}

static u32 lanes_of(unsigned threads, unsigned warp)
{
    unsigned lanes = threads - warp * PTX_WARP;

    return lanes >= PTX_WARP ? ~(u32)0 : ((u32)1 << lanes) - 1;
}

/* A barrier with a count takes warps as a whole: of one that has come, the lanes that have ended or never were count as
 * come. */
static bool is_complete(const struct block *block, const struct barrier *barrier)
{
    u32 come = barrier->arrived;

    if (!barrier->expected)
        return come >= block->alive;
    for (unsigned i = 0; i < WARPS && come < barrier->expected; i++)
        if (barrier->came[i])
            come += (u32)__builtin_popcount(~(block->warps[i].alive | barrier->came[i]));
    return come >= barrier->expected;
}

static u32 outcome(const struct barrier *barrier, enum ptx_barrier_kind kind)
{
    return kind == PTX_BARRIER_POPC  ? barrier->set
           : kind == PTX_BARRIER_AND ? barrier->set == barrier->arrived
                                     : barrier->set != 0;
}

/* All of them leave by the same instruction; a reduction's result is worked out for each by what it had asked. */
static void barrier_release(struct block *block, struct barrier *barrier)
{
    for (unsigned i = 0; i < WARPS; i++)
        block->warps[i].waits &= ~barrier->came[i];
    for (struct runner *runner = barrier->waiting.first; barrier->reduces && runner; runner = runner->next)
        runner->result = outcome(barrier, (enum ptx_barrier_kind)runner->result);
    line_join(&running->ready, &barrier->waiting);
    *barrier = (struct barrier){0};
}

u32 block_barrier(struct ptx_thread *thread, u32 id, u32 count, enum ptx_barrier_kind kind, bool predicate)
{
    struct runner *self = thread->place;
    struct block *block = self->block;
    struct barrier *barrier = &block->barriers[id % PTX_BARRIERS];

    if (id >= PTX_BARRIERS)
        thread->host->trap(thread);
    barrier->expected = count;
    barrier->arrived++;
    barrier->came[thread->warp] |= (u32)1 << thread->lane;
    barrier->set += predicate;
    barrier->reduces |= kind > PTX_BARRIER_ARRIVE;
    if (is_complete(block, barrier)) {
        u32 result = outcome(barrier, kind);

        barrier_release(block, barrier);
        return result;
    }
    if (kind == PTX_BARRIER_ARRIVE)
        return 0;
    self->result = kind;
    block->warps[thread->warp].waits |= (u32)1 << thread->lane;
    wait_in(&barrier->waiting);
    return self->result;
}

static bool meeting_is_complete(const struct warp *warp, const struct meeting *meeting)
{
    return (meeting->mask & warp->alive & ~meeting->arrived) == 0;
}

/* The combination sees those who came. */
static void meeting_close(struct warp *warp, struct meeting **link)
{
    struct meeting *meeting = *link;

    *link = meeting->next;
    warp->waits &= ~meeting->arrived;
    meeting->combine(meeting->lanes, meeting->arrived);
    line_join(&running->ready, &meeting->waiting);
}

void block_meet(struct ptx_thread *thread, u32 mask, void *mine, ptx_combine *combine)
{
    struct runner *self = thread->place;
    struct warp *warp = &self->block->warps[thread->warp];
    struct meeting **link = &warp->meetings, *meeting, opened;

    mask |= (u32)1 << thread->lane;
    while (*link && (*link)->mask != mask)
        link = &(*link)->next;
    if (!*link) {
        opened.next = NULL;
        opened.mask = mask;
        opened.arrived = 0;
        opened.combine = combine;
        opened.waiting = (struct line){NULL, NULL};
        *link = &opened;
    }
    meeting = *link;
    meeting->arrived |= (u32)1 << thread->lane;
    meeting->lanes[thread->lane] = mine;
    warp->waits |= (u32)1 << thread->lane;
    if (meeting_is_complete(warp, meeting))
        meeting_close(warp, link);
    else
        wait_in(&meeting->waiting);
}

/* Each learns who is there, and goes on in its turn. */
static void gathering_close(struct warp *warp, struct gathering *gathering)
{
    struct gathering **link = &warp->gatherings;

    while (*link != gathering)
        link = &(*link)->next;
    *link = gathering->next;
    warp->gathered &= ~gathering->lanes;
    for (u32 lane = 0; lane < PTX_WARP; lane++)
        if (gathering->lanes >> lane & 1)
            gathering->runners[lane]->result = gathering->lanes;
}

/* Whoever is on the way comes within a turn or goes to wait elsewhere; a warp of hardware has come together by then. */
u32 block_gather(struct ptx_thread *thread, const void *site)
{
    struct runner *self = thread->place;
    struct warp *warp = &self->block->warps[thread->warp];
    struct gathering opened = {.next = warp->gatherings, .site = site}, *gathering = warp->gatherings;

    while (gathering && gathering->site != site)
        gathering = gathering->next;
    if (!gathering)
        gathering = warp->gatherings = &opened;
    gathering->lanes |= (u32)1 << thread->lane;
    gathering->runners[thread->lane] = self;
    warp->gathered |= (u32)1 << thread->lane;
    self->result = 0;
    for (unsigned turn = 0; !self->result; turn++) {
        if (turn == GATHER_TURNS || !(warp->alive & ~(warp->waits | warp->yields | warp->gathered)))
            gathering_close(warp, gathering);
        else
            wait_in(&running->ready);
    }
    return self->result;
}

void block_yield(struct ptx_thread *thread)
{
    struct runner *self = thread->place;
    u32 lane = (u32)1 << thread->lane;

    if (!self || !running->ready.first)
        return;
    self->block->warps[thread->warp].yields |= lane;
    wait_in(&running->ready);
    self->block->warps[thread->warp].yields &= ~lane;
}

/* Those who wait for a thread that ends need not any more. */
void block_exit(struct ptx_thread *thread)
{
    struct runner *self = thread->place;
    struct block *block = self->block;
    struct warp *warp = &block->warps[thread->warp];
    struct meeting **link = &warp->meetings;

    warp->alive &= ~((u32)1 << thread->lane);
    block->alive--;
    running->alive--;
    while (*link) {
        if (meeting_is_complete(warp, *link))
            meeting_close(warp, link);
        else
            link = &(*link)->next;
    }
    for (unsigned i = 0; i < PTX_BARRIERS; i++)
        if (block->barriers[i].waiting.first && is_complete(block, &block->barriers[i]))
            barrier_release(block, &block->barriers[i]);
    proceed(running, true);
    abort();
}

static void enter(void *argument)
{
    struct runner *self = argument;

    fiber_begin(&self->fiber);
    running->code->thread(&self->thread, running->params);
    block_exit(&self->thread);
}

/* All threads of a block to the end of the line. */
static void block_prepare(struct turns *turns, struct room *room, unsigned threads)
{
    struct block *block = room->block;

    *block = (struct block){.alive = threads};
    for (unsigned i = 0; i < threads; i++) {
        struct runner *runner = &room->runners[i];

        runner->block = block;
        fiber_prepare(&runner->fiber, runner->stack, room->stack_bytes, (i % STAGGERS) * STAGGER_BYTES, enter,
                      runner);
        line_add(&turns->ready, runner);
    }
    for (unsigned i = 0; i * PTX_WARP < threads; i++)
        block->warps[i].alive = lanes_of(threads, i);
    turns->alive += threads;
}

enum block_end block_run(struct room *rooms, unsigned threads, const struct ptx_code *code, const u8 *params)
{
    struct turns turns = {.code = code, .params = params};

    for (struct room *room = rooms; room; room = room->next)
        block_prepare(&turns, room, threads);
    fiber_adopt(&turns.main);
    running = &turns;
    turns.current = turns.ready.first;
    turns.ready.first = turns.current->next;
    fiber_switch(&turns.main, &turns.current->fiber, false);
    running = NULL;
    return turns.end;
}

bool block_escape(void)
{
    struct turns *turns = running;

    if (!turns)
        return false;
    turns->end = BLOCK_FAILED;
    fiber_switch(&turns->current->fiber, &turns->main, true);
    return true;
}
