/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Graphs. A CUgraph and a CUgraphNode are the addresses of these. Edges carry no data: a dependency is
 * complete when the node is.
 */
#ifndef SIMGPU_GRAPH_H
#define SIMGPU_GRAPH_H

#include "graph/condition.h"
#include "graph/user_object.h"
#include "stream/work.h"

struct event;
struct graph_memory;

struct node {
    struct graph *graph;
    CUgraphNodeType type;
    struct work work;            /* kernel, memcpy, memset, host */
    CUcontext context;           /* as given with copies and sets */
    struct graph *child;         /* owned: child graph */
    struct branch *branch;       /* owned: conditional */
    struct event *event;         /* event record and wait */
    struct graph_memory *memory; /* one reference: allocation and free */
    void **params;               /* owned: what cuGraphKernelNodeGetParams has given out, or NULL */
    struct node **after;         /* the nodes it depends on */
    size_t after_count;
    struct node *original; /* of a clone */
    unsigned mark;         /* for walks */
};

struct graph {
    struct node **nodes; /* in order of creation */
    size_t count, room;
    bool is_child;
    struct holdings objects;
    struct condition *conditions; /* each with one reference */
};

/* Adds a node; takes the work over, also on failure. CUDA_ERROR_INVALID_VALUE for a bad dependency,
 * OUT_OF_MEMORY. */
CUresult graph_add(struct graph *graph, CUgraphNodeType type, struct work *work, struct node *const *after,
                   size_t count, struct node **created);

/* Takes a node and its edges out. */
void graph_remove(struct node *node);

struct graph *graph_create(void);
void graph_destroy(struct graph *graph);

/* A deep copy, or NULL. Not of a graph with memory of its own, or with conditional nodes. */
struct graph *graph_clone(const struct graph *graph);

/* Whether a node of it, or of its children, is a conditional one. */
bool graph_has_branches(const struct graph *graph);

#endif
