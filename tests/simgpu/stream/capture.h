/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stream capture. A capture begins at its origin stream and spreads to streams that wait for events recorded
 * in it. What is submitted to a capturing stream becomes a node. A prohibited call invalidates it; then only
 * ending it is possible.
 *
 * Which calls are "potentially unsafe" NVIDIA does not list. Here they are all calls that allocate, free,
 * map, unmap or change access, load modules, and synchronous copies: a model choice, to be confirmed on
 * hardware.
 */
#ifndef SIMGPU_CAPTURE_H
#define SIMGPU_CAPTURE_H

#include "stream/event.h"
#include "stream/stream.h"

struct graph;
struct graph_memory;

struct capture {
    struct capture *next;
    uint64_t id;
    struct graph *graph;
    bool owns_graph; /* false: cuStreamBeginCaptureToGraph */
    struct stream *origin;
    CUstreamCaptureMode mode;
    uint64_t thread; /* that began it */
    bool invalid;
};

/* For a potentially unsafe call of this thread: CUDA_SUCCESS, or STREAM_CAPTURE_UNSUPPORTED with the captures
 * that prohibit it invalidated. */
CUresult capture_forbid(void);

/* For work submitted to the stream: CUDA_SUCCESS; STREAM_CAPTURE_INVALIDATED; STREAM_CAPTURE_IMPLICIT for the
 * legacy stream beside a capture that it would wait for. */
CUresult capture_admit(struct stream *stream);

/* For a call that asks a stream how far it is. */
CUresult capture_admit_query(struct stream *stream);

/* For a wait of the stream for the event; also STREAM_CAPTURE_MERGE and STREAM_CAPTURE_ISOLATION. */
CUresult capture_admit_wait(struct stream *stream, const struct event *event);

/* What cannot be captured: invalidates; CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED. */
CUresult capture_refuse(struct capture *capture);

/* A captured event was asked for its state: invalidates; CUDA_ERROR_CAPTURED_EVENT. */
CUresult capture_ask(struct capture *capture);

/* Whether a stream of the context captures; and the answer to a call that must not meet that. */
bool capture_in(const struct context *context);
CUresult capture_break(const struct context *context);

/* Adds work (taken over), an event record or an event wait to a capturing stream. */
CUresult capture_add(struct stream *stream, struct work *work);
CUresult capture_record(struct stream *stream, struct event *event);
CUresult capture_wait(struct stream *stream, struct event *event);
CUresult capture_record_node(struct stream *stream, struct event *event);
CUresult capture_wait_node(struct stream *stream, struct event *event);

/* Adds the allocation or the free of a graph's memory, whose reference is taken over, also on failure. */
CUresult capture_memory(struct stream *stream, CUgraphNodeType type, struct graph_memory *memory);

/* Begins one, into a graph of its own (NULL) or given. */
CUresult capture_begin(CUstream handle, struct graph *graph, struct node *const *after, size_t count,
                       CUstreamCaptureMode mode);

/* Whether everything captured leads back to the origin. */
bool capture_joined(const struct capture *capture);

/* Ends it for all its streams and events. Its own graph is destroyed unless it is kept. */
void capture_end(struct capture *capture, bool keep_graph);

/* Sets, or adds to, what the stream's next node depends on. */
CUresult capture_set_tail(struct stream *stream, struct node *const *nodes, size_t count, bool join);

/* The stream goes away: its capture becomes invalid, or ends if it was the origin. */
void capture_leave(struct stream *stream);

#endif
