/* SPDX-License-Identifier: Apache-2.0 */
#include "graph/exec.h"

#include "device/busy.h"
#include "device/context.h"
#include "driver/handle.h"
#include "graph/graph.h"
#include "memory/graph_memory.h"
#include "stream/event.h"
#include "stream/hazard.h"

#include <stdlib.h>
#include <string.h>

/* Beyond this many steps the order between them is not kept: they then count as ordered. */
enum {
    REACH_STEPS_MAX = 8192
};

static size_t row_words(const struct exec *exec)
{
    return (exec->step_count + 63) / 64;
}

bool exec_ordered(const struct exec *exec, unsigned a, unsigned b)
{
    return a == b || !exec->reach || (exec->reach[b * row_words(exec) + a / 64] >> a % 64 & 1);
}

CUresult exec_name(const struct exec *exec, struct op *op)
{
    CUresult result = CUDA_SUCCESS;

    for (unsigned i = 0; i < exec->step_count && result == CUDA_SUCCESS; i++)
        if (!exec->steps[i].disabled)
            result = work_name(&exec->steps[i].work, op, i);
    return result;
}

CUresult exec_run(const struct exec *exec, struct op *op)
{
    CUresult result = CUDA_SUCCESS;

    for (unsigned i = 0; i < exec->step_count && result == CUDA_SUCCESS; i++) {
        const struct step *step = &exec->steps[i];

        if (step->disabled || step->work.kind == WORK_EMPTY)
            continue;
        sim_lock();
        op->node = i;
        op->inside = true;
        hazard_begin(op);
        busy_begin(op->context->device, &step->work);
        sim_unlock();
        result = work_run(&step->work, op);
        sim_lock();
        busy_end(op->context->device, &step->work);
        hazard_end(op);
        op->inside = false;
        sim_unlock();
    }
    return result;
}

void exec_drop(struct exec *exec)
{
    if (--exec->refs)
        return;
    for (unsigned i = 0; i < exec->step_count; i++) {
        work_finish(&exec->steps[i].work);
        if (exec->steps[i].memory)
            graph_memory_drop(exec->steps[i].memory);
        holdings_drop(&exec->steps[i].objects);
        free(exec->steps[i].after);
    }
    holdings_drop(&exec->objects);
    free(exec->steps);
    free(exec->reach);
    free(exec);
}

void exec_leave(struct exec *exec)
{
    if (--exec->users)
        return;
    holdings_drop(&exec->objects);
    for (unsigned i = 0; i < exec->step_count; i++)
        holdings_drop(&exec->steps[i].objects);
}

/* Nodes of a graph and its children. */
static unsigned count_steps(const struct graph *graph)
{
    unsigned count = 0;

    for (size_t i = 0; i < graph->count; i++)
        count += graph->nodes[i]->child ? 1 + count_steps(graph->nodes[i]->child) : 1;
    return count;
}

static bool step_after(struct step *step, unsigned on)
{
    unsigned *after = realloc(step->after, (step->after_count + 1) * sizeof *after);

    if (!after)
        return false;
    step->after = after;
    after[step->after_count++] = on;
    return true;
}

static bool flatten(struct exec *exec, const struct graph *graph, const struct step *entry);

/*
 * One node becomes one step. A child graph's roots come after what the node comes after; then an empty step,
 * which comes after all of the child, stands for the node.
 */
static bool add_step(struct exec *exec, struct node *node, const struct step *entry)
{
    struct step own = {.work = {.kind = WORK_EMPTY}, .type = node->type, .origin = node};
    bool good = true;

    for (size_t i = 0; good && i < node->after_count; i++)
        good = step_after(&own, node->after[i]->mark - 1);
    for (unsigned i = 0; good && !node->after_count && entry && i < entry->after_count; i++)
        good = step_after(&own, entry->after[i]);
    if (good && node->child) {
        unsigned first = exec->step_count;

        good = holdings_join(&own.objects, &node->child->objects) && flatten(exec, node->child, &own);
        for (unsigned i = first; good && i < exec->step_count; i++)
            good = step_after(&own, i);
    }
    if (node->type == CU_GRAPH_NODE_TYPE_EVENT_RECORD)
        own.records = node->event;
    if (node->type == CU_GRAPH_NODE_TYPE_WAIT_EVENT)
        own.waits = node->event;
    good = good && work_copy(&node->work, &own.work);
    if (!good) {
        holdings_drop(&own.objects);
        free(own.after);
        return false;
    }
    own.placement = placement_of(&own.work);
    own.memory = node->memory;
    if (own.memory)
        graph_memory_hold(own.memory);
    exec->steps[exec->step_count++] = own;
    node->mark = exec->step_count;
    return true;
}

/* Nodes in an order in which each comes after what it depends on: depth first, in order of creation. */
static bool visit(struct exec *exec, struct node *node, const struct step *entry)
{
    if (node->mark)
        return true;
    for (size_t i = 0; i < node->after_count; i++)
        if (!visit(exec, node->after[i], entry))
            return false;
    return add_step(exec, node, entry);
}

static bool flatten(struct exec *exec, const struct graph *graph, const struct step *entry)
{
    for (size_t i = 0; i < graph->count; i++)
        graph->nodes[i]->mark = 0;
    for (size_t i = 0; i < graph->count; i++)
        if (!visit(exec, graph->nodes[i], entry))
            return false;
    return true;
}

static bool compute_reach(struct exec *exec)
{
    size_t words = row_words(exec);

    if (!exec->step_count || exec->step_count > REACH_STEPS_MAX)
        return true;
    exec->reach = calloc(exec->step_count * words, sizeof *exec->reach);
    if (!exec->reach)
        return false;
    for (unsigned i = 0; i < exec->step_count; i++) {
        uint64_t *row = exec->reach + i * words;

        for (unsigned k = 0; k < exec->steps[i].after_count; k++) {
            unsigned on = exec->steps[i].after[k];

            row[on / 64] |= (uint64_t)1 << on % 64;
            for (size_t w = 0; w < words; w++)
                row[w] |= exec->reach[on * words + w];
        }
    }
    return true;
}

struct exec *exec_create(const struct graph *graph)
{
    struct exec *exec = calloc(1, sizeof *exec);
    bool good;

    if (!exec)
        return NULL;
    exec->refs = exec->users = 1;
    exec->steps = calloc(count_steps(graph) + 1, sizeof *exec->steps);
    good = exec->steps && holdings_join(&exec->objects, &graph->objects) && flatten(exec, graph, NULL) &&
           compute_reach(exec);
    if (!good) {
        exec_drop(exec);
        return NULL;
    }
    return exec;
}

struct exec *exec_copy(const struct exec *exec)
{
    struct exec *copy = calloc(1, sizeof *copy);
    size_t reach = exec->reach ? exec->step_count * row_words(exec) * sizeof *exec->reach : 0;
    bool good;

    if (!copy)
        return NULL;
    copy->refs = copy->users = 1;
    copy->steps = calloc(exec->step_count + 1, sizeof *copy->steps);
    copy->reach = reach ? malloc(reach) : NULL;
    good = copy->steps && (!reach || copy->reach) && holdings_join(&copy->objects, &exec->objects);
    if (good && reach)
        memcpy(copy->reach, exec->reach, reach);
    for (unsigned i = 0; good && i < exec->step_count; i++) {
        const struct step *from = &exec->steps[i];
        struct step step = *from;

        step.objects = (struct holdings){0};
        step.after = malloc((from->after_count + 1) * sizeof *step.after);
        good =
            step.after && holdings_join(&step.objects, &from->objects) && work_copy(&from->work, &step.work);
        if (!good) {
            holdings_drop(&step.objects);
            free(step.after);
            break;
        }
        for (unsigned k = 0; k < from->after_count; k++)
            step.after[k] = from->after[k];
        if (step.memory)
            graph_memory_hold(step.memory);
        copy->steps[copy->step_count++] = step;
    }
    if (!good) {
        exec_drop(copy);
        return NULL;
    }
    return copy;
}

bool exec_find(const struct exec *exec, CUgraphNode node, unsigned *index)
{
    for (unsigned i = 0; i < exec->step_count; i++) {
        if (exec->steps[i].origin == (const struct node *)node) {
            *index = i;
            return true;
        }
    }
    return false;
}

static bool same_edges(const struct step *a, const struct step *b)
{
    bool same = a->after_count == b->after_count;

    for (unsigned i = 0; same && i < a->after_count; i++)
        same = a->after[i] == b->after[i];
    return same;
}

static CUgraphExecUpdateResult compare(const struct step *a, const struct step *b, bool edges)
{
    if (a->type != b->type)
        return CU_GRAPH_EXEC_UPDATE_ERROR_NODE_TYPE_CHANGED;
    if (edges && !same_edges(a, b))
        return CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED;
    if (memcmp(&a->placement, &b->placement, sizeof a->placement) != 0)
        return CU_GRAPH_EXEC_UPDATE_ERROR_PARAMETERS_CHANGED;
    return CU_GRAPH_EXEC_UPDATE_SUCCESS;
}

bool exec_matches(const struct exec *exec, unsigned first, const struct exec *other, bool edges,
                  CUgraphExecUpdateResultInfo *info)
{
    for (unsigned i = 0; i < other->step_count; i++) {
        CUgraphExecUpdateResult result = compare(&exec->steps[first + i], &other->steps[i], edges);

        if (result == CU_GRAPH_EXEC_UPDATE_SUCCESS)
            continue;
        if (info) {
            info->result = result;
            info->errorNode = (CUgraphNode)other->steps[i].origin;
        }
        return false;
    }
    return true;
}

void exec_swap(struct exec *exec, unsigned first, struct exec *other)
{
    for (unsigned i = 0; i < other->step_count; i++) {
        struct step *a = &exec->steps[first + i], *b = &other->steps[i];
        struct step kept = *a;

        a->work = b->work;
        a->records = b->records;
        a->waits = b->waits;
        a->objects = b->objects;
        b->work = kept.work;
        b->objects = kept.objects;
    }
}

static int placement_at(uintptr_t address)
{
    const struct memory *memory = memory_find(address);

    return memory ? memory->device : DEVICE_HOST;
}

struct placement placement_of(const struct work *work)
{
    struct placement placement = {PLACEMENT_NONE, PLACEMENT_NONE};

    if (work->kind == WORK_COPY)
        placement.from = placement_at(work->copy.from.base);
    if (work->kind == WORK_COPY || work->kind == WORK_SET)
        placement.to = placement_at(work->kind == WORK_COPY ? work->copy.to.base : work->set.to);
    return placement;
}

void exec_judge_placement(const struct exec *exec)
{
    for (unsigned i = 0; i < exec->step_count; i++) {
        const struct step *step = &exec->steps[i];
        struct placement now = placement_of(&step->work);

        if (!step->disabled && memcmp(&now, &step->placement, sizeof now) != 0)
            hazard_moved(work_label(&step->work));
    }
}
