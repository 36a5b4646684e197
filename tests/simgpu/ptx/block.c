/* SPDX-License-Identifier: Apache-2.0 */
#include "ptx/block.h"

#include <stdlib.h>

enum {
    WARPS = ROOM_THREADS / PTX_WARP,
    /* Stacks at equal distances would share a few sets of the cache. */
    STAGGER_BYTES = 320,
    STAGGERS = 256
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

struct warp {
    u32 alive; /* lanes */
    struct meeting *meetings;
};

struct block {
    struct fiber main;
    const struct ptx_code *code;
    const u8 *params;
    struct runner *current;
    struct line ready;
    unsigned alive;
    enum block_end end;
    struct warp warps[WARPS];
    struct barrier barriers[PTX_BARRIERS];
};

/* What runs on the calling thread. */
static __thread struct block *running __attribute__((tls_model("initial-exec")));

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
static void proceed(struct block *block, bool ends)
{
    struct runner *from = block->current, *to = block->ready.first;

    if (!to) {
        block->end = block->alive ? BLOCK_STUCK : BLOCK_DONE;
        fiber_switch(&from->fiber, &block->main, true);
    }
    block->ready.first = to->next;
    if (to == from)
        return;
    block->current = to;
    fiber_switch(&from->fiber, &to->fiber, ends);
}

static void wait_in(struct block *block, struct line *line)
{
    line_add(line, block->current);
    proceed(block, false);
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
    for (struct runner *runner = barrier->waiting.first; barrier->reduces && runner; runner = runner->next)
        runner->result = outcome(barrier, (enum ptx_barrier_kind)runner->result);
    line_join(&block->ready, &barrier->waiting);
    *barrier = (struct barrier){0};
}

u32 block_barrier(struct ptx_thread *thread, u32 id, u32 count, enum ptx_barrier_kind kind, bool predicate)
{
    struct runner *self = thread->place;
    struct block *block = running;
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
    wait_in(block, &barrier->waiting);
    return self->result;
}

static bool meeting_is_complete(const struct warp *warp, const struct meeting *meeting)
{
    return (meeting->mask & warp->alive & ~meeting->arrived) == 0;
}

/* The combination sees those who came. */
static void meeting_close(struct block *block, struct meeting **link)
{
    struct meeting *meeting = *link;

    *link = meeting->next;
    meeting->combine(meeting->lanes, meeting->arrived);
    line_join(&block->ready, &meeting->waiting);
}

void block_meet(struct ptx_thread *thread, u32 mask, void *mine, ptx_combine *combine)
{
    struct block *block = running;
    struct warp *warp = &block->warps[thread->warp];
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
    if (meeting_is_complete(warp, meeting))
        meeting_close(block, link);
    else
        wait_in(block, &meeting->waiting);
}

void block_yield(struct ptx_thread *thread)
{
    struct block *block = running;

    if (!thread->place || !block->ready.first)
        return;
    line_add(&block->ready, block->current);
    proceed(block, false);
}

/* Those who wait for a thread that ends need not any more. */
void block_exit(struct ptx_thread *thread)
{
    struct block *block = running;
    struct warp *warp = &block->warps[thread->warp];
    struct meeting **link = &warp->meetings;

    warp->alive &= ~((u32)1 << thread->lane);
    block->alive--;
    while (*link) {
        if (meeting_is_complete(warp, *link))
            meeting_close(block, link);
        else
            link = &(*link)->next;
    }
    for (unsigned i = 0; i < PTX_BARRIERS; i++)
        if (block->barriers[i].waiting.first && is_complete(block, &block->barriers[i]))
            barrier_release(block, &block->barriers[i]);
    proceed(block, true);
    abort();
}

static void enter(void *argument)
{
    struct runner *self = argument;

    fiber_begin(&self->fiber);
    running->code->thread(&self->thread, running->params);
    block_exit(&self->thread);
}

enum block_end block_run(struct room *room, unsigned threads, const struct ptx_code *code, const u8 *params)
{
    struct block block = {.code = code, .params = params, .alive = threads};

    for (unsigned i = 0; i < threads; i++) {
        struct runner *runner = &room->runners[i];

        fiber_prepare(&runner->fiber, runner->stack, room->stack_bytes, (i % STAGGERS) * STAGGER_BYTES, enter,
                      runner);
        line_add(&block.ready, runner);
    }
    for (unsigned i = 0; i * PTX_WARP < threads; i++)
        block.warps[i].alive = lanes_of(threads, i);
    fiber_adopt(&block.main);
    running = &block;
    block.current = block.ready.first;
    block.ready.first = block.current->next;
    fiber_switch(&block.main, &block.current->fiber, false);
    running = NULL;
    return block.end;
}

bool block_escape(void)
{
    struct block *block = running;

    if (!block)
        return false;
    block->end = BLOCK_FAILED;
    fiber_switch(&block->current->fiber, &block->main, true);
    return true;
}
