/* SPDX-License-Identifier: Apache-2.0 */
#include "exec.h"

#include "context.h"
#include "event.h"
#include "graph.h"
#include "handle.h"
#include "hazard.h"

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
        sim_unlock();
        result = work_run(&step->work, op);
        sim_lock();
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
        free(exec->steps[i].after);
    }
    free(exec->steps);
    free(exec->reach);
    free(exec);
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
    struct step own = {.work = {.kind = WORK_EMPTY}, .origin = node, .disabled = node->disabled};
    bool good = true;

    for (size_t i = 0; good && i < node->after_count; i++)
        good = step_after(&own, node->after[i]->mark - 1);
    for (unsigned i = 0; good && !node->after_count && entry && i < entry->after_count; i++)
        good = step_after(&own, entry->after[i]);
    if (good && node->child) {
        unsigned first = exec->step_count;

        good = flatten(exec, node->child, &own);
        for (unsigned i = first; good && i < exec->step_count; i++)
            good = step_after(&own, i);
    }
    if (node->type == CU_GRAPH_NODE_TYPE_EVENT_RECORD)
        own.records = node->event;
    if (node->type == CU_GRAPH_NODE_TYPE_WAIT_EVENT)
        own.waits = node->event;
    good = good && work_copy(&node->work, &own.work);
    if (!good) {
        free(own.after);
        return false;
    }
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

struct exec *exec_create(const struct graph *graph, struct context *context, unsigned long long flags)
{
    struct exec *exec = calloc(1, sizeof *exec);
    bool good;

    if (!exec)
        return NULL;
    exec->refs = 1;
    exec->context = context;
    exec->flags = flags;
    exec->steps = calloc(count_steps(graph) + 1, sizeof *exec->steps);
    good = exec->steps && flatten(exec, graph, NULL) && compute_reach(exec);
    if (!good) {
        exec_drop(exec);
        return NULL;
    }
    return exec;
}
