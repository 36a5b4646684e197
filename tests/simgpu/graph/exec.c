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

static CUresult run_step(const struct step *step, struct op *op, unsigned index)
{
    CUresult result;

    sim_lock();
    op->node = index;
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
    return result;
}

static CUresult run_chosen(const struct exec *exec, struct op *op, unsigned index);

/* The steps from first to end that are in that node's body, or in none. */
static CUresult run_steps(const struct exec *exec, struct op *op, unsigned first, unsigned end, int chosen_by)
{
    CUresult result = CUDA_SUCCESS;

    for (unsigned i = first; i < end && result == CUDA_SUCCESS; i++) {
        const struct step *step = &exec->steps[i];

        if (step->disabled || step->chosen_by != chosen_by)
            continue;
        if (step->choice)
            result = run_chosen(exec, op, i);
        else if (step->work.kind != WORK_EMPTY)
            result = run_step(step, op, i);
    }
    return result;
}

static int choose(const struct choice *choice)
{
    int chosen;

    sim_lock();
    chosen = condition_choose(choice->condition, choice->type, choice->count);
    sim_unlock();
    return chosen;
}

static CUresult run_chosen(const struct exec *exec, struct op *op, unsigned index)
{
    const struct choice *choice = exec->steps[index].choice;
    CUresult result = CUDA_SUCCESS;
    int body = choose(choice);

    while (body != BRANCH_NONE && result == CUDA_SUCCESS) {
        result = run_steps(exec, op, choice->bounds[body], choice->bounds[body + 1], (int)index);
        body = choice->type == CU_GRAPH_COND_TYPE_WHILE ? choose(choice) : BRANCH_NONE;
    }
    return result;
}

CUresult exec_run(const struct exec *exec, struct op *op)
{
    sim_lock();
    for (unsigned i = 0; i < exec->step_count; i++)
        if (exec->steps[i].choice)
            condition_begin(exec->steps[i].choice->condition);
    sim_unlock();
    return run_steps(exec, op, 0, exec->step_count, STEP_NONE);
}

static void choice_destroy(struct choice *choice)
{
    if (choice)
        condition_drop(choice->condition);
    free(choice);
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
        choice_destroy(exec->steps[i].choice);
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

/* Nodes of a graph, its children and bodies. */
static unsigned count_steps(const struct graph *graph)
{
    unsigned count = 0;

    for (size_t i = 0; i < graph->count; i++) {
        const struct branch *branch = graph->nodes[i]->branch;

        count += graph->nodes[i]->child ? 1 + count_steps(graph->nodes[i]->child) : 1;
        for (unsigned body = 0; branch && body < branch->count; body++)
            count += count_steps(branch->bodies[body]);
    }
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

/* The bodies of a conditional node, whose roots come after what the node comes after. The node's own step comes next. */
static struct choice *flatten_bodies(struct exec *exec, const struct branch *branch, const struct step *own)
{
    struct choice *choice = malloc(sizeof *choice + (branch->count + 1) * sizeof *choice->bounds);
    unsigned first = exec->step_count;
    bool good = choice;

    for (unsigned body = 0; good && body < branch->count; body++) {
        choice->bounds[body] = exec->step_count;
        good = flatten(exec, branch->bodies[body], own);
    }
    if (!good) {
        free(choice);
        return NULL;
    }
    choice->bounds[branch->count] = exec->step_count;
    choice->condition = branch->condition;
    choice->type = branch->type;
    choice->count = branch->count;
    condition_hold(choice->condition);
    for (unsigned i = first; i < exec->step_count; i++)
        if (exec->steps[i].chosen_by == STEP_NONE)
            exec->steps[i].chosen_by = (int)exec->step_count;
    return choice;
}

/*
 * One node becomes one step. A child graph's roots come after what the node comes after; then an empty step,
 * which comes after all of the child, stands for the node.
 */
static bool add_step(struct exec *exec, struct node *node, const struct step *entry)
{
    struct step own = {
        .work = {.kind = WORK_EMPTY}, .type = node->type, .origin = node, .chosen_by = STEP_NONE};
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
    if (good && node->branch) {
        unsigned first = exec->step_count;

        own.choice = flatten_bodies(exec, node->branch, &own);
        good = own.choice;
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
        choice_destroy(own.choice);
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

/* What runs again and again comes after all of itself, step by step. */
static void reach_again(struct exec *exec, const struct choice *choice)
{
    size_t words = row_words(exec);

    for (unsigned i = choice->bounds[0]; i < choice->bounds[choice->count]; i++)
        for (unsigned on = choice->bounds[0]; on < choice->bounds[choice->count]; on++)
            exec->reach[i * words + on / 64] |= (uint64_t)1 << on % 64;
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
        if (exec->steps[i].choice && exec->steps[i].choice->type == CU_GRAPH_COND_TYPE_WHILE)
            reach_again(exec, exec->steps[i].choice);
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

static bool choice_copy(const struct choice *from, struct choice **to)
{
    size_t bytes = from ? sizeof *from + (from->count + 1) * sizeof *from->bounds : 0;

    if (!from)
        return true;
    *to = malloc(bytes);
    if (!*to)
        return false;
    memcpy(*to, from, bytes);
    condition_hold((*to)->condition);
    return true;
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
        step.choice = NULL;
        step.after = malloc((from->after_count + 1) * sizeof *step.after);
        good = step.after && holdings_join(&step.objects, &from->objects) &&
               choice_copy(from->choice, &step.choice) && work_copy(&from->work, &step.work);
        if (!good) {
            holdings_drop(&step.objects);
            choice_destroy(step.choice);
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

static bool same_choice(const struct step *a, const struct step *b)
{
    if (a->chosen_by != b->chosen_by || !a->choice != !b->choice)
        return false;
    return !a->choice || (a->choice->type == b->choice->type && a->choice->count == b->choice->count &&
                          memcmp(a->choice->bounds, b->choice->bounds,
                                 (a->choice->count + 1) * sizeof *a->choice->bounds) == 0);
}

static CUgraphExecUpdateResult compare(const struct step *a, const struct step *b, bool edges)
{
    if (a->type != b->type)
        return CU_GRAPH_EXEC_UPDATE_ERROR_NODE_TYPE_CHANGED;
    if (edges && (!same_edges(a, b) || !same_choice(a, b)))
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
