/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every kind of memory that a CUDA program can hold, each made and given back through the driver's entries.
 *
 * Threads  any, with a current context of device 0 or 1. An object may be given back by another thread than its maker.
 */
#ifndef KINDS_H
#define KINDS_H

#include <cuda.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum kind {
    KIND_PLAIN,
    KIND_PITCH,
    KIND_MANAGED,
    KIND_ASYNC,
    KIND_POOL, /* a pool with allocations; destroyed before they are freed, or after */
    KIND_VMM,
    KIND_ARRAY,
    KIND_VOLUME,
    KIND_MIPMAP,
    KIND_GRAPH, /* a graph that allocates: launched; one allocation freed in it, one by the program */
    KIND_PINNED,
    KIND_REGISTERED,
    KIND_CONTEXT, /* a context with allocations that die with it */
    KIND_COUNT
};

enum {
    PARTS = 3
};

struct object {
    enum kind kind;
    CUcontext context; /* in which it was made */
    size_t bytes;
    CUdeviceptr address[PARTS];
    void *host;
    CUarray array;
    CUmipmappedArray mipmap;
    CUmemoryPool pool;
    CUgraph graph;
    CUgraphExec instance;
    CUcontext own;
    bool early; /* the handle was released, or the pool or graph is destroyed, before the rest */
};

/** A random number from a state that is not 0. */
uint64_t kinds_random(uint64_t *state);

/** False: refused; nothing is held. */
bool kinds_make(enum kind kind, uint64_t *random, CUcontext context, int ordinal, CUstream stream,
                struct object *out);
/** Calls that fail are made again. */
void kinds_give(struct object *object, CUstream stream);

#endif
