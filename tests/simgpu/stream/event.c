/* SPDX-License-Identifier: Apache-2.0 */
#include "stream/event.h"

#include "device/context.h"
#include "driver/handle.h"
#include "stream/capture.h"
#include "stream/submit.h"

#include <stdlib.h>

static struct event *events;

struct event *event_of(CUevent handle)
{
    return handle_is(handle, HANDLE_EVENT) ? (struct event *)handle : NULL;
}

static void uncapture(struct event *event)
{
    free(event->nodes);
    event->nodes = NULL;
    event->node_count = 0;
    event->capture = NULL;
}

void event_set(struct event *event, struct op *point)
{
    if (event->point)
        op_drop(event->point);
    event->point = point;
    uncapture(event);
}

void event_forget(const struct capture *capture)
{
    for (struct event *event = events; event; event = event->next)
        if (event->capture == capture)
            uncapture(event);
}

static void event_free(struct event *event)
{
    struct event **link = &events;

    while (*link != event)
        link = &(*link)->next;
    *link = event->next;
    event_set(event, NULL);
    handle_remove(event);
    free(event);
}

void event_clear(struct context *context)
{
    for (struct event *event = events, *next; event; event = next) {
        next = event->next;
        if (event->context == context)
            event_free(event);
    }
}

CUresult sim_cuEventCreate(CUevent *created, unsigned flags)
{
    const unsigned known = CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING | CU_EVENT_INTERPROCESS;
    struct event *event;

    if (!created || flags & ~known || (flags & CU_EVENT_INTERPROCESS && !(flags & CU_EVENT_DISABLE_TIMING)))
        return CUDA_ERROR_INVALID_VALUE;
    if (flags & CU_EVENT_INTERPROCESS)
        return CUDA_ERROR_NOT_SUPPORTED;
    event = calloc(1, sizeof *event);
    sim_lock();
    if (!event || !handle_add(event, HANDLE_EVENT)) {
        free(event);
        return sim_leave(CUDA_ERROR_OUT_OF_MEMORY);
    }
    event->context = context_current();
    event->flags = flags;
    event->next = events;
    events = event;
    *created = (CUevent)event;
    return sim_leave(CUDA_SUCCESS);
}

CUresult sim_cuEventDestroy_v2(CUevent handle)
{
    struct event *event;

    sim_lock();
    event = event_of(handle);
    if (!event)
        return sim_leave(CUDA_ERROR_INVALID_HANDLE);
    event_free(event);
    return sim_leave(CUDA_SUCCESS);
}

static CUresult record(struct event *event, struct stream *stream)
{
    CUresult result = capture_admit(stream);
    struct op *point;

    if (result == CUDA_SUCCESS && stream->context != event->context)
        result = CUDA_ERROR_INVALID_HANDLE;
    if (result != CUDA_SUCCESS)
        return result;
    if (stream->capture)
        return capture_record(stream, event);
    result = submit_point(stream, NULL, &point);
    if (result == CUDA_SUCCESS)
        event_set(event, point);
    return result;
}

CUresult sim_cuEventRecordWithFlags(CUevent handle, CUstream stream_handle, unsigned flags)
{
    struct stream *stream;
    struct event *event;
    CUresult result;

    if (flags & ~(unsigned)CU_EVENT_RECORD_EXTERNAL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    event = event_of(handle);
    result = event ? stream_of(stream_handle, &stream) : CUDA_ERROR_INVALID_HANDLE;
    if (result != CUDA_SUCCESS)
        return sim_leave(result);
    if (flags & CU_EVENT_RECORD_EXTERNAL && stream->capture)
        return sim_leave(capture_record_node(stream, event));
    return sim_leave(record(event, stream));
}

CUresult sim_cuEventRecord(CUevent event, CUstream stream)
{
    return sim_cuEventRecordWithFlags(event, stream, CU_EVENT_RECORD_DEFAULT);
}

CUresult sim_cuEventQuery(CUevent handle)
{
    struct event *event;

    sim_lock();
    event = event_of(handle);
    if (!event)
        return sim_leave(CUDA_ERROR_INVALID_HANDLE);
    if (event->capture)
        return sim_leave(capture_ask(event->capture));
    if (event->context->sticky != CUDA_SUCCESS)
        return sim_leave(event->context->sticky);
    if (!event->point)
        return sim_leave(CUDA_SUCCESS);
    if (!event->point->done)
        return sim_leave(CUDA_ERROR_NOT_READY);
    op_observe(event->point);
    return sim_leave(CUDA_SUCCESS);
}

CUresult sim_cuEventSynchronize(CUevent handle)
{
    struct context *context;
    struct event *event;

    sim_lock();
    event = event_of(handle);
    if (!event)
        return sim_leave(CUDA_ERROR_INVALID_HANDLE);
    if (event->capture)
        return sim_leave(capture_ask(event->capture));
    context = event->context;
    if (event->point)
        op_wait(event->point);
    return sim_leave(context->sticky);
}

static CUresult elapsed(float *milliseconds, CUevent from_handle, CUevent to_handle)
{
    struct event *from = event_of(from_handle), *to = event_of(to_handle);

    if (!from || !to || from->context != to->context || !from->point || !to->point ||
        (from->flags | to->flags) & CU_EVENT_DISABLE_TIMING)
        return CUDA_ERROR_INVALID_HANDLE;
    if (from->capture || to->capture)
        return capture_ask(from->capture ? from->capture : to->capture);
    if (!from->point->done || !to->point->done)
        return CUDA_ERROR_NOT_READY;
    *milliseconds = (float)((double)((int64_t)to->point->done_ns - (int64_t)from->point->done_ns) / 1e6);
    return CUDA_SUCCESS;
}

CUresult sim_cuEventElapsedTime(float *milliseconds, CUevent from, CUevent to)
{
    if (!milliseconds)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    return sim_leave(elapsed(milliseconds, from, to));
}

CUresult sim_cuEventElapsedTime_v2(float *milliseconds, CUevent from, CUevent to)
{
    return sim_cuEventElapsedTime(milliseconds, from, to);
}

CUresult sim_cuStreamWaitEvent(CUstream stream_handle, CUevent handle, unsigned flags)
{
    struct stream *stream;
    struct event *event;
    struct op *point;
    CUresult result;

    if (flags & ~(unsigned)CU_EVENT_WAIT_EXTERNAL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    event = event_of(handle);
    result = event ? stream_of(stream_handle, &stream) : CUDA_ERROR_INVALID_HANDLE;
    if (result == CUDA_SUCCESS)
        result = capture_admit_wait(stream, event);
    if (result != CUDA_SUCCESS)
        return sim_leave(result);
    if (event->capture || stream->capture)
        return sim_leave(flags & CU_EVENT_WAIT_EXTERNAL ? capture_wait_node(stream, event)
                                                        : capture_wait(stream, event));
    if (!event->point)
        return sim_leave(CUDA_SUCCESS);
    result = submit_point(stream, event->point, &point);
    if (result == CUDA_SUCCESS)
        op_drop(point);
    return sim_leave(result);
}

/* An event for everything submitted in the context so far: an order point after the latest of every stream.
 */
CUresult sim_cuCtxRecordEvent(CUcontext context_handle, CUevent handle)
{
    struct work work = {.kind = WORK_EMPTY};
    struct context *context;
    struct stream *marker;
    struct event *event;
    struct op *op;
    CUresult result = CUDA_SUCCESS;

    sim_lock();
    context = context_of(context_handle);
    event = event_of(handle);
    if (!context || !event || event->context != context)
        return sim_leave(context ? CUDA_ERROR_INVALID_HANDLE : CUDA_ERROR_INVALID_CONTEXT);
    if (context->sticky != CUDA_SUCCESS)
        return sim_leave(context->sticky);
    if (capture_in(context))
        return sim_leave(capture_break(context));
    marker = stream_marker(context);
    op = marker ? op_create(marker, &work) : NULL;
    if (!op)
        return sim_leave(CUDA_ERROR_OUT_OF_MEMORY);
    for (struct stream *stream = context->streams; stream && result == CUDA_SUCCESS; stream = stream->next)
        if (stream != marker)
            result = op_depend(op, stream->last);
    if (result == CUDA_SUCCESS) {
        op_submit(op);
        event_set(event, op);
    } else {
        op_abandon(op);
        op_drop(op);
    }
    return sim_leave(result);
}

CUresult sim_cuCtxWaitEvent(CUcontext context_handle, CUevent handle)
{
    struct context *context;
    struct event *event;
    CUresult result = CUDA_SUCCESS;

    sim_lock();
    context = context_of(context_handle);
    event = event_of(handle);
    if (!context || !event)
        return sim_leave(context ? CUDA_ERROR_INVALID_HANDLE : CUDA_ERROR_INVALID_CONTEXT);
    if (context->sticky != CUDA_SUCCESS)
        return sim_leave(context->sticky);
    if (capture_in(context) || event->capture)
        return sim_leave(capture_break(context));
    for (struct stream *stream = context->streams; stream && result == CUDA_SUCCESS; stream = stream->next) {
        struct op *point;

        result = submit_point(stream, event->point, &point);
        if (result == CUDA_SUCCESS)
            op_drop(point);
    }
    return sim_leave(result);
}
