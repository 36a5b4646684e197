/* SPDX-License-Identifier: Apache-2.0 */
#include "stream/submit.h"

#include "device/context.h"
#include "stream/capture.h"

static CUresult enqueue(struct stream *stream, struct work *work, enum submit_mode mode)
{
    bool trivial = work->kind == WORK_EMPTY || work->kind == WORK_FREE;
    struct op *op = op_create(stream, work);
    CUresult result;

    if (!op)
        return CUDA_ERROR_OUT_OF_MEMORY;
    op->synchronous = mode == SUBMIT_SYNC;
    op->stuck = options.stuck && mode != SUBMIT_SYNC && !trivial;
    result = stream_order(op);
    if (result == CUDA_SUCCESS)
        result = work_name(&op->work, op, 0);
    if (result == CUDA_SUCCESS) {
        op_submit(op);
        if (mode != SUBMIT_ASYNC) {
            op_wait(op);
            result = op->context->sticky;
        }
    } else {
        op_abandon(op);
    }
    op_drop(op);
    return result;
}

CUresult submit(struct stream *stream, struct work *work, enum submit_mode mode)
{
    CUresult result = mode == SUBMIT_SYNC ? capture_forbid() : CUDA_SUCCESS;

    if (result == CUDA_SUCCESS)
        result = capture_admit(stream);
    if (result != CUDA_SUCCESS) {
        work_finish(work);
        return result;
    }
    return stream->capture ? capture_add(stream, work) : enqueue(stream, work, mode);
}

CUresult submit_work(struct stream *stream, struct work *work, struct op *after, struct op **point)
{
    struct op *op = op_create(stream, work);
    CUresult result;

    if (!op)
        return CUDA_ERROR_OUT_OF_MEMORY;
    result = stream_order(op);
    if (result == CUDA_SUCCESS)
        result = op_depend(op, after);
    if (result != CUDA_SUCCESS) {
        op_abandon(op);
        op_drop(op);
        return result;
    }
    op_submit(op);
    *point = op;
    return CUDA_SUCCESS;
}

CUresult submit_point(struct stream *stream, struct op *after, struct op **point)
{
    struct work work = {.kind = WORK_EMPTY};

    return submit_work(stream, &work, after, point);
}
