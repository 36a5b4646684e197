/* SPDX-License-Identifier: Apache-2.0 */
#include "graph/graph.h"

#include "driver/handle.h"
#include "memory/graph_memory.h"

#include <stdlib.h>
#include <string.h>

struct graph *graph_create(void)
{
    struct graph *graph = calloc(1, sizeof *graph);

    if (graph && handle_add(graph, HANDLE_GRAPH))
        return graph;
    free(graph);
    return NULL;
}

static void node_free(struct node *node)
{
    handle_remove(node);
    work_finish(&node->work);
    if (node->child)
        graph_destroy(node->child);
    if (node->branch)
        branch_destroy(node->branch);
    if (node->memory)
        graph_memory_drop(node->memory);
    free(node->after);
    free(node->params);
    free(node);
}

void graph_destroy(struct graph *graph)
{
    for (size_t i = 0; i < graph->count; i++)
        node_free(graph->nodes[i]);
    handle_remove(graph);
    holdings_drop(&graph->objects);
    conditions_clear(graph);
    free(graph->nodes);
    free(graph);
}

static bool make_room(struct graph *graph)
{
    size_t room = graph->room ? graph->room * 2 : 16;
    struct node **nodes;

    if (graph->count < graph->room)
        return true;
    nodes = realloc(graph->nodes, room * sizeof(struct node *));
    if (!nodes)
        return false;
    graph->nodes = nodes;
    graph->room = room;
    return true;
}

/* Nodes of the graph, each once. */
static bool may_follow(const struct graph *graph, struct node *const *after, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!handle_is(after[i], HANDLE_NODE) || after[i]->graph != graph)
            return false;
        for (size_t earlier = 0; earlier < i; earlier++)
            if (after[earlier] == after[i])
                return false;
    }
    return true;
}

CUresult graph_add(struct graph *graph, CUgraphNodeType type, struct work *work, struct node *const *after,
                   size_t count, struct node **created)
{
    struct node *node;

    if (!may_follow(graph, after, count)) {
        work_finish(work);
        return CUDA_ERROR_INVALID_VALUE;
    }
    node = calloc(1, sizeof *node);
    if (node)
        node->after = malloc((count + 1) * sizeof(struct node *));
    if (!node || !node->after || !make_room(graph) || !handle_add(node, HANDLE_NODE)) {
        free(node ? node->after : NULL);
        free(node);
        work_finish(work);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    for (size_t i = 0; i < count; i++)
        node->after[i] = after[i];
    node->after_count = count;
    node->graph = graph;
    node->type = type;
    node->work = *work;
    graph->nodes[graph->count++] = node;
    *created = node;
    return CUDA_SUCCESS;
}

void graph_remove(struct node *node)
{
    struct graph *graph = node->graph;
    size_t kept = 0;

    for (size_t i = 0; i < graph->count; i++) {
        struct node *other = graph->nodes[i];
        size_t edges = 0;

        for (size_t k = 0; k < other->after_count; k++)
            if (other->after[k] != node)
                other->after[edges++] = other->after[k];
        other->after_count = edges;
        if (other != node)
            graph->nodes[kept++] = other;
    }
    graph->count = kept;
    node_free(node);
}

/* Where a node of the original is in its clone: the same index. */
static struct node *twin(const struct graph *from, const struct graph *to, const struct node *node)
{
    for (size_t i = 0; i < from->count; i++)
        if (from->nodes[i] == node)
            return to->nodes[i];
    return NULL;
}

static bool clone_node(struct graph *clone, struct node *node)
{
    struct work work = {.kind = WORK_EMPTY};
    struct node *copy;

    if (!work_copy(&node->work, &work) || graph_add(clone, node->type, &work, NULL, 0, &copy) != CUDA_SUCCESS)
        return false;
    copy->context = node->context;
    copy->event = node->event;
    copy->original = node;
    if (node->child) {
        copy->child = graph_clone(node->child);
        if (!copy->child)
            return false;
        copy->child->is_child = true;
    }
    return true;
}

static bool clone_edges(const struct graph *graph, struct graph *clone)
{
    for (size_t i = 0; i < graph->count; i++) {
        const struct node *node = graph->nodes[i];
        struct node *copy = clone->nodes[i];
        struct node **after = realloc(copy->after, (node->after_count + 1) * sizeof(struct node *));

        if (!after)
            return false;
        copy->after = after;
        for (size_t k = 0; k < node->after_count; k++)
            after[k] = twin(graph, clone, node->after[k]);
        copy->after_count = node->after_count;
    }
    return true;
}

struct graph *graph_clone(const struct graph *graph)
{
    struct graph *clone = graph_create();
    bool good = clone && holdings_join(&clone->objects, &graph->objects);

    for (size_t i = 0; good && i < graph->count; i++)
        good = clone_node(clone, graph->nodes[i]);
    if (good)
        good = clone_edges(graph, clone);
    if (!good && clone)
        graph_destroy(clone);
    return good ? clone : NULL;
}

bool graph_has_branches(const struct graph *graph)
{
    for (size_t i = 0; i < graph->count; i++)
        if (graph->nodes[i]->branch || (graph->nodes[i]->child && graph_has_branches(graph->nodes[i]->child)))
            return true;
    return false;
}
