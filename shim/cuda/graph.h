/* SPDX-License-Identifier: Apache-2.0 */
/*
 * graph.h - what an executable graph uses, those that live, and what the driver holds for their own memory.
 *
 * Shape    for each of its nodes what that names, read when it is instantiated or updated, and anew when the node is
 *          given other parameters; what is in a child or in the bodies of a conditional is told as the node that has
 *          them. A launch uses the union. Blocks of copy and set nodes stay on the device as long as the executable
 *          graph names them, since it remembers where they are; kernel nodes only need their blocks reachable at launch.
 * Owns     its nodes and their lists (malloc); one graph_uses belongs to one executable graph.
 * Threads  any for different graphs; like the driver's own one at a time for one graph, but that several may launch it at
 *          once.
 */
#ifndef EBB_GRAPH_H
#define EBB_GRAPH_H

#include <stdatomic.h>

#include "cuda/graph_names.h"
#include "cuda/pins.h"
#include "cuda/real.h"

/** Memory that nodes allocate. */
struct graph_memory {
    uint64_t bytes;
    uint32_t allocations[DEVICE_MAX]; /**< by whose memory it is */
    bool is_any;
};

struct graph_node {
    uint64_t key; /**< real_key of the node */
    struct graph_names names;
    struct pin *pin;
    uint32_t pin_count, pin_room;
    struct graph_memory memory;
};

enum {
    GRAPH_MERGED,
    GRAPH_CHANGED, /**< since then */
    GRAPH_MERGING, /**< by a thread that launches it */
};

struct graph_uses {
    struct graph_node **node;
    uint32_t node_count, node_room;
    uint32_t last;              /**< the node that was changed last: programs go through them in one order */
    struct graph_names merged;  /**< of all nodes, as of the last launch */
    atomic_uchar merging;       /**< GRAPH_… */
    struct graph_memory memory; /**< of all nodes, those of before a change among them */
};

/** Read a graph and pin what has to stay. NULL with `*out_error` -ENOMEM: refused, nothing is pinned. */
struct graph_uses *graph_read(CUgraph graph, int *out_error);
/** A node that names nothing yet, not in any graph; NULL without memory. */
struct graph_node *graph_node_make(CUgraphNode node);
/** Add what a node's parameters use, and pin what has to stay. 0 or -ENOMEM. */
int graph_add_kernel(struct graph_node *own, CUfunction function, void **kernel_params, void **extra);
int graph_add_copy(struct graph_node *own, const CUDA_MEMCPY3D *params);
int graph_add_set(struct graph_node *own, CUdeviceptr address);
int graph_add_operations(struct graph_node *own, const CUstreamBatchMemOpParams *list, unsigned count);
int graph_add_graph(struct graph_node *own, CUgraph graph);
int graph_add_params(struct graph_node *own, const CUgraphNodeParams *params);
/** graph_add_kernel by any of the driver's structures that name a function or a kernel. */
#define GRAPH_ADD_KERNEL(own, params)                                                                        \
    graph_add_kernel(own, (params)->func ? (params)->func : (CUfunction)(params)->kern,                      \
                     (params)->kernelParams, (params)->extra)
/** The driver answered `result`, which is returned, to the change of a node of an executable graph: `own` has what it names
 *  now, and goes in the place of what it named, or away. */
CUresult graph_node_changed(CUresult result, struct graph_uses *uses, struct graph_node *own);
/** Unpin and free. NULL is ignored. */
void graph_node_free(struct graph_node *own);
void graph_free(struct graph_uses *uses);

/** Note in `use` the device memory that a node's parameters name and a driver may look at. NULL names none. */
void graph_use_copy(struct use *use, const CUDA_MEMCPY3D *params);
void graph_use_set(struct use *use, const CUDA_MEMSET_NODE_PARAMS *params);
/** The same of memory operations, of a node or a stream. */
void graph_use_operations(struct use *use, const CUstreamBatchMemOpParams *list, unsigned count);
void graph_use_memop(struct use *use, const CUDA_BATCH_MEM_OP_NODE_PARAMS *params);
void graph_use_params(struct use *use, const CUgraphNodeParams *params);

/** A node was made; NULL is ignored. The bodies of a conditional one are known only here. */
void graph_note_node(const CUgraphNode *node, const CUgraphNodeParams *params);

/* ---- executable graphs ------------------------------------------------------------------------------------------ */

/** The uses of an executable graph; NULL: not known. */
struct graph_uses *graph_exec_uses(CUgraphExec graph);

/** The instantiation of a graph that uses these answered `result`, which is returned. Takes `uses`. Without memory for the
 *  record every block counts as used at launch, and the pins stay. */
CUresult graph_exec_made(CUresult result, const CUgraphExec *graph, struct graph_uses *uses);
/** The same of an update with a whole graph: on success in place of what was known. */
CUresult graph_exec_updated(CUresult result, CUgraphExec graph, struct graph_uses *uses);
/** Destroy it by the real function. */
CUresult graph_exec_destroy(__typeof__(cuGraphExecDestroy) *next, CUgraphExec graph);

/** Note in `use` what a launch uses; NULL: everything. */
void graph_exec_note(struct use *use, struct graph_uses *uses);
/** A launch or an upload answered `result`, which is returned. */
CUresult graph_exec_launched(CUresult result, const struct graph_uses *uses);

/** Charge what the driver holds for graphs. It takes that by itself, at instantiation or launch. */
void graph_exec_settle(void);

#endif
