/* SPDX-License-Identifier: Apache-2.0 */
#include "hazard.h"

#include "exec.h"
#include "stream.h"

#include <stdio.h>
#include <string.h>

/* What an operation did to memory, kept after it. */
struct access {
    uint64_t place;
    size_t size, pitch, width;
    uint64_t number; /* the operation's */
    uint64_t slot_number;
    unsigned slot, node;
    bool sets;            /* written by a copy or set */
    uint64_t seen_before; /* 0, or: the host had seen it complete when this number was next */
    const char *label;
};

static struct access history[HISTORY_MAX];
static size_t count;
static size_t prune_at = 64; /* at most HISTORY_MAX */
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

/* Forgets what every operation that is still to run is ordered after. */
static void prune(void)
{
    uint64_t oldest = op_oldest_number(), next = op_next_number();
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        struct access *access = &history[i];

        if (!access->seen_before && op_observed(access->slot, access->slot_number))
            access->seen_before = next;
        if (!access->seen_before || access->seen_before > oldest)
            history[kept++] = *access;
    }
    count = kept;
}

/* A later access of the same stream to the same bytes stands for the earlier one, if it conflicts with no
 * less. */
static bool replaces(const struct access *access, const struct access *old)
{
    return old->slot == access->slot && old->number != access->number && old->place == access->place &&
           old->size == access->size && old->pitch == access->pitch && old->width == access->width &&
           old->sets <= access->sets;
}

static void remember(const struct access *access)
{
    size_t at = 0;

    while (at < count && !replaces(access, &history[at]))
        at++;
    if (at == count && count >= prune_at) {
        prune();
        prune_at = count < 32 ? 64 : 2 * count < HISTORY_MAX ? 2 * count : HISTORY_MAX;
        if (count == HISTORY_MAX) {
            memmove(history, history + 1, (HISTORY_MAX - 1) * sizeof *history);
            count--;
        }
        at = count;
    }
    history[at] = *access;
    if (at == count)
        count++;
}

static void judge(struct op *op, const struct op_name *name, bool sets)
{
    const char *label = work_label(work_node(&op->work, op->node));
    struct access access = {
        name->name.place, name->name.size, name->pitch, name->width, op->number, op->slot_number,
        op->stream->slot, op->node,        sets,        0,           label,
    };

    for (size_t i = 0; i < count; i++) {
        const struct access *old = &history[i];

        if ((sets || old->sets) && overlaps(old, &access) && !ordered(old, op)) {
            if (hazard())
                fprintf(stderr,
                        "simgpu: hazard: %s and %s use the same memory ([%#lx, +%zu)) and are not ordered\n",
                        old->label, label, access.place, access.size);
            break;
        }
    }
    remember(&access);
}

/* Whether the running kernel has declared anything in what it got by parameter. */
static bool declared(const struct op *op, const struct memory *memory)
{
    for (size_t i = 0; i < op->touch_count; i++)
        if (op->touches[i].name.memory == memory)
            return true;
    return false;
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

void hazard_begin(struct op *op)
{
    if (op->work.kind == WORK_GRAPH && !op->inside)
        return;
    for (size_t i = first_name(op); i < op->name_count && op->names[i].node == op->node; i++)
        if (!op->names[i].whole)
            judge(op, &op->names[i], op->names[i].name.write);
}

void hazard_end(struct op *op)
{
    if (op->work.kind == WORK_GRAPH && !op->inside)
        return;
    for (size_t i = first_name(op); i < op->name_count && op->names[i].node == op->node; i++)
        if (op->names[i].whole && !declared(op, op->names[i].name.memory))
            judge(op, &op->names[i], false);
    for (size_t i = 0; i < op->touch_count; i++)
        judge(op, &op->touches[i], false);
    op_untouch(op);
}
