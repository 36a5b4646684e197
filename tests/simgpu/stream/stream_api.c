/* SPDX-License-Identifier: Apache-2.0 */
/* The entries that handle streams, except those of capture. */
#include "device/context.h"
#include "driver/handle.h"
#include "stream/capture.h"
#include "stream/stream.h"
#include "stream/submit.h"

#include <stdlib.h>

enum {
    PRIORITY_LEAST = 0,
    PRIORITY_GREATEST = -5
};

/* A driver allocates while it holds its locks, by one function or another. Not optimised away, since what is volatile
 * must be there. */
static CUresult use_scratch(void)
{
    void *volatile scratch[] = {malloc(options.scratch_bytes / 4), calloc(1, options.scratch_bytes / 4),
                                aligned_alloc(4096, options.scratch_bytes / 4), malloc(1)};
    void *grown = realloc(scratch[3], options.scratch_bytes / 4 + 1);
    bool is_there = scratch[0] && scratch[1] && scratch[2] && grown;

    for (unsigned i = 0; i < 3; i++)
        free(scratch[i]);
    free(grown ? grown : scratch[3]);
    return is_there ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

static CUresult create(CUstream *created, unsigned flags, int priority)
{
    struct stream *stream;
    CUresult result;

    if (!created || flags & ~(unsigned)CU_STREAM_NON_BLOCKING)
        return CUDA_ERROR_INVALID_VALUE;
    if (priority > PRIORITY_LEAST)
        priority = PRIORITY_LEAST;
    if (priority < PRIORITY_GREATEST)
        priority = PRIORITY_GREATEST;
    sim_lock();
    result = options.scratch_bytes ? use_scratch() : CUDA_SUCCESS;
    if (result == CUDA_SUCCESS)
        result = stream_create(context_current(), flags, priority, &stream);
    if (result == CUDA_SUCCESS)
        *created = (CUstream)stream;
    return sim_leave(result);
}

CUresult sim_cuStreamCreate(CUstream *created, unsigned flags)
{
    return create(created, flags, PRIORITY_LEAST);
}

CUresult sim_cuStreamCreateWithPriority(CUstream *created, unsigned flags, int priority)
{
    return create(created, flags, priority);
}

CUresult sim_cuStreamDestroy_v2(CUstream handle)
{
    sim_lock();
    if (!handle_is(handle, HANDLE_STREAM))
        return sim_leave(CUDA_ERROR_INVALID_HANDLE);
    stream_destroy((struct stream *)handle);
    return sim_leave(CUDA_SUCCESS);
}

CUresult sim_cuStreamQuery(CUstream handle)
{
    struct stream *stream;
    CUresult result;

    sim_lock();
    result = stream_of(handle, &stream);
    if (result == CUDA_SUCCESS)
        result = capture_admit_query(stream);
    if (result == CUDA_SUCCESS && stream->first)
        result = CUDA_ERROR_NOT_READY;
    else if (result == CUDA_SUCCESS && stream->legacy && op_pending_blocking(stream->context))
        result = CUDA_ERROR_NOT_READY;
    else if (result == CUDA_SUCCESS && stream->last)
        op_observe(stream->last);
    return sim_leave(result);
}

CUresult sim_cuStreamSynchronize(CUstream handle)
{
    struct context *context;
    struct stream *stream;
    struct op *point;
    CUresult result;

    sim_lock();
    result = stream_of(handle, &stream);
    if (result == CUDA_SUCCESS)
        result = capture_admit_query(stream);
    if (result != CUDA_SUCCESS)
        return sim_leave(result);
    context = stream->context;
    /* An order point carries the legacy stream's rules: waiting for it waits for the blocking streams too. */
    if (stream->legacy) {
        result = submit_point(stream, NULL, &point);
        if (result != CUDA_SUCCESS)
            return sim_leave(result);
        op_wait(point);
        op_drop(point);
    } else if (stream->last) {
        op_wait(stream->last);
    }
    return sim_leave(context->sticky);
}

CUresult sim_cuStreamGetFlags(CUstream handle, unsigned *flags)
{
    struct stream *stream;
    CUresult result;

    if (!flags)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    result = stream_of(handle, &stream);
    if (result == CUDA_SUCCESS)
        *flags = stream->flags;
    return sim_leave(result);
}

CUresult sim_cuStreamGetPriority(CUstream handle, int *priority)
{
    struct stream *stream;
    CUresult result;

    if (!priority)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    result = stream_of(handle, &stream);
    if (result == CUDA_SUCCESS)
        *priority = stream->priority;
    return sim_leave(result);
}

CUresult sim_cuStreamGetId(CUstream handle, unsigned long long *id)
{
    struct stream *stream;
    CUresult result;

    if (!id)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    result = stream_of(handle, &stream);
    if (result == CUDA_SUCCESS)
        *id = stream->id;
    return sim_leave(result);
}

CUresult sim_cuStreamGetDevice(CUstream handle, CUdevice *device)
{
    struct stream *stream;
    CUresult result;

    if (!device)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    result = stream_of(handle, &stream);
    if (result == CUDA_SUCCESS)
        *device = stream->context->device->ordinal;
    return sim_leave(result);
}

CUresult sim_cuStreamGetCtx(CUstream handle, CUcontext *context)
{
    struct stream *stream;
    CUresult result;

    if (!context)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    result = stream_of(handle, &stream);
    if (result == CUDA_SUCCESS)
        *context = (CUcontext)stream->context;
    return sim_leave(result);
}

CUresult sim_cuStreamGetCtx_v2(CUstream handle, CUcontext *context, CUgreenCtx *green)
{
    CUcontext found;
    CUresult result = sim_cuStreamGetCtx(handle, &found);

    if (result == CUDA_SUCCESS && context)
        *context = found;
    if (result == CUDA_SUCCESS && green)
        *green = NULL;
    return result;
}

CUresult sim_cuCtxGetStreamPriorityRange(int *least, int *greatest)
{
    if (least)
        *least = PRIORITY_LEAST;
    if (greatest)
        *greatest = PRIORITY_GREATEST;
    return CUDA_SUCCESS;
}

/* Attributes steer scheduling and caches, which leave no trace here. */
CUresult sim_cuStreamSetAttribute(CUstream handle, CUstreamAttrID attribute, const CUstreamAttrValue *value)
{
    struct stream *stream;
    CUresult result;

    if (!value)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    result = stream_of(handle, &stream);
    if (result == CUDA_SUCCESS && attribute == CU_LAUNCH_ATTRIBUTE_PRIORITY)
        stream->priority = value->priority;
    return sim_leave(result);
}

CUresult sim_cuStreamGetAttribute(CUstream handle, CUstreamAttrID attribute, CUstreamAttrValue *value)
{
    struct stream *stream;
    CUresult result;

    if (!value)
        return CUDA_ERROR_INVALID_VALUE;
    if (attribute != CU_LAUNCH_ATTRIBUTE_PRIORITY)
        return CUDA_ERROR_NOT_SUPPORTED;
    sim_lock();
    result = stream_of(handle, &stream);
    if (result == CUDA_SUCCESS)
        value->priority = stream->priority;
    return sim_leave(result);
}
