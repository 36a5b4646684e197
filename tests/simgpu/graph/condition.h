/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conditions of graphs: words that kernels set, and by which conditional nodes choose what of their bodies runs. A
 * CUgraphConditionalHandle is the address of one; it is its graph's, and lives as long as that or an instance of it.
 */
#ifndef SIMGPU_CONDITION_H
#define SIMGPU_CONDITION_H

#include "driver/sim.h"

struct condition;
struct graph;

/* What a conditional node chooses from. */
struct branch {
    struct condition *condition; /* one reference */
    CUgraphConditionalNodeType type;
    unsigned count;
    struct graph *bodies[]; /* owned */
};

enum {
    BRANCH_NONE = -1
};

/* A branch by the node's parameters, with empty bodies. CUDA_ERROR_INVALID_VALUE for a condition that is another graph's or
 * another node's, or a number of bodies that the type has not; OUT_OF_MEMORY. */
CUresult branch_create(const struct graph *graph, const CUDA_CONDITIONAL_NODE_PARAMS *params,
                       struct branch **created);
void branch_destroy(struct branch *branch);

/* What a launch begins with. */
void condition_begin(struct condition *condition);

/* The body that runs now, BRANCH_NONE: none (any more). */
int condition_choose(const struct condition *condition, CUgraphConditionalNodeType type, unsigned count);

void condition_hold(struct condition *condition);
void condition_drop(struct condition *condition);

/* Gives up those of a graph that ends. */
void conditions_clear(struct graph *graph);

/* What kernels set it by. Called without the lock; a handle that is none changes nothing. */
void condition_set(uint64_t handle, unsigned value);

#endif
