/* SPDX-License-Identifier: Apache-2.0 */
/* The entries about graphs as wholes: life, nodes and edges. */
#include "graph/graph.h"

#include "driver/handle.h"
#include "memory/graph_memory.h"

#include <stdlib.h>
#include <string.h>

static struct graph *graph_of(CUgraph handle)
{
    return handle_is(handle, HANDLE_GRAPH) ? (struct graph *)handle : NULL;
}

static struct node *node_of(CUgraphNode handle)
{
    return handle_is(handle, HANDLE_NODE) ? (struct node *)handle : NULL;
}

CUresult sim_cuGraphCreate(CUgraph *created, unsigned flags)
{
    struct graph *graph;

    if (!created || flags)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    graph = graph_create();
    if (graph)
        *created = (CUgraph)graph;
    return sim_leave(graph ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY);
}

CUresult sim_cuGraphDestroy(CUgraph handle)
{
    struct graph *graph;

    sim_lock();
    graph = graph_of(handle);
    if (!graph || graph->is_child)
        return sim_leave(CUDA_ERROR_INVALID_VALUE);
    graph_destroy(graph);
    return sim_leave(CUDA_SUCCESS);
}

CUresult sim_cuGraphClone(CUgraph *created, CUgraph handle)
{
    struct graph *graph, *clone;

    if (!created)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    graph = graph_of(handle);
    if (!graph)
        return sim_leave(CUDA_ERROR_INVALID_VALUE);
    if (graph_has_memory(graph) || graph_has_branches(graph))
        return sim_leave(CUDA_ERROR_NOT_SUPPORTED);
    clone = graph_clone(graph);
    if (clone)
        *created = (CUgraph)clone;
    return sim_leave(clone ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY);
}

CUresult sim_cuGraphNodeFindInClone(CUgraphNode *found, CUgraphNode original, CUgraph handle)
{
    struct graph *graph;

    if (!found)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    graph = graph_of(handle);
    for (size_t i = 0; graph && i < graph->count; i++) {
        if (original && graph->nodes[i]->original == (struct node *)original) {
            *found = (CUgraphNode)graph->nodes[i];
            return sim_leave(CUDA_SUCCESS);
        }
    }
    return sim_leave(CUDA_ERROR_INVALID_VALUE);
}

CUresult sim_cuGraphNodeGetType(CUgraphNode handle, CUgraphNodeType *type)
{
    const struct node *node;

    sim_lock();
    node = node_of(handle);
    if (!node || !type)
        return sim_leave(CUDA_ERROR_INVALID_VALUE);
    *type = node->type;
    return sim_leave(CUDA_SUCCESS);
}

/* What a list query collects: a number alone, or up to room pairs. */
struct list {
    CUgraphNode *first, *second; /* NULL: not wanted */
    size_t room, count;
};

static void list_add(struct list *list, struct node *first, struct node *second)
{
    if (list->count < list->room && list->first)
        list->first[list->count] = (CUgraphNode)first;
    if (list->count < list->room && list->second)
        list->second[list->count] = (CUgraphNode)second;
    list->count++;
}

/* As documented: without an array the number, else how many were written, and nulls behind them. */
static CUresult list_finish(struct list *list, size_t *count)
{
    if (!list->first && !list->second) {
        *count = list->count;
        return CUDA_SUCCESS;
    }
    for (size_t i = list->count; i < list->room; i++) {
        if (list->first)
            list->first[i] = NULL;
        if (list->second)
            list->second[i] = NULL;
    }
    *count = list->count < list->room ? list->count : list->room;
    return CUDA_SUCCESS;
}

static CUresult get_nodes(CUgraph handle, CUgraphNode *nodes, size_t *count, bool roots)
{
    struct list list = {nodes, NULL, count ? *count : 0, 0};
    const struct graph *graph = graph_of(handle);

    if (!graph || !count)
        return CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; i < graph->count; i++)
        if (!roots || !graph->nodes[i]->after_count)
            list_add(&list, graph->nodes[i], NULL);
    return list_finish(&list, count);
}

CUresult sim_cuGraphGetNodes(CUgraph graph, CUgraphNode *nodes, size_t *count)
{
    sim_lock();
    return sim_leave(get_nodes(graph, nodes, count, false));
}

CUresult sim_cuGraphGetRootNodes(CUgraph graph, CUgraphNode *nodes, size_t *count)
{
    sim_lock();
    return sim_leave(get_nodes(graph, nodes, count, true));
}

static CUresult get_edges(CUgraph handle, CUgraphNode *from, CUgraphNode *to, size_t *count)
{
    struct list list = {from, to, count ? *count : 0, 0};
    const struct graph *graph = graph_of(handle);

    if (!graph || !count || !from != !to)
        return CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; i < graph->count; i++)
        for (size_t k = 0; k < graph->nodes[i]->after_count; k++)
            list_add(&list, graph->nodes[i]->after[k], graph->nodes[i]);
    return list_finish(&list, count);
}

CUresult sim_cuGraphGetEdges(CUgraph graph, CUgraphNode *from, CUgraphNode *to, size_t *count)
{
    sim_lock();
    return sim_leave(get_edges(graph, from, to, count));
}

/* No edge has data: what is asked for is zeros. */
static CUresult clear_edges(CUresult result, CUgraphEdgeData *edges, const size_t *count)
{
    if (result == CUDA_SUCCESS && edges)
        memset(edges, 0, *count * sizeof *edges);
    return result;
}

CUresult sim_cuGraphGetEdges_v2(CUgraph graph, CUgraphNode *from, CUgraphNode *to, CUgraphEdgeData *edges,
                                size_t *count)
{
    CUresult result = sim_cuGraphGetEdges(graph, from, to, count);

    return clear_edges(result, from ? edges : NULL, count);
}

CUresult sim_cuGraphNodeGetDependencies(CUgraphNode handle, CUgraphNode *after, size_t *count)
{
    struct list list = {after, NULL, count ? *count : 0, 0};
    const struct node *node;

    sim_lock();
    node = node_of(handle);
    if (!node || !count)
        return sim_leave(CUDA_ERROR_INVALID_VALUE);
    for (size_t i = 0; i < node->after_count; i++)
        list_add(&list, node->after[i], NULL);
    return sim_leave(list_finish(&list, count));
}

CUresult sim_cuGraphNodeGetDependencies_v2(CUgraphNode node, CUgraphNode *after, CUgraphEdgeData *edges,
                                           size_t *count)
{
    CUresult result = sim_cuGraphNodeGetDependencies(node, after, count);

    return clear_edges(result, after ? edges : NULL, count);
}

static bool is_after(const struct node *node, const struct node *on)
{
    for (size_t i = 0; i < node->after_count; i++)
        if (node->after[i] == on)
            return true;
    return false;
}

CUresult sim_cuGraphNodeGetDependentNodes(CUgraphNode handle, CUgraphNode *dependents, size_t *count)
{
    struct list list = {dependents, NULL, count ? *count : 0, 0};
    const struct node *node;

    sim_lock();
    node = node_of(handle);
    if (!node || !count)
        return sim_leave(CUDA_ERROR_INVALID_VALUE);
    for (size_t i = 0; i < node->graph->count; i++)
        if (is_after(node->graph->nodes[i], node))
            list_add(&list, node->graph->nodes[i], NULL);
    return sim_leave(list_finish(&list, count));
}

CUresult sim_cuGraphNodeGetDependentNodes_v2(CUgraphNode node, CUgraphNode *dependents,
                                             CUgraphEdgeData *edges, size_t *count)
{
    CUresult result = sim_cuGraphNodeGetDependentNodes(node, dependents, count);

    return clear_edges(result, dependents ? edges : NULL, count);
}

/* Whether a path of edges leads from one node to the other. */
static bool reaches(const struct node *from, const struct node *to)
{
    if (from == to)
        return true;
    for (size_t i = 0; i < to->after_count; i++)
        if (reaches(from, to->after[i]))
            return true;
    return false;
}

static CUresult add_edge(struct node *from, struct node *to)
{
    struct node **after;

    if (is_after(to, from) || reaches(to, from))
        return CUDA_ERROR_INVALID_VALUE;
    after = realloc(to->after, (to->after_count + 1) * sizeof(struct node *));
    if (!after)
        return CUDA_ERROR_OUT_OF_MEMORY;
    to->after = after;
    after[to->after_count++] = from;
    return CUDA_SUCCESS;
}

static CUresult remove_edge(const struct node *from, struct node *to)
{
    for (size_t i = 0; i < to->after_count; i++) {
        if (to->after[i] == from) {
            memmove(&to->after[i], &to->after[i + 1], (to->after_count - i - 1) * sizeof(struct node *));
            to->after_count--;
            return CUDA_SUCCESS;
        }
    }
    return CUDA_ERROR_INVALID_VALUE;
}

static CUresult change_edges(CUgraph handle, const CUgraphNode *from, const CUgraphNode *to, size_t count,
                             bool add)
{
    const struct graph *graph = graph_of(handle);
    CUresult result = CUDA_SUCCESS;

    if (!graph || (count && (!from || !to)))
        return CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; i < count; i++)
        if (!node_of(from[i]) || !node_of(to[i]) || node_of(from[i])->graph != graph ||
            node_of(to[i])->graph != graph)
            return CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; i < count && result == CUDA_SUCCESS; i++)
        result =
            add ? add_edge(node_of(from[i]), node_of(to[i])) : remove_edge(node_of(from[i]), node_of(to[i]));
    return result;
}

CUresult sim_cuGraphAddDependencies(CUgraph graph, const CUgraphNode *from, const CUgraphNode *to,
                                    size_t count)
{
    sim_lock();
    return sim_leave(change_edges(graph, from, to, count, true));
}

CUresult sim_cuGraphAddDependencies_v2(CUgraph graph, const CUgraphNode *from, const CUgraphNode *to,
                                       const CUgraphEdgeData *edges, size_t count)
{
    return edges ? CUDA_ERROR_NOT_SUPPORTED : sim_cuGraphAddDependencies(graph, from, to, count);
}

CUresult sim_cuGraphRemoveDependencies(CUgraph graph, const CUgraphNode *from, const CUgraphNode *to,
                                       size_t count)
{
    sim_lock();
    return sim_leave(change_edges(graph, from, to, count, false));
}

CUresult sim_cuGraphRemoveDependencies_v2(CUgraph graph, const CUgraphNode *from, const CUgraphNode *to,
                                          const CUgraphEdgeData *edges, size_t count)
{
    return edges ? CUDA_ERROR_NOT_SUPPORTED : sim_cuGraphRemoveDependencies(graph, from, to, count);
}

CUresult sim_cuGraphDestroyNode(CUgraphNode handle)
{
    struct node *node;

    sim_lock();
    node = node_of(handle);
    if (!node)
        return sim_leave(CUDA_ERROR_INVALID_VALUE);
    if (graph_has_memory(node->graph))
        return sim_leave(CUDA_ERROR_NOT_SUPPORTED);
    graph_remove(node);
    return sim_leave(CUDA_SUCCESS);
}
