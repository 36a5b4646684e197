/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams. A CUstream is the address of one, or one of NULL, CU_STREAM_LEGACY and CU_STREAM_PER_THREAD, which
 * stand for the default streams of the current context. A stream's thread starts with its first operation
 * that does something asynchronously, and is joined by nobody: it ends after the stream is destroyed and
 * empty.
 */
#ifndef SIMGPU_STREAM_H
#define SIMGPU_STREAM_H

#include "driver/sim.h"
#include "stream/op.h"

struct capture;
struct node;

struct stream {
    struct stream *next; /* of the context */
    struct context *context;
    pthread_cond_t wake;
    struct op *first, *last; /* the queue; last keeps the latest operation after it is complete too */
    bool busy;               /* first is running */
    bool has_thread;
    bool destroyed;
    bool legacy;    /* the legacy default stream */
    bool hidden;    /* the driver's own; no program sees it */
    unsigned flags; /* CU_STREAM_NON_BLOCKING */
    int priority;
    uint64_t id;
    uint64_t thread; /* per-thread default stream: whose; else 0 */
    unsigned slot;
    uint64_t slot_number;    /* of the last operation */
    struct capture *capture; /* NULL: not capturing */
    struct node **tail;      /* capturing: what the next node depends on */
    size_t tail_count;
    struct stream *kicked_next;
    bool kicked;
};

/* The stream that a handle means, created if it is a default one. CUDA_ERROR_INVALID_HANDLE, INVALID_CONTEXT,
 * the sticky error of its context, CONTEXT_IS_DESTROYED. */
CUresult stream_of(CUstream handle, struct stream **stream);

/* The same for calls that cannot be captured and must not disturb a capture. */
CUresult stream_create(struct context *context, unsigned flags, int priority, struct stream **stream);

/* The hidden stream of a context for cuCtxRecordEvent. NULL when memory is out. */
struct stream *stream_marker(struct context *context);

/* Ends the per-thread default streams of a thread that has ended. */
void stream_end_thread(uint64_t number);

/* Ends it; queued operations still run. */
void stream_destroy(struct stream *stream);

/* Whether it takes part in the legacy stream's order. */
bool stream_blocks(const struct stream *stream);

/* Makes the operation wait for what the legacy default stream's rules say. */
CUresult stream_order(struct op *op);

/* Starts what can start there now: completes order points, wakes the thread. */
void stream_kick(struct stream *stream);

#endif
