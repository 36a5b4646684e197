/* SPDX-License-Identifier: Apache-2.0 */
#include "stream/hazard.h"

#include "graph/exec.h"
#include "stream/stream.h"

#include <stdio.h>
#include <string.h>

/* What an operation did to memory, kept after it. */
struct access {
    struct access *next, *previous; /* in its list; previous NULL: the first */
    struct access **list;           /* NULL: not in use */
    uint64_t place;
    size_t size, pitch, width;
    uint64_t number; /* the operation's */
    uint64_t slot_number;
    unsigned slot, node;
    bool sets;            /* written by a copy, a set or a memory operation */
    bool is_memop;        /* those are how streams talk to each other */
    uint64_t seen_before; /* 0, or: the host had seen it complete when this number was next */
    char label[32];       /* a copy: the module may be gone when it is shown */
};

/*
 * Accesses of up to one stripe of memory are found by where they start, the rest are looked at always. The array is
 * used round and round: what is overwritten is among the oldest.
 */
enum {
    STRIPE_BITS = 26,
    STRIPES = 1024
};
static struct access history[HISTORY_MAX];
static struct access *stripes[STRIPES], *wide;
static size_t cursor, count;
static size_t prune_in = 64; /* so many more, and it is time to look what can go */
static unsigned hazards;

static bool hazard(void)
{
    hazards++;
    if (hazards == HAZARD_LINES_MAX + 1)
        fprintf(stderr, "simgpu: hazard: more are counted, not printed\n");
    return hazards <= HAZARD_LINES_MAX;
}

unsigned hazard_count(void)
{
    return hazards;
}

void hazard_lose(const struct memory *memory, const char *how)
{
    if (memory->uses && hazard())
        fprintf(stderr, "simgpu: hazard: [%#lx, +%zu) is %s while %u incomplete operations name it\n",
                memory->start, memory->size, how, memory->uses);
}

void hazard_moved(const char *label)
{
    if (hazard())
        fprintf(stderr, "simgpu: hazard: %s in a graph works on memory that has moved since instantiation\n",
                label);
}

/* Rows of one pitch that never share a column do not overlap, though their bounds do. */
static bool overlaps(const struct access *a, const struct access *b)
{
    size_t offset;

    if (a->place >= b->place + b->size || b->place >= a->place + a->size)
        return false;
    if (!a->pitch || a->pitch != b->pitch)
        return true;
    offset = (b->place + a->pitch - a->place % a->pitch) % a->pitch;
    return offset < a->width || offset + b->width > a->pitch;
}

static bool ordered(const struct access *before, const struct op *op)
{
    if (before->number == op->number)
        return op->work.kind != WORK_GRAPH || exec_ordered(op->work.exec, before->node, op->node);
    return op_after(op, before->slot, before->slot_number);
}

static void forget(struct access *access)
{
    if (access->previous)
        access->previous->next = access->next;
    else
        *access->list = access->next;
    if (access->next)
        access->next->previous = access->previous;
    access->list = NULL;
    count--;
}

/* Forgets what every operation that is still to run is ordered after. */
static void prune(void)
{
    uint64_t oldest = op_oldest_number(), next = op_next_number();

    for (size_t i = 0; i < HISTORY_MAX; i++) {
        struct access *access = &history[i];

        if (!access->list)
            continue;
        if (!access->seen_before && op_observed(access->slot, access->slot_number))
            access->seen_before = next;
        if (access->seen_before && access->seen_before <= oldest)
            forget(access);
    }
}

/* A later access of the same stream to the same bytes stands for the earlier one, if it conflicts with no less. */
static bool replaces(const struct access *access, const struct access *old)
{
    return old->slot == access->slot && old->number != access->number && old->place == access->place &&
           old->size == access->size && old->pitch == access->pitch && old->width == access->width &&
           old->sets <= access->sets;
}

static struct access **list_of(uint64_t place, size_t size)
{
    return size > (size_t)1 << STRIPE_BITS ? &wide : &stripes[(place >> STRIPE_BITS) % STRIPES];
}

static void remember(struct access *access)
{
    struct access **list = list_of(access->place, access->size);
    struct access *slot;

    for (slot = *list; slot; slot = slot->next) {
        if (replaces(access, slot)) {
            forget(slot);
            break;
        }
    }
    if (--prune_in == 0) {
        prune();
        prune_in = count < 64 ? 64 : HISTORY_MAX / 4;
    }
    for (size_t tries = 0; history[cursor].list && tries < 8; tries++)
        cursor = (cursor + 1) % HISTORY_MAX;
    slot = &history[cursor];
    cursor = (cursor + 1) % HISTORY_MAX;
    if (slot->list)
        forget(slot);
    *slot = *access;
    slot->list = list;
    slot->previous = NULL;
    slot->next = *list;
    if (*list)
        (*list)->previous = slot;
    *list = slot;
    count++;
}

/* The first access of a list that conflicts, or NULL. */
static const struct access *conflict(const struct access *list, const struct access *access,
                                     const struct op *op)
{
    for (; list; list = list->next)
        if ((access->sets || list->sets) && !(access->is_memop && list->is_memop) && overlaps(list, access) &&
            !ordered(list, op))
            return list;
    return NULL;
}

static const struct access *conflict_anywhere(const struct access *access, const struct op *op)
{
    const struct access *found = conflict(wide, access, op);
    uint64_t first = access->place >> STRIPE_BITS, last = (access->place + access->size) >> STRIPE_BITS;

    /* One that starts in the stripe before may reach into this one. */
    first -= first > 0;
    if (last - first >= STRIPES)
        last = first + STRIPES - 1;
    for (uint64_t stripe = first; !found && stripe <= last; stripe++)
        found = conflict(stripes[stripe % STRIPES], access, op);
    return found;
}

static void judge(struct op *op, const struct op_name *name, bool sets)
{
    const char *label = work_label(work_node(&op->work, op->node));
    struct access access = {.place = name->name.place,
                            .size = name->name.size,
                            .pitch = name->pitch,
                            .width = name->width,
                            .number = op->number,
                            .slot_number = op->slot_number,
                            .slot = op->stream->slot,
                            .node = op->node,
                            .sets = sets,
                            .is_memop = work_node(&op->work, op->node)->kind == WORK_MEMOP};
    const struct access *old = conflict_anywhere(&access, op);

    if (old && hazard())
        fprintf(stderr, "simgpu: hazard: %s and %s use the same memory ([%#lx, +%zu)) and are not ordered\n",
                old->label, label, access.place, access.size);
    snprintf(access.label, sizeof access.label, "%s", label);
    remember(&access);
}

void hazard_begin(struct op *op)
{
    const struct op_name *names;
    size_t named = op_names(op, &names);

    if ((op->work.kind == WORK_GRAPH && !op->inside) || op->work.kind == WORK_PREFETCH)
        return;
    /* What waits for a word expects it to be written by others. */
    for (size_t i = 0; i < named; i++)
        if (!names[i].whole && (names[i].name.write || work_node(&op->work, op->node)->kind != WORK_MEMOP))
            judge(op, &names[i], names[i].name.write);
}

void hazard_end(struct op *op)
{
    const struct op_name *names;
    size_t named = op_names(op, &names);

    if (op->work.kind == WORK_GRAPH && !op->inside)
        return;
    for (size_t i = 0; i < named; i++)
        if (names[i].whole && !op_declares(op, names[i].name.memory))
            judge(op, &names[i], false);
    for (size_t i = 0; i < op->touch_count; i++)
        judge(op, &op->touches[i], false);
    op_untouch(op, op->touch_count);
}
