/* SPDX-License-Identifier: Apache-2.0 */
#include "stream/capture.h"

#include "device/context.h"
#include "graph/graph.h"
#include "memory/graph_memory.h"

#include <stdlib.h>

static struct capture *captures;

/* Whether the capture prohibits this thread from unsafe calls. */
static bool prohibits(const struct capture *capture)
{
    bool own = capture->thread == thread_id() && capture->mode != CU_STREAM_CAPTURE_MODE_RELAXED;

    if (thread.capture_mode == CU_STREAM_CAPTURE_MODE_RELAXED)
        return false;
    return own || (thread.capture_mode == CU_STREAM_CAPTURE_MODE_GLOBAL &&
                   capture->mode == CU_STREAM_CAPTURE_MODE_GLOBAL);
}

CUresult capture_forbid(void)
{
    CUresult result = CUDA_SUCCESS;

    for (struct capture *capture = captures; capture; capture = capture->next) {
        if (prohibits(capture)) {
            capture->invalid = true;
            result = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
        }
    }
    return result;
}

/* The legacy stream would wait for blocking streams of the context that capture. */
static CUresult admit_legacy(const struct stream *stream)
{
    CUresult result = CUDA_SUCCESS;

    for (struct stream *other = stream->context->streams; stream->legacy && other; other = other->next) {
        if (stream_blocks(other) && other->capture) {
            other->capture->invalid = true;
            result = CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
        }
    }
    return result;
}

CUresult capture_admit(struct stream *stream)
{
    if (stream->capture && stream->capture->invalid)
        return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    return admit_legacy(stream);
}

CUresult capture_admit_query(struct stream *stream)
{
    return stream->capture ? capture_refuse(stream->capture) : admit_legacy(stream);
}

CUresult capture_admit_wait(struct stream *stream, const struct event *event)
{
    CUresult result = capture_admit(stream);

    if (result != CUDA_SUCCESS)
        return result;
    if (event->capture && event->capture->invalid)
        return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    if (event->capture && stream->legacy)
        return capture_refuse(event->capture);
    if (event->capture && stream->capture && event->capture != stream->capture) {
        event->capture->invalid = true;
        stream->capture->invalid = true;
        return CUDA_ERROR_STREAM_CAPTURE_MERGE;
    }
    return CUDA_SUCCESS;
}

CUresult capture_refuse(struct capture *capture)
{
    capture->invalid = true;
    return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
}

CUresult capture_ask(struct capture *capture)
{
    capture->invalid = true;
    return CUDA_ERROR_CAPTURED_EVENT;
}

bool capture_in(const struct context *context)
{
    for (const struct stream *stream = context->streams; stream; stream = stream->next)
        if (stream->capture)
            return true;
    return false;
}

CUresult capture_break(const struct context *context)
{
    for (const struct stream *stream = context->streams; stream; stream = stream->next)
        if (stream->capture)
            stream->capture->invalid = true;
    return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
}

/* The stream's next node depends on these. Keeps a copy. */
static CUresult set_tail(struct stream *stream, struct node *const *nodes, size_t count)
{
    struct node **tail = malloc((count + 1) * sizeof(struct node *));

    if (!tail)
        return CUDA_ERROR_OUT_OF_MEMORY;
    for (size_t i = 0; i < count; i++)
        tail[i] = nodes[i];
    free(stream->tail);
    stream->tail = tail;
    stream->tail_count = count;
    return CUDA_SUCCESS;
}

/* Adds those that are not there yet. */
static CUresult join_tail(struct stream *stream, struct node *const *nodes, size_t count)
{
    struct node **tail = malloc((stream->tail_count + count + 1) * sizeof(struct node *));
    size_t joined = stream->tail_count;

    if (!tail)
        return CUDA_ERROR_OUT_OF_MEMORY;
    for (size_t i = 0; i < stream->tail_count; i++)
        tail[i] = stream->tail[i];
    for (size_t i = 0; i < count; i++) {
        size_t at = 0;

        while (at < joined && tail[at] != nodes[i])
            at++;
        if (at == joined)
            tail[joined++] = nodes[i];
    }
    free(stream->tail);
    stream->tail = tail;
    stream->tail_count = joined;
    return CUDA_SUCCESS;
}

static CUresult add_node(struct stream *stream, CUgraphNodeType type, struct work *work, struct event *event)
{
    struct node *node;
    CUresult result = graph_add(stream->capture->graph, type, work, stream->tail, stream->tail_count, &node);

    if (result == CUDA_SUCCESS) {
        node->event = event;
        node->context = (CUcontext)stream->context;
        result = set_tail(stream, &node, 1);
    }
    return result;
}

CUresult capture_add(struct stream *stream, struct work *work)
{
    static const CUgraphNodeType types[] = {
        [WORK_EMPTY] = CU_GRAPH_NODE_TYPE_EMPTY, [WORK_KERNEL] = CU_GRAPH_NODE_TYPE_KERNEL,
        [WORK_COPY] = CU_GRAPH_NODE_TYPE_MEMCPY, [WORK_SET] = CU_GRAPH_NODE_TYPE_MEMSET,
        [WORK_HOST] = CU_GRAPH_NODE_TYPE_HOST,   [WORK_MEMOP] = CU_GRAPH_NODE_TYPE_BATCH_MEM_OP,
    };

    if (work->kind == WORK_PREFETCH || work->kind == WORK_FREE || work->kind == WORK_GRAPH) {
        work_finish(work);
        return capture_refuse(stream->capture);
    }
    return add_node(stream, types[work->kind], work, NULL);
}

CUresult capture_memory(struct stream *stream, CUgraphNodeType type, struct graph_memory *memory)
{
    struct work work = {.kind = WORK_EMPTY};
    CUresult result = add_node(stream, type, &work, NULL);

    if (result == CUDA_SUCCESS)
        stream->tail[0]->memory = memory;
    else
        graph_memory_drop(memory);
    return result;
}

CUresult capture_record(struct stream *stream, struct event *event)
{
    struct node **nodes = malloc((stream->tail_count + 1) * sizeof(struct node *));

    if (!nodes)
        return CUDA_ERROR_OUT_OF_MEMORY;
    for (size_t i = 0; i < stream->tail_count; i++)
        nodes[i] = stream->tail[i];
    event_set(event, NULL);
    event->capture = stream->capture;
    event->nodes = nodes;
    event->node_count = stream->tail_count;
    return CUDA_SUCCESS;
}

CUresult capture_wait(struct stream *stream, struct event *event)
{
    if (!event->capture) {
        /* Work outside the capture cannot be depended on, unless there was none. */
        if (!event->point)
            return CUDA_SUCCESS;
        stream->capture->invalid = true;
        return CUDA_ERROR_STREAM_CAPTURE_ISOLATION;
    }
    if (stream->capture)
        return join_tail(stream, event->nodes, event->node_count);
    stream->capture = event->capture;
    return set_tail(stream, event->nodes, event->node_count);
}

CUresult capture_record_node(struct stream *stream, struct event *event)
{
    struct work work = {.kind = WORK_EMPTY};

    return add_node(stream, CU_GRAPH_NODE_TYPE_EVENT_RECORD, &work, event);
}

CUresult capture_wait_node(struct stream *stream, struct event *event)
{
    struct work work = {.kind = WORK_EMPTY};

    if (!stream->capture)
        return CUDA_ERROR_INVALID_VALUE;
    return add_node(stream, CU_GRAPH_NODE_TYPE_WAIT_EVENT, &work, event);
}

static void leave(struct stream *stream)
{
    free(stream->tail);
    stream->tail = NULL;
    stream->tail_count = 0;
    stream->capture = NULL;
}

static void leave_all(const struct capture *capture)
{
    for (const struct context *context = contexts; context; context = context->next)
        for (struct stream *stream = context->streams; stream; stream = stream->next)
            if (stream->capture == capture)
                leave(stream);
}

void capture_end(struct capture *capture, bool keep_graph)
{
    struct capture **link = &captures;

    leave_all(capture);
    event_forget(capture);
    while (*link != capture)
        link = &(*link)->next;
    *link = capture->next;
    if (capture->owns_graph && !keep_graph)
        graph_destroy(capture->graph);
    free(capture);
}

void capture_leave(struct stream *stream)
{
    struct capture *capture = stream->capture;

    if (!capture)
        return;
    capture->invalid = true;
    leave(stream);
    if (capture->origin == stream)
        capture_end(capture, false);
}

static void mark(struct node *node)
{
    if (node->mark)
        return;
    node->mark = 1;
    for (size_t i = 0; i < node->after_count; i++)
        mark(node->after[i]);
}

bool capture_joined(const struct capture *capture)
{
    bool joined = true;

    for (size_t i = 0; i < capture->graph->count; i++)
        capture->graph->nodes[i]->mark = 0;
    for (size_t i = 0; i < capture->origin->tail_count; i++)
        mark(capture->origin->tail[i]);
    for (const struct context *context = contexts; context; context = context->next)
        for (const struct stream *stream = context->streams; stream; stream = stream->next)
            for (size_t i = 0; stream->capture == capture && i < stream->tail_count; i++)
                joined &= stream->tail[i]->mark;
    return joined;
}

CUresult capture_set_tail(struct stream *stream, struct node *const *nodes, size_t count, bool join)
{
    return join ? join_tail(stream, nodes, count) : set_tail(stream, nodes, count);
}

CUresult capture_begin(CUstream handle, struct graph *graph, struct node *const *after, size_t count,
                       CUstreamCaptureMode mode)
{
    static uint64_t last_id;
    struct capture *capture;
    struct stream *stream;
    CUresult result = stream_of(handle, &stream);

    if (result != CUDA_SUCCESS)
        return result;
    if ((unsigned)mode > CU_STREAM_CAPTURE_MODE_RELAXED)
        return CUDA_ERROR_INVALID_VALUE;
    if (stream->legacy)
        return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    if (stream->capture)
        return CUDA_ERROR_ILLEGAL_STATE;
    capture = calloc(1, sizeof *capture);
    if (!capture)
        return CUDA_ERROR_OUT_OF_MEMORY;
    capture->owns_graph = !graph;
    capture->graph = graph ? graph : graph_create();
    result = capture->graph ? set_tail(stream, after, count) : CUDA_ERROR_OUT_OF_MEMORY;
    if (result != CUDA_SUCCESS) {
        if (capture->owns_graph && capture->graph)
            graph_destroy(capture->graph);
        free(capture);
        return result;
    }
    capture->id = ++last_id;
    capture->origin = stream;
    capture->mode = mode;
    capture->thread = thread_id();
    capture->next = captures;
    captures = capture;
    stream->capture = capture;
    return CUDA_SUCCESS;
}
