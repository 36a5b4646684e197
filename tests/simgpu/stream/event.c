/* SPDX-License-Identifier: Apache-2.0 */
#include "stream/event.h"

#include "device/context.h"
#include "driver/handle.h"
#include "machine/shared_event.h"
#include "stream/capture.h"
#include "stream/submit.h"

#include <stdlib.h>
#include <string.h>

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
    if (event->shared)
        shared_event_drop(event->shared);
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

/* Takes the shared part over, which may be NULL. */
static CUresult create(CUevent *created, unsigned flags, struct shared_event *shared)
{
    struct event *event = calloc(1, sizeof *event);

    sim_lock();
    if (!event || !handle_add(event, HANDLE_EVENT)) {
        free(event);
        if (shared)
            shared_event_drop(shared);
        return sim_leave(CUDA_ERROR_OUT_OF_MEMORY);
    }
    event->context = context_current();
    event->flags = flags;
    event->shared = shared;
    event->next = events;
    events = event;
    *created = (CUevent)event;
    return sim_leave(CUDA_SUCCESS);
}

CUresult sim_cuEventCreate(CUevent *created, unsigned flags)
{
    const unsigned known = CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING | CU_EVENT_INTERPROCESS;
    struct shared_event *shared = NULL;

    if (!created || flags & ~known || (flags & CU_EVENT_INTERPROCESS && !(flags & CU_EVENT_DISABLE_TIMING)))
        return CUDA_ERROR_INVALID_VALUE;
    if (flags & CU_EVENT_INTERPROCESS) {
        shared = shared_event_create();
        if (!shared)
            return CUDA_ERROR_OUT_OF_MEMORY;
    }
    return create(created, flags, shared);
}

_Static_assert(sizeof(struct shared_event_handle) <= sizeof(CUipcEventHandle), "it has room");

CUresult sim_cuIpcGetEventHandle(CUipcEventHandle *out, CUevent handle)
{
    struct shared_event_handle own;
    struct event *event;

    if (!out)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    event = event_of(handle);
    if (!event || !event->shared || !shared_event_describe(event->shared, &own))
        return sim_leave(CUDA_ERROR_INVALID_HANDLE);
    memset(out, 0, sizeof *out);
    memcpy(out, &own, sizeof own);
    return sim_leave(CUDA_SUCCESS);
}

CUresult sim_cuIpcOpenEventHandle(CUevent *created, CUipcEventHandle handle)
{
    struct shared_event_handle own;
    struct shared_event *shared;

    if (!created)
        return CUDA_ERROR_INVALID_VALUE;
    memcpy(&own, &handle, sizeof own);
    shared = shared_event_open(&own);
    return shared ? create(created, CU_EVENT_INTERPROCESS | CU_EVENT_DISABLE_TIMING, shared)
                  : CUDA_ERROR_INVALID_HANDLE;
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

/* Work that records an event of several processes in a stream, or waits for its record of that number. */
static CUresult submit_shared(struct stream *stream, struct event *event, uint32_t number, bool is_wait,
                              struct op **point)
{
    struct work work = {.kind = WORK_EVENT, .event = {event->shared, number, is_wait}};

    shared_event_hold(event->shared);
    return submit_work(stream, &work, NULL, point);
}

/* Whether another process has recorded it later than this one, or this one never. */
static bool is_anothers(const struct event *event)
{
    return event->shared && shared_event_latest(event->shared) != event->number;
}

/* A record whose submission fails is complete. */
static CUresult record_shared(struct event *event, struct stream *stream)
{
    uint32_t number = shared_event_record(event->shared);
    struct op *point;
    CUresult result = submit_shared(stream, event, number, false, &point);

    if (result != CUDA_SUCCESS) {
        shared_event_complete(event->shared, number);
        return result;
    }
    event->number = number;
    event_set(event, point);
    return CUDA_SUCCESS;
}

static CUresult record(struct event *event, struct stream *stream)
{
    CUresult result = capture_admit(stream);
    struct op *point;

    if (result == CUDA_SUCCESS && stream->context != event->context)
        result = CUDA_ERROR_INVALID_HANDLE;
    if (result != CUDA_SUCCESS)
        return result;
    if (event->shared)
        return stream->capture ? capture_refuse(stream->capture) : record_shared(event, stream);
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
    if (flags & CU_EVENT_RECORD_EXTERNAL && stream->capture && !event->shared)
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
    if (is_anothers(event))
        return sim_leave(shared_event_is_complete(event->shared, shared_event_latest(event->shared))
                             ? CUDA_SUCCESS
                             : CUDA_ERROR_NOT_READY);
    if (!event->point)
        return sim_leave(CUDA_SUCCESS);
    if (!event->point->done)
        return sim_leave(CUDA_ERROR_NOT_READY);
    op_observe(event->point);
    return sim_leave(CUDA_SUCCESS);
}

/* Unlocks. */
static CUresult wait_for_another(const struct event *event)
{
    struct shared_event *shared = event->shared;
    CUresult sticky = event->context->sticky;

    shared_event_hold(shared);
    sim_unlock();
    if (sticky == CUDA_SUCCESS)
        shared_event_wait(shared, shared_event_latest(shared));
    shared_event_drop(shared);
    return sticky;
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
    if (is_anothers(event))
        return wait_for_another(event);
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

/* What the stream does from now on comes after the latest record, by whichever process. */
static CUresult wait_in(struct stream *stream, struct event *event)
{
    struct op *point;
    CUresult result;

    if (is_anothers(event))
        result = submit_shared(stream, event, shared_event_latest(event->shared), true, &point);
    else if (event->point)
        result = submit_point(stream, event->point, &point);
    else
        return CUDA_SUCCESS;
    if (result == CUDA_SUCCESS)
        op_drop(point);
    return result;
}

CUresult sim_cuStreamWaitEvent(CUstream stream_handle, CUevent handle, unsigned flags)
{
    struct stream *stream;
    struct event *event;
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
    return sim_leave(wait_in(stream, event));
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
    if (event->shared)
        return sim_leave(CUDA_ERROR_NOT_SUPPORTED);
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
    for (struct stream *stream = context->streams; stream && result == CUDA_SUCCESS; stream = stream->next)
        result = wait_in(stream, event);
    return sim_leave(result);
}
