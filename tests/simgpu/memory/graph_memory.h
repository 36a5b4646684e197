/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that graphs allocate. An allocation node has its address from the start; physical memory is put there when an
 * executable graph is first uploaded or launched, and stays until a trim finds it unused: one extent per allocation,
 * never shared between two. What no graph and no program holds any longer waits on its device for the next of its size,
 * or a trim. An access outside the allocation's life is noticed only while nothing is there.
 */
#ifndef SIMGPU_GRAPH_MEMORY_H
#define SIMGPU_GRAPH_MEMORY_H

#include "memory/memory.h"

struct exec;
struct graph;
struct graph_memory;
struct op;

/* An allocation that has its address, with one reference for the caller. The parameters have been checked. */
CUresult graph_memory_create(const CUDA_MEM_ALLOC_NODE_PARAMS *params, struct graph_memory **created);

/* What it was made of, without the grants, and its address. */
const CUDA_MEM_ALLOC_NODE_PARAMS *graph_memory_params(const struct graph_memory *memory);

/* Held by nodes, executable graphs, and while the program may use the allocation. */
void graph_memory_hold(struct graph_memory *memory);
void graph_memory_drop(struct graph_memory *memory);

/* Whether there is a node that allocates or frees. */
bool graph_has_memory(const struct graph *graph);

/* Whether it has a node that frees this. */
bool graph_frees(const struct graph *graph, const struct graph_memory *memory);

/* A graph with allocations has one executable graph at a time: INVALID_VALUE for the second. */
CUresult graph_memory_instantiate(const struct graph *graph);
void graph_memory_admit(const struct exec *exec);
void graph_memory_retire(const struct exec *exec);

/* Physical memory for all allocations. CUDA_ERROR_OUT_OF_MEMORY: some may have theirs now. */
CUresult graph_memory_back(const struct exec *exec);

/* Whether it may be launched: INVALID_VALUE for an allocation that lives (unless the launch frees it first) and for the
 * free of one that does not. */
CUresult graph_memory_check(const struct exec *exec, bool frees_first);

/* What the launch makes of the allocations. */
void graph_memory_launched(const struct exec *exec, struct op *op);

/* The program frees one that lives. begin: INVALID_VALUE for others; end: nothing before the free is under way. */
CUresult graph_memory_free_begin(struct memory *memory);
void graph_memory_free_end(struct memory *memory);

/* Gives back what neither the program nor a launch uses. */
void graph_memory_trim(const struct device *device);

/* Used: what lies at allocations; reserved: that, and what waits. INVALID_VALUE. */
CUresult graph_memory_bytes(const struct device *device, CUgraphMem_attribute attribute, cuuint64_t *bytes);

/* Sets a highest value back to what it is now. INVALID_VALUE for any other. */
CUresult graph_memory_forget(const struct device *device, CUgraphMem_attribute attribute);

/* Allocations that live. */
size_t graph_memory_count(void);

#endif
