/* SPDX-License-Identifier: Apache-2.0 */
/* The entries of stream capture. */
#include "stream/capture.h"

#include "device/context.h"
#include "driver/handle.h"
#include "graph/graph.h"

#include <string.h>

CUresult sim_cuStreamBeginCapture_v2(CUstream stream, CUstreamCaptureMode mode)
{
    sim_lock();
    return sim_leave(capture_begin(stream, NULL, NULL, 0, mode));
}

CUresult sim_cuStreamBeginCapture(CUstream stream)
{
    return sim_cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL);
}

static bool is_of(const struct graph *graph, CUgraphNode const *nodes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!handle_is(nodes[i], HANDLE_NODE) || ((struct node *)nodes[i])->graph != graph)
            return false;
    return true;
}

CUresult sim_cuStreamBeginCaptureToGraph(CUstream stream, CUgraph handle, const CUgraphNode *after,
                                         const CUgraphEdgeData *edges, size_t count, CUstreamCaptureMode mode)
{
    struct graph *graph = (struct graph *)handle;

    sim_lock();
    if (!handle_is(graph, HANDLE_GRAPH) || (count && !after) || !is_of(graph, after, count))
        return sim_leave(CUDA_ERROR_INVALID_VALUE);
    if (edges)
        return sim_leave(CUDA_ERROR_NOT_SUPPORTED);
    return sim_leave(capture_begin(stream, graph, (struct node *const *)after, count, mode));
}

CUresult sim_cuStreamEndCapture(CUstream handle, CUgraph *graph)
{
    struct capture *capture;
    struct stream *stream;
    CUresult result;

    if (!graph)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    result = stream_of(handle, &stream);
    if (result != CUDA_SUCCESS)
        return sim_leave(result);
    capture = stream->capture;
    if (!capture)
        return sim_leave(CUDA_ERROR_ILLEGAL_STATE);
    if (capture->origin != stream)
        return sim_leave(CUDA_ERROR_STREAM_CAPTURE_UNMATCHED);
    if (capture->mode != CU_STREAM_CAPTURE_MODE_RELAXED && capture->thread != thread_id())
        return sim_leave(CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD);
    if (capture->invalid)
        result = CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    else if (!capture_joined(capture))
        result = CUDA_ERROR_STREAM_CAPTURE_UNJOINED;
    *graph = result == CUDA_SUCCESS ? (CUgraph)capture->graph : NULL;
    capture_end(capture, result == CUDA_SUCCESS);
    return sim_leave(result);
}

/* The legacy stream beside a blocking stream that captures: an error, but it disturbs nothing. */
static CUresult ask(CUstream handle, struct stream **found)
{
    CUresult result = stream_of(handle, found);

    if (result != CUDA_SUCCESS || !(*found)->legacy)
        return result;
    for (const struct stream *other = (*found)->context->streams; other; other = other->next)
        if (stream_blocks(other) && other->capture)
            return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
    return CUDA_SUCCESS;
}

static CUstreamCaptureStatus status_of(const struct stream *stream)
{
    if (!stream->capture)
        return CU_STREAM_CAPTURE_STATUS_NONE;
    return stream->capture->invalid ? CU_STREAM_CAPTURE_STATUS_INVALIDATED : CU_STREAM_CAPTURE_STATUS_ACTIVE;
}

CUresult sim_cuStreamIsCapturing(CUstream handle, CUstreamCaptureStatus *status)
{
    struct stream *stream;
    CUresult result;

    if (!status)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    result = ask(handle, &stream);
    if (result == CUDA_SUCCESS)
        *status = status_of(stream);
    return sim_leave(result);
}

CUresult sim_cuStreamGetCaptureInfo_v3(CUstream handle, CUstreamCaptureStatus *status, cuuint64_t *id,
                                       CUgraph *graph, const CUgraphNode **after,
                                       const CUgraphEdgeData **edges, size_t *count)
{
    struct stream *stream;
    CUresult result;

    if (!status)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    result = ask(handle, &stream);
    if (result != CUDA_SUCCESS)
        return sim_leave(result);
    *status = status_of(stream);
    if (*status != CU_STREAM_CAPTURE_STATUS_ACTIVE)
        return sim_leave(CUDA_SUCCESS);
    if (id)
        *id = stream->capture->id;
    if (graph)
        *graph = (CUgraph)stream->capture->graph;
    if (after)
        *after = (const CUgraphNode *)stream->tail;
    if (edges)
        *edges = NULL;
    if (count)
        *count = stream->tail_count;
    return sim_leave(CUDA_SUCCESS);
}

CUresult sim_cuStreamGetCaptureInfo_v2(CUstream stream, CUstreamCaptureStatus *status, cuuint64_t *id,
                                       CUgraph *graph, const CUgraphNode **after, size_t *count)
{
    return sim_cuStreamGetCaptureInfo_v3(stream, status, id, graph, after, NULL, count);
}

CUresult sim_cuStreamGetCaptureInfo(CUstream stream, CUstreamCaptureStatus *status, cuuint64_t *id)
{
    return sim_cuStreamGetCaptureInfo_v3(stream, status, id, NULL, NULL, NULL, NULL);
}

CUresult sim_cuStreamUpdateCaptureDependencies(CUstream handle, CUgraphNode *nodes, size_t count,
                                               unsigned flags)
{
    struct stream *stream;
    CUresult result;

    if ((count && !nodes) || flags > CU_STREAM_SET_CAPTURE_DEPENDENCIES)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    result = stream_of(handle, &stream);
    if (result != CUDA_SUCCESS)
        return sim_leave(result);
    if (!stream->capture || stream->capture->invalid)
        return sim_leave(stream->capture ? CUDA_ERROR_STREAM_CAPTURE_INVALIDATED : CUDA_ERROR_ILLEGAL_STATE);
    if (!is_of(stream->capture->graph, nodes, count))
        return sim_leave(CUDA_ERROR_INVALID_VALUE);
    return sim_leave(capture_set_tail(stream, (struct node *const *)nodes, count,
                                      flags == CU_STREAM_ADD_CAPTURE_DEPENDENCIES));
}

CUresult sim_cuStreamUpdateCaptureDependencies_v2(CUstream stream, CUgraphNode *nodes,
                                                  const CUgraphEdgeData *edges, size_t count, unsigned flags)
{
    return edges ? CUDA_ERROR_NOT_SUPPORTED
                 : sim_cuStreamUpdateCaptureDependencies(stream, nodes, count, flags);
}

CUresult sim_cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode *mode)
{
    CUstreamCaptureMode before = (CUstreamCaptureMode)thread.capture_mode;

    if (!mode || (unsigned)*mode > CU_STREAM_CAPTURE_MODE_RELAXED)
        return CUDA_ERROR_INVALID_VALUE;
    thread.capture_mode = *mode;
    *mode = before;
    return CUDA_SUCCESS;
}
