/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Executable graphs: the nodes of a graph in an order that obeys its edges, children flattened in. A
 * CUgraphExec is the address of one. A launch runs all nodes on the stream's thread, one after the other.
 */
#ifndef SIMGPU_EXEC_H
#define SIMGPU_EXEC_H

#include "op.h"
#include "work.h"

struct node;
struct event;
struct graph;

struct step {
    struct work work;
    const struct node *origin; /* node of the graph it was made from, for lookups only */
    struct event *records;     /* event record node, or NULL */
    struct event *waits;       /* event wait node, or NULL */
    unsigned *after;           /* owned: steps it follows directly */
    unsigned after_count;
    bool disabled;
};

struct exec {
    struct context *context;
    unsigned long long flags;
    struct step *steps;
    unsigned step_count;
    uint64_t
        *reach;    /* step_count rows of bits: which steps it is ordered after; NULL in a very large graph */
    unsigned refs; /* the handle's and those of launches */
};

/* Whether step b is ordered after step a. */
bool exec_ordered(const struct exec *exec, unsigned a, unsigned b);

/* Names the memory of all steps in a launch. */
CUresult exec_name(const struct exec *exec, struct op *op);

/* Runs a launch. Called without the lock. */
CUresult exec_run(const struct exec *exec, struct op *op);

/* An instance of the graph as it is now, with one reference. NULL when memory is out. */
struct exec *exec_create(const struct graph *graph, struct context *context, unsigned long long flags);

void exec_drop(struct exec *exec);

#endif
