/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Node parameters as NVIDIA's generic structure has them, and back. All entries that name a node type go through
 * this.
 */
#ifndef SIMGPU_GRAPH_PARAMS_H
#define SIMGPU_GRAPH_PARAMS_H

#include "graph/graph.h"

/* What a node gets from its parameters. */
struct node_content {
    CUgraphNodeType type;
    struct work work;
    CUcontext context;
    struct event *event;
    struct graph *child; /* not cloned yet */
};

/*
 * Reads and checks parameters; operands of copies and sets must be memory that the context may touch now. The content
 * owns its work. CUDA_ERROR_NOT_SUPPORTED for node types that are not implemented. May drop the lock.
 */
CUresult params_read(const CUgraphNodeParams *params, struct node_content *content);

/* Whether the reserved bytes, and those past the member that the type names, are zero, as they must be. */
bool params_unused_are_zero(const CUgraphNodeParams *params);

/* Parameters of a node. Pointers in them live as long as the node and its parameters. */
CUresult params_write(struct node *node, CUgraphNodeParams *params);

#endif
