/* SPDX-License-Identifier: Apache-2.0 */
#include "graph/condition.h"

#include "device/context.h"
#include "driver/handle.h"
#include "graph/graph.h"

#include <stdlib.h>
#include <utlist.h>

struct condition {
    struct condition *next; /* of the graph */
    const struct graph *graph;
    unsigned value, initial;
    bool is_assigned;  /* the initial value, whenever a launch begins */
    bool is_chosen_by; /* some node has it */
    unsigned refs;
};

void condition_hold(struct condition *condition)
{
    condition->refs++;
}

void condition_drop(struct condition *condition)
{
    if (--condition->refs)
        return;
    handle_remove(condition);
    free(condition);
}

void conditions_clear(struct graph *graph)
{
    struct condition *condition, *next;

    LL_FOREACH_SAFE(graph->conditions, condition, next) {
        condition->graph = NULL;
        condition_drop(condition);
    }
    graph->conditions = NULL;
}

void condition_begin(struct condition *condition)
{
    if (condition->is_assigned)
        condition->value = condition->initial;
}

int condition_choose(const struct condition *condition, CUgraphConditionalNodeType type, unsigned count)
{
    switch (type) {
    case CU_GRAPH_COND_TYPE_IF:
        return condition->value ? 0 : count == 2 ? 1 : BRANCH_NONE;
    case CU_GRAPH_COND_TYPE_WHILE:
        return condition->value ? 0 : BRANCH_NONE;
    case CU_GRAPH_COND_TYPE_SWITCH:
        return condition->value < count ? (int)condition->value : BRANCH_NONE;
    }
    return BRANCH_NONE;
}

void condition_set(uint64_t handle, unsigned value)
{
    struct condition *condition = (struct condition *)(uintptr_t)handle;

    sim_lock();
    if (handle_is(condition, HANDLE_CONDITION))
        condition->value = value;
    sim_unlock();
}

static bool has_bodies(CUgraphConditionalNodeType type, unsigned count)
{
    switch (type) {
    case CU_GRAPH_COND_TYPE_IF:
        return count == 1 || count == 2;
    case CU_GRAPH_COND_TYPE_WHILE:
        return count == 1;
    case CU_GRAPH_COND_TYPE_SWITCH:
        return count && count <= INT32_MAX;
    }
    return false;
}

void branch_destroy(struct branch *branch)
{
    for (unsigned i = 0; i < branch->count; i++)
        if (branch->bodies[i])
            graph_destroy(branch->bodies[i]);
    branch->condition->is_chosen_by = false;
    condition_drop(branch->condition);
    free(branch);
}

CUresult branch_create(const struct graph *graph, const CUDA_CONDITIONAL_NODE_PARAMS *params,
                       struct branch **created)
{
    struct condition *condition = (struct condition *)(uintptr_t)params->handle;
    struct branch *branch;

    if (!handle_is(condition, HANDLE_CONDITION) || condition->graph != graph || condition->is_chosen_by ||
        !has_bodies(params->type, params->size))
        return CUDA_ERROR_INVALID_VALUE;
    branch = calloc(1, sizeof *branch + params->size * sizeof *branch->bodies);
    if (!branch)
        return CUDA_ERROR_OUT_OF_MEMORY;
    branch->condition = condition;
    branch->type = params->type;
    branch->count = params->size;
    condition->is_chosen_by = true;
    condition_hold(condition);
    for (unsigned i = 0; i < branch->count; i++) {
        branch->bodies[i] = graph_create();
        if (!branch->bodies[i]) {
            branch_destroy(branch);
            return CUDA_ERROR_OUT_OF_MEMORY;
        }
        branch->bodies[i]->is_child = true;
    }
    *created = branch;
    return CUDA_SUCCESS;
}

CUresult sim_cuGraphConditionalHandleCreate(CUgraphConditionalHandle *created, CUgraph handle,
                                            CUcontext context, unsigned value, unsigned flags)
{
    struct graph *graph = (struct graph *)handle;
    struct condition *condition;

    if (!created || flags & ~(unsigned)CU_GRAPH_COND_ASSIGN_DEFAULT)
        return CUDA_ERROR_INVALID_VALUE;
    condition = calloc(1, sizeof *condition);
    if (!condition)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *condition =
        (struct condition){.graph = graph, .value = value, .initial = value, .is_assigned = flags, .refs = 1};
    sim_lock();
    if (!handle_is(graph, HANDLE_GRAPH) || !context_of(context)) {
        free(condition);
        return sim_leave(handle_is(graph, HANDLE_GRAPH) ? CUDA_ERROR_INVALID_CONTEXT
                                                        : CUDA_ERROR_INVALID_VALUE);
    }
    if (!handle_add(condition, HANDLE_CONDITION)) {
        free(condition);
        return sim_leave(CUDA_ERROR_OUT_OF_MEMORY);
    }
    LL_PREPEND(graph->conditions, condition);
    *created = (CUgraphConditionalHandle)(uintptr_t)condition;
    return sim_leave(CUDA_SUCCESS);
}
