/* SPDX-License-Identifier: Apache-2.0 */
/* capture.c - see capture.h. */
#include "cuda/capture.h"

#include <stdatomic.h>
#include <unistd.h>

#include "base/lock.h"
#include "base/table.h"
#include "engine/core.h"

static struct table captures = TABLE_INIT(struct capture);
static atomic_uint open_count;
/* Read by who holds off, written to open one. */
static struct lock_shared beginning = LOCK_SHARED_INIT(LOCK_CAPTURE);

bool capture_open(void)
{
    return atomic_load_explicit(&open_count, memory_order_acquire) != 0;
}

bool capture_hold_off(void)
{
    lock_shared_read(&beginning);
    if (!capture_open())
        return true;
    lock_shared_release(&beginning);
    return false;
}

void capture_let_begin(void)
{
    lock_shared_release(&beginning);
}

static CUstream handle_of(CUstream stream, bool per_thread)
{
    return !stream && per_thread ? CU_STREAM_PER_THREAD : stream;
}

/* The per-thread stream is another one in each thread. */
static uint64_t key_of(CUstream stream)
{
    uint64_t key = real_key(stream);

    return stream == CU_STREAM_PER_THREAD ? key | (uint64_t)gettid() << 8 : key;
}

bool capture_records(CUstream stream, bool per_thread)
{
    CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;

    if (!capture_open() || !real.cuStreamIsCapturing)
        return false;
    return real.cuStreamIsCapturing(handle_of(stream, per_thread), &status) == CUDA_SUCCESS &&
           status != CU_STREAM_CAPTURE_STATUS_NONE;
}

/* The context is asked for now: a stream that captures does not tell. */
struct capture capture_announce(CUstream stream, bool per_thread)
{
    struct capture capture = {NULL};
    CUstream handle = handle_of(stream, per_thread);

    if (!real.cuStreamGetCtx || real.cuStreamGetCtx(handle, &capture.context) != CUDA_SUCCESS)
        capture.context = NULL;
    core_capture_begin();
    lock_shared_write(&beginning);
    atomic_fetch_add_explicit(&open_count, 1, memory_order_acq_rel);
    lock_shared_release(&beginning);
    return capture;
}

static void ended(void)
{
    atomic_fetch_sub_explicit(&open_count, 1, memory_order_acq_rel);
    core_capture_end();
}

CUresult capture_begun(CUresult result, const struct capture *capture, CUstream stream, bool per_thread)
{
    if (result != CUDA_SUCCESS || table_put(&captures, key_of(handle_of(stream, per_thread)), capture))
        ended();
    return result;
}

static void forget(CUstream handle)
{
    struct capture capture;

    if (table_take(&captures, key_of(handle), &capture))
        ended();
}

void capture_context_gone(CUcontext context)
{
    struct capture capture;
    struct table_copy copy;

    if (!capture_open() || !context || table_copy(&captures, &copy))
        return;
    for (uint32_t i = 0; i < copy.count; i++)
        if (((const struct capture *)table_copy_record(&copy, i))->context == context &&
            table_take(&captures, table_copy_key(&copy, i), &capture))
            ended();
    table_copy_free(&copy);
}

void capture_ended(CUstream stream, bool per_thread)
{
    if (!capture_records(stream, per_thread))
        forget(handle_of(stream, per_thread));
}

void capture_stream_gone(CUstream stream)
{
    if (capture_open())
        forget(stream);
}
