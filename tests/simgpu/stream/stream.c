/* SPDX-License-Identifier: Apache-2.0 */
#include "stream/stream.h"

#include "device/context.h"
#include "driver/handle.h"
#include "stream/capture.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>

static uint64_t last_id;

/* Streams that stream_kick has yet to look at; only the outermost call takes from it, so that chains do not
 * recurse. */
static struct stream *kicked;
static bool kicking;

CUresult stream_create(struct context *context, unsigned flags, int priority, struct stream **created)
{
    struct stream *stream = calloc(1, sizeof *stream);
    CUresult result;

    if (!stream)
        return CUDA_ERROR_OUT_OF_MEMORY;
    result = op_slot_take(&stream->slot, &stream->slot_number);
    if (result == CUDA_SUCCESS && !handle_add(stream, HANDLE_STREAM)) {
        op_slot_give(stream->slot, stream->slot_number);
        result = CUDA_ERROR_OUT_OF_MEMORY;
    }
    if (result != CUDA_SUCCESS) {
        free(stream);
        return result;
    }
    pthread_cond_init(&stream->wake, NULL);
    stream->context = context;
    stream->flags = flags;
    stream->priority = priority;
    stream->id = ++last_id;
    stream->next = context->streams;
    context->streams = stream;
    *created = stream;
    return CUDA_SUCCESS;
}

/* A default stream or the marker: its address is no handle that a program could use. */
static CUresult create_own(struct context *context, unsigned flags, struct stream **created)
{
    CUresult result = stream_create(context, flags, 0, created);

    if (result == CUDA_SUCCESS) {
        handle_remove(*created);
        (*created)->hidden = true;
    }
    return result;
}

struct stream *stream_marker(struct context *context)
{
    if (!context->marker && create_own(context, CU_STREAM_NON_BLOCKING, &context->marker) != CUDA_SUCCESS)
        return NULL;
    return context->marker;
}

static CUresult legacy_of(struct context *context, struct stream **stream)
{
    CUresult result = CUDA_SUCCESS;

    if (!context->legacy) {
        result = create_own(context, 0, &context->legacy);
        if (result == CUDA_SUCCESS)
            context->legacy->legacy = true;
    }
    *stream = context->legacy;
    return result;
}

static CUresult per_thread_of(struct context *context, struct stream **stream)
{
    CUresult result;

    for (*stream = context->streams; *stream; *stream = (*stream)->next)
        if ((*stream)->thread == thread_id() && !(*stream)->destroyed)
            return CUDA_SUCCESS;
    result = create_own(context, 0, stream);
    if (result == CUDA_SUCCESS)
        (*stream)->thread = thread_id();
    return result;
}

CUresult stream_of(CUstream handle, struct stream **stream)
{
    struct context *context;

    if (handle != NULL && handle != CU_STREAM_LEGACY && handle != CU_STREAM_PER_THREAD) {
        if (!handle_is(handle, HANDLE_STREAM))
            return CUDA_ERROR_INVALID_HANDLE;
        *stream = (struct stream *)handle;
        return (*stream)->context->sticky;
    }
    context = context_current();
    if (!context)
        return CUDA_ERROR_INVALID_CONTEXT;
    if (!context->alive)
        return CUDA_ERROR_CONTEXT_IS_DESTROYED;
    if (context->sticky != CUDA_SUCCESS)
        return context->sticky;
    if (handle == CU_STREAM_PER_THREAD || (handle == NULL && thread.per_thread))
        return per_thread_of(context, stream);
    return legacy_of(context, stream);
}

static void stream_free(struct stream *stream)
{
    struct stream **link = &stream->context->streams;

    while (*link != stream)
        link = &(*link)->next;
    *link = stream->next;
    if (stream->last)
        op_drop(stream->last);
    op_slot_give(stream->slot, stream->slot_number);
    pthread_cond_destroy(&stream->wake);
    free(stream);
}

void stream_destroy(struct stream *stream)
{
    capture_leave(stream);
    if (!stream->hidden)
        handle_remove(stream);
    stream->destroyed = true;
    if (stream->has_thread)
        pthread_cond_signal(&stream->wake);
    else if (!stream->first)
        stream_free(stream);
}

void stream_end_thread(uint64_t number)
{
    for (struct context *context = contexts; context; context = context->next) {
        for (struct stream *stream = context->streams, *next; stream; stream = next) {
            next = stream->next;
            if (stream->thread == number && !stream->destroyed)
                stream_destroy(stream);
        }
    }
}

bool stream_blocks(const struct stream *stream)
{
    return !stream->legacy && !(stream->flags & CU_STREAM_NON_BLOCKING);
}

CUresult stream_order(struct op *op)
{
    struct stream *stream = op->stream;
    CUresult result = CUDA_SUCCESS;

    if (stream_blocks(stream))
        return stream->context->legacy ? op_depend(op, stream->context->legacy->last) : CUDA_SUCCESS;
    if (!stream->legacy)
        return CUDA_SUCCESS;
    for (struct stream *other = stream->context->streams; other && result == CUDA_SUCCESS;
         other = other->next)
        if (stream_blocks(other))
            result = op_depend(op, other->last);
    return result;
}

static bool is_ready(const struct stream *stream)
{
    return stream->first && !stream->busy && !stream->first->unmet;
}

static void *stream_main(void *argument)
{
    struct stream *stream = argument;

    /* Injected durations are kept to microseconds. */
    prctl(PR_SET_TIMERSLACK, 1ul, 0ul, 0ul, 0ul);
    sim_lock();
    while (stream->first || !stream->destroyed) {
        if (is_ready(stream) && !stream->first->synchronous && !stream->first->stuck)
            op_run(stream->first);
        else
            pthread_cond_wait(&stream->wake, &sim.lock);
    }
    stream_free(stream);
    sim_unlock();
    return NULL;
}

/* Signals belong to the program's threads; a fault in device code comes to its own. */
static bool start_thread(struct stream *stream)
{
    pthread_attr_t attributes;
    pthread_t started;
    sigset_t all, before;
    bool good;

    sigfillset(&all);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    good = pthread_create(&started, &attributes, stream_main, stream) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return good;
}

static void kick(struct stream *stream)
{
    while (is_ready(stream) && stream->first->work.kind == WORK_EMPTY)
        op_run(stream->first);
    if (!stream->first && stream->destroyed) {
        if (stream->has_thread)
            pthread_cond_signal(&stream->wake);
        else if (!stream->kicked) /* by what has just ended: then once more */
            stream_free(stream);
        return;
    }
    if (!is_ready(stream))
        return;
    if (stream->first->synchronous) {
        if (sim.waiters)
            pthread_cond_broadcast(&sim.done);
        return;
    }
    if (!stream->has_thread) {
        stream->has_thread = start_thread(stream);
        if (!stream->has_thread)
            abort(); /* work was accepted that nobody could run */
    }
    pthread_cond_signal(&stream->wake);
}

void stream_kick(struct stream *stream)
{
    if (!stream->kicked) {
        stream->kicked = true;
        stream->kicked_next = kicked;
        kicked = stream;
    }
    if (kicking)
        return;
    kicking = true;
    while (kicked) {
        struct stream *next = kicked;

        kicked = next->kicked_next;
        next->kicked = false;
        kick(next);
    }
    kicking = false;
}
