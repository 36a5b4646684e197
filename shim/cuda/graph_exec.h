/* SPDX-License-Identifier: Apache-2.0 */
/*
 * graph_exec.h - the executable graphs that live, with what each uses, and what the driver holds for their own memory.
 *
 * Threads  any for different graphs; like the driver's own one at a time for one graph.
 */
#ifndef EBB_GRAPH_EXEC_H
#define EBB_GRAPH_EXEC_H

#include "cuda/graph.h"

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
void graph_exec_note(struct use *use, const struct graph_uses *uses);
/** A launch or an upload answered `result`, which is returned. */
CUresult graph_exec_launched(CUresult result, const struct graph_uses *uses);

/** Charge what the driver holds for graphs. It takes that by itself, at instantiation or launch. */
void graph_exec_settle(void);

#endif
