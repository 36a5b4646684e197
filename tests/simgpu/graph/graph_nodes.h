/* SPDX-License-Identifier: Apache-2.0 */
/* Adding and changing nodes through the generic structure, which every entry for one type of node fills. */
#ifndef SIMGPU_GRAPH_NODES_H
#define SIMGPU_GRAPH_NODES_H

#include "graph/graph_params.h"

/* All are called without the lock. CUDA_ERROR_INVALID_VALUE for a node of another type, and what params_read says. */
CUresult node_add(CUgraphNode *created, CUgraph graph, const CUgraphNode *after, size_t count,
                  CUgraphNodeParams params);
CUresult node_get(CUgraphNode node, CUgraphNodeType type, CUgraphNodeParams *params);
CUresult node_set(CUgraphNode node, CUgraphNodeParams params);

#endif
