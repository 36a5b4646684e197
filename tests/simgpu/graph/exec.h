/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Executable graphs: the nodes of a graph in an order that obeys its edges, children flattened in. A
 * CUgraphExec is the address of one. A launch runs all nodes on the stream's thread, one after the other.
 */
#ifndef SIMGPU_EXEC_H
#define SIMGPU_EXEC_H

#include "graph/condition.h"
#include "graph/user_object.h"
#include "stream/op.h"
#include "stream/work.h"

struct node;
struct event;
struct graph;
struct graph_memory;

/* Which memory a copy or set works on: a device's ordinal, DEVICE_HOST, or PLACEMENT_NONE where there is no operand. */
enum {
    PLACEMENT_NONE = -2
};
struct placement {
    int to, from;
};

/* Of a conditional node: its bodies are the steps before it, one after the other. */
struct choice {
    struct condition *condition; /* one reference */
    CUgraphConditionalNodeType type;
    unsigned count;
    unsigned bounds[]; /* count + 1: where each body begins, and the last one ends */
};

enum {
    STEP_NONE = -1
};

struct step {
    struct work work;
    CUgraphNodeType type;
    struct placement placement;  /* at instantiation */
    const struct node *origin;   /* node of the graph it was made from, for lookups only */
    struct event *records;       /* event record node, or NULL */
    struct event *waits;         /* event wait node, or NULL */
    struct graph_memory *memory; /* one reference: allocation and free */
    struct holdings objects;     /* of a child graph */
    struct choice *choice;       /* owned: conditional node */
    int chosen_by;               /* the conditional node in whose body it is, or STEP_NONE */
    unsigned *after;             /* owned: steps it follows directly */
    unsigned after_count;
    bool disabled;
};

struct exec {
    struct step *steps;
    unsigned step_count;
    uint64_t *reach; /* step_count rows of bits: what it is ordered after; NULL in a very large graph */
    unsigned refs;   /* the handle's and those of launches, which streams remember when they are complete */
    unsigned
        users; /* those of them for whom objects are held: the handle, and launches that are not complete */
    struct holdings objects; /* of the graph itself */
};

/* Whether step b is ordered after step a. */
bool exec_ordered(const struct exec *exec, unsigned a, unsigned b);

/* Names the memory of all steps in a launch. */
CUresult exec_name(const struct exec *exec, struct op *op);

/* Runs a launch. Called without the lock. */
CUresult exec_run(const struct exec *exec, struct op *op);

/* An instance of the graph as it is now, with one reference. NULL when memory is out. */
struct exec *exec_create(const struct graph *graph);

/* A deep copy with one reference. NULL when memory is out. */
struct exec *exec_copy(const struct exec *exec);

/* The step that a node of the graph became. */
bool exec_find(const struct exec *exec, CUgraphNode node, unsigned *index);

/*
 * Whether the steps from first on could take over the work of the other's steps: the same types, the same memory for
 * copies, and, if edges count, the same edges. Says in info (may be NULL) what differs.
 */
bool exec_matches(const struct exec *exec, unsigned first, const struct exec *other, bool edges,
                  CUgraphExecUpdateResultInfo *info);

/* Trades the work of the steps from first on, and what child graphs hold, with the other's. */
void exec_swap(struct exec *exec, unsigned first, struct exec *other);

/* Where the operands of a copy or set are now. */
struct placement placement_of(const struct work *work);

/* Counts a hazard for each copy or set whose memory has moved between a device and the host since instantiation. */
void exec_judge_placement(const struct exec *exec);

void exec_drop(struct exec *exec);

/* One user less; before its exec_drop. */
void exec_leave(struct exec *exec);

#endif
