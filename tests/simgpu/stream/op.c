/* SPDX-License-Identifier: Apache-2.0 */
#include "stream/op.h"

#include "device/busy.h"
#include "device/context.h"
#include "graph/exec.h"
#include "ptx/print.h"
#include "stream/hazard.h"
#include "stream/stream.h"
#include "stream/touch.h"

#include <stdlib.h>
#include <string.h>

static struct op *oldest, *newest; /* incomplete operations */
static uint64_t last_number;

struct slot {
    uint64_t seen;      /* what the host has seen complete */
    uint64_t continued; /* free: the number that its next stream goes on from */
    bool free;
};

static struct slot *slots;
static size_t slot_count, slot_room;

CUresult op_slot_take(unsigned *slot, uint64_t *slot_number)
{
    for (size_t i = 0; i < slot_count; i++) {
        if (slots[i].free) {
            slots[i].free = false;
            *slot_number = slots[i].continued;
            *slot = (unsigned)i;
            return CUDA_SUCCESS;
        }
    }
    if (slot_count == slot_room) {
        size_t room = slot_room ? slot_room * 2 : 16;
        struct slot *more = realloc(slots, room * sizeof *more);

        if (!more)
            return CUDA_ERROR_OUT_OF_MEMORY;
        slots = more;
        slot_room = room;
    }
    slots[slot_count] = (struct slot){0, 0, false};
    *slot_number = 0;
    *slot = (unsigned)slot_count++;
    return CUDA_SUCCESS;
}

void op_slot_give(unsigned slot, uint64_t slot_number)
{
    slots[slot].continued = slot_number;
    slots[slot].free = true;
}

static void clock_join(struct op *op, const uint64_t *clock, size_t count)
{
    for (size_t i = 0; i < count && i < op->clock_slots; i++)
        if (op->clock[i] < clock[i])
            op->clock[i] = clock[i];
}

/* Where memory is out the order is lost: at worst a hazard is reported that is none. */
static bool later_make_room(struct op *op, size_t count)
{
    uint64_t *later = op->later;

    if (count <= op->later_slots)
        return true;
    later = realloc(later, count * sizeof *later);
    if (!later)
        return false;
    memset(later + op->later_slots, 0, (count - op->later_slots) * sizeof *later);
    op->later = later;
    op->later_slots = count;
    return true;
}

/* What comes after an operation was given its clock when it was submitted. */
static void later_hand_on(const struct op *op, struct op *after)
{
    if (!op->later || !later_make_room(after, op->later_slots))
        return;
    for (size_t i = 0; i < op->later_slots; i++)
        if (after->later[i] < op->later[i])
            after->later[i] = op->later[i];
}

void op_order_after_complete(struct op *op)
{
    if (!later_make_room(op, slot_count))
        return;
    for (const struct context *context = contexts; context; context = context->next)
        for (const struct stream *stream = context->streams; stream; stream = stream->next) {
            uint64_t complete = stream->first ? stream->first->slot_number - 1 : stream->slot_number;

            if (op->later[stream->slot] < complete)
                op->later[stream->slot] = complete;
        }
}

struct op *op_create(struct stream *stream, struct work *work)
{
    struct op *op = calloc(1, sizeof *op + slot_count * sizeof *op->clock);

    if (!op) {
        work_finish(work);
        return NULL;
    }
    op->context = stream->context;
    op->stream = stream;
    op->work = *work;
    op->refs = 1;
    op->clock_slots = slot_count;
    for (size_t i = 0; i < slot_count; i++)
        op->clock[i] = slots[i].seen;
    if (stream->last) {
        clock_join(op, stream->last->clock, stream->last->clock_slots);
        later_hand_on(stream->last, op);
    }
    return op;
}

CUresult op_depend(struct op *op, struct op *on)
{
    struct dependent *dependent;

    if (!on)
        return CUDA_SUCCESS;
    clock_join(op, on->clock, on->clock_slots);
    later_hand_on(on, op);
    if (on->done)
        return CUDA_SUCCESS;
    dependent = malloc(sizeof *dependent);
    if (!dependent)
        return CUDA_ERROR_OUT_OF_MEMORY;
    op_hold(op);
    *dependent = (struct dependent){on->dependents, op};
    on->dependents = dependent;
    op->unmet++;
    return CUDA_SUCCESS;
}

static void release(struct op_name *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (names[i].name.memory) {
            names[i].name.memory->uses--;
            memory_drop(names[i].name.memory);
        }
    }
}

/* The operation uses nothing any more. */
static void op_unname(struct op *op)
{
    release(op->names, op->name_count);
    op->name_count = 0;
}

void op_abandon(struct op *op)
{
    op->abandoned = true;
    op_unname(op);
}

void op_submit(struct op *op)
{
    struct stream *stream = op->stream;

    op->number = ++last_number;
    op->slot_number = ++stream->slot_number;
    op->clock[stream->slot] = op->slot_number;
    op->older = newest;
    if (newest)
        newest->newer = op;
    else
        oldest = op;
    newest = op;

    op_hold(op); /* the queue's */
    if (stream->first)
        stream->last->next = op;
    else
        stream->first = op;
    if (stream->last)
        op_drop(stream->last);
    op_hold(op); /* the stream's memory of its latest */
    stream->last = op;
    stream_kick(stream);
}

void op_hold(struct op *op)
{
    op->refs++;
}

void op_drop(struct op *op)
{
    if (--op->refs)
        return;
    op_unname(op); /* one that was never submitted */
    free(op->names);
    free(op->touches);
    touch_free(op);
    free(op->later);
    work_finish(&op->work);
    free(op);
}

static CUresult append(struct op_name **names, size_t *count, size_t *room, const struct op_name *name)
{
    if (*count == *room) {
        size_t more = *room ? *room * 2 : 4;
        struct op_name *grown = realloc(*names, more * sizeof *grown);

        if (!grown)
            return CUDA_ERROR_OUT_OF_MEMORY;
        *names = grown;
        *room = more;
    }
    (*names)[(*count)++] = *name;
    if (name->name.memory) {
        memory_hold(name->name.memory);
        name->name.memory->uses++;
    }
    return CUDA_SUCCESS;
}

CUresult op_name(struct op *op, const struct op_name *name)
{
    op->is_paged |= name->name.memory && name->name.memory->kind == MEMORY_MANAGED;
    return append(&op->names, &op->name_count, &op->name_room, name);
}

CUresult op_touch(struct op *op, const struct op_name *name)
{
    return append(&op->touches, &op->touch_count, &op->touch_room, name);
}

void op_untouch(struct op *op, size_t count)
{
    release(op->touches, count);
    op->touch_count -= count;
    if (op->touch_count)
        memmove(op->touches, op->touches + count, op->touch_count * sizeof *op->touches);
}

static size_t first_name(const struct op *op)
{
    size_t low = 0, high = op->name_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (op->names[middle].node < op->node)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

size_t op_names(const struct op *op, const struct op_name **names)
{
    size_t first = first_name(op), end = first;

    while (end < op->name_count && op->names[end].node == op->node)
        end++;
    *names = end > first ? &op->names[first] : NULL;
    return end - first;
}

bool op_declares(const struct op *op, const struct memory *memory)
{
    if (op->is_exact)
        return true;
    for (size_t i = 0; i < op->touch_count; i++)
        if (op->touches[i].name.memory == memory)
            return true;
    return false;
}

static void op_complete(struct op *op)
{
    struct stream *stream = op->stream;

    op->done = true;
    op->done_ns = now_ns();
    if (op->older)
        op->older->newer = op->newer;
    else
        oldest = op->newer;
    if (op->newer)
        op->newer->older = op->older;
    else
        newest = op->older;
    op_unname(op);
    if (op->work.kind == WORK_GRAPH)
        exec_leave(op->work.exec);
    stream->first = op->next;
    if (op->next)
        later_hand_on(op, op->next);
    stream->busy = false;
    while (op->dependents) {
        struct dependent *dependent = op->dependents;

        op->dependents = dependent->next;
        later_hand_on(op, dependent->op);
        if (--dependent->op->unmet == 0 && !dependent->op->abandoned)
            stream_kick(dependent->op->stream);
        op_drop(dependent->op);
        free(dependent);
    }
    if (sim.waiters)
        pthread_cond_broadcast(&sim.done);
    stream_kick(stream);
    op_drop(op);
}

/* Other processes wait for an event, whatever has become of the context. */
static bool runs(const struct op *op)
{
    return op->work.kind != WORK_EMPTY &&
           (op->context->sticky == CUDA_SUCCESS || (op->work.kind == WORK_EVENT && !op->work.event.is_wait));
}

void op_run(struct op *op)
{
    struct op *outer = thread.running;

    op->stream->busy = true;
    if (runs(op)) {
        hazard_begin(op);
        if (op->work.kind == WORK_HOST)
            op_observe_before(op);
        thread.running = op;
        busy_begin(op->context->device, &op->work);
        sim_unlock();
        op->result = work_run(&op->work, op);
        sim_lock();
        busy_end(op->context->device, &op->work);
        thread.running = outer;
        hazard_end(op);
        if (op->result != CUDA_SUCCESS)
            context_fail(op->context, op->result);
    }
    op_complete(op);
}

void op_wait(struct op *op)
{
    op_hold(op);
    while (!op->done) {
        struct stream *stream = op->stream;

        if (op->synchronous && stream->first == op && !stream->busy && !op->unmet)
            op_run(op);
        else
            sim_wait();
    }
    op_observe(op);
    op_drop(op);
    if (print_waits()) {
        sim_unlock();
        print_flush();
        sim_lock();
    }
}

static void observe(unsigned slot, uint64_t slot_number)
{
    if (slots[slot].seen < slot_number)
        slots[slot].seen = slot_number;
}

void op_observe(const struct op *op)
{
    for (size_t i = 0; i < op->clock_slots; i++)
        observe((unsigned)i, op->clock[i]);
}

void op_observe_before(const struct op *op)
{
    for (size_t i = 0; i < op->clock_slots; i++)
        observe((unsigned)i, op->clock[i] - (i == op->stream->slot));
}

void op_observe_context(const struct context *context)
{
    for (const struct stream *stream = context->streams; stream; stream = stream->next) {
        observe(stream->slot, stream->first ? stream->first->slot_number - 1 : stream->slot_number);
        if (!stream->first && stream->last)
            op_observe(stream->last); /* and all that it waited for, in other contexts too */
    }
}

void op_observe_device(const struct device *device)
{
    for (const struct context *context = contexts; context; context = context->next)
        if (context->device == device)
            op_observe_context(context);
}

void op_drain(const struct context *context, const struct device *device)
{
    uint64_t until = last_number;
    struct op *op = oldest;

    while (op && op->number <= until) {
        if (context ? op->context != context : op->context->device != device) {
            op = op->newer;
            continue;
        }
        op_wait(op);
        op = oldest;
    }
}

bool op_pending_blocking(const struct context *context)
{
    for (const struct stream *stream = context->streams; stream; stream = stream->next)
        if (stream->first && stream_blocks(stream))
            return true;
    return false;
}

bool op_after(const struct op *op, unsigned slot, uint64_t slot_number)
{
    return (slot < op->clock_slots && op->clock[slot] >= slot_number) ||
           (slot < op->later_slots && op->later[slot] >= slot_number);
}

bool op_observed(unsigned slot, uint64_t slot_number)
{
    return slots[slot].seen >= slot_number;
}

uint64_t op_next_number(void)
{
    return last_number + 1;
}

uint64_t op_oldest_number(void)
{
    return oldest ? oldest->number : last_number + 1;
}
