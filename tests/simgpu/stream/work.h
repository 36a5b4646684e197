/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A piece of work: what a stream operation or a graph node does, without when. Plain data plus owned buffers;
 * it can be copied, named (which memory it uses) and run.
 */
#ifndef SIMGPU_WORK_H
#define SIMGPU_WORK_H

#include "driver/sim.h"
#include "memory/memory.h"

enum work_kind {
    WORK_EMPTY, /* an order point: event records, waits, empty nodes */
    WORK_KERNEL,
    WORK_COPY,
    WORK_SET,
    WORK_MEMOP,
    WORK_HOST,
    WORK_PREFETCH, /* of managed memory */
    WORK_FREE,     /* of what a stream frees, be it of a pool or not */
    WORK_EVENT,    /* a record of an event of several processes, or a wait for one */
    WORK_GRAPH
};

struct function;
struct exec;

struct kernel_work {
    struct function *function;
    unsigned grid[3], block[3];
    unsigned shared_bytes;
    bool is_cooperative;   /* its blocks may wait for each other */
    void *stream;          /* as the program named it */
    unsigned char *buffer; /* owned: the parameters at their offsets */
    size_t buffer_bytes;
};

/* depth slices of height rows of width bytes; strides in bytes. */
struct plane {
    uintptr_t base;
    size_t pitch, slice;
    const struct device *device; /* of the context that the call names for this side; NULL: of the stream */
    bool host;                   /* touched by the CPU: an ordinary or pinned host pointer */
};

struct copy_work {
    struct plane to, from;
    size_t width, height, depth;
    void *staged; /* owned: copy of a pageable source, or NULL */
};

struct set_work {
    uintptr_t to;
    size_t pitch;     /* bytes; used when height > 1 */
    unsigned element; /* bytes: 1, 2, 4 */
    uint32_t value;
    size_t width; /* elements */
    size_t height;
};

struct memop_work {
    CUstreamBatchMemOpParams *list; /* owned */
    unsigned count;
};

struct host_work {
    CUhostFn function; /* one of these two */
    CUstreamCallback callback;
    CUstream stream;
    void *data;
};

struct shared_event;

struct event_work {
    struct shared_event *event; /* one reference */
    uint32_t number;
    bool is_wait;
};

struct prefetch_work {
    uintptr_t start;
    size_t bytes;
    int processor; /* a device's ordinal, or DEVICE_HOST */
};

struct work {
    enum work_kind kind;
    union {
        struct kernel_work kernel;
        struct copy_work copy;
        struct set_work set;
        struct memop_work memop;
        struct host_work host;
        struct prefetch_work prefetch;
        struct event_work event;
        struct memory *freed;
        struct exec *exec; /* one reference */
    };
};

/* Deep copy; false when memory is out. Kinds PREFETCH, FREE, EVENT and GRAPH cannot be copied. */
bool work_copy(const struct work *from, struct work *to);

/* Releases what it owns. */
void work_finish(struct work *work);

/* The part of a graph launch with that number; the work itself if it is none. */
const struct work *work_node(const struct work *work, unsigned node);

/* What to call it in a message. */
const char *work_label(const struct work *work);

/* Bytes from the first to the last byte that a copy's plane or a set covers. */
size_t plane_span(const struct plane *plane, size_t width, size_t height, size_t depth);
size_t set_span(const struct set_work *set);

/* Appends to the operation what the work names in memory; node tells which part of a graph launch it is. */
CUresult work_name(const struct work *work, struct op *op, unsigned node);

/* Does it, on the calling thread, without the lock. CUDA_ERROR_ILLEGAL_ADDRESS if it touched what it must
 * not. */
CUresult work_run(const struct work *work, struct op *op);

#endif
