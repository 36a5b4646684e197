/* SPDX-License-Identifier: Apache-2.0 */
/* Stream capture: while one is open nothing is drained, since any synchronisation would invalidate it. */
#include "base/lock.h"
#include "base/table.h"
#include "cuda/capture.h"
#include "engine/core.h"

#include <pthread.h>
#include <unistd.h>

struct capture {
    CUcontext context; /* of the stream; NULL: not known */
};

static struct table captures = TABLE_INIT(struct capture);
static unsigned open_count;
static struct lock_shared beginning =
    LOCK_SHARED_INIT(LOCK_CAPTURE); /* read by who holds off, written to open one */

bool capture_open(void)
{
    return __atomic_load_n(&open_count, __ATOMIC_ACQUIRE) != 0;
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
    uint64_t key = (uint64_t)(uintptr_t)stream;

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

/* Announce a capture. Its context is asked for now: a stream that captures does not tell. */
static struct capture begun(CUstream stream, bool per_thread)
{
    struct capture capture = {NULL};
    CUstream handle = handle_of(stream, per_thread);

    if (!real.cuStreamGetCtx || real.cuStreamGetCtx(handle, &capture.context) != CUDA_SUCCESS)
        capture.context = NULL;
    core_capture_begin();
    lock_shared_write(&beginning);
    __atomic_add_fetch(&open_count, 1, __ATOMIC_ACQ_REL);
    lock_shared_release(&beginning);
    return capture;
}

static void ended(void)
{
    __atomic_sub_fetch(&open_count, 1, __ATOMIC_ACQ_REL);
    core_capture_end();
}

/* What came of a begin that was announced. */
static CUresult begin_result(CUresult result, const struct capture *capture, CUstream stream, bool per_thread)
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

CUresult hook_cuStreamBeginCapture(__typeof__(cuStreamBeginCapture) *next, CUstream hStream)
{
    bool per_thread = next == real.cuStreamBeginCapture_ptsz;
    const struct capture capture = begun(hStream, per_thread);

    return begin_result(next(hStream), &capture, hStream, per_thread);
}

CUresult hook_cuStreamBeginCapture_v2(__typeof__(cuStreamBeginCapture_v2) *next, CUstream hStream,
                                      CUstreamCaptureMode mode)
{
    bool per_thread = next == real.cuStreamBeginCapture_v2_ptsz;
    const struct capture capture = begun(hStream, per_thread);

    return begin_result(next(hStream, mode), &capture, hStream, per_thread);
}

CUresult hook_cuStreamBeginCaptureToGraph(__typeof__(cuStreamBeginCaptureToGraph) *next, CUstream hStream,
                                          CUgraph hGraph, const CUgraphNode *dependencies,
                                          const CUgraphEdgeData *dependencyData, size_t numDependencies,
                                          CUstreamCaptureMode mode)
{
    bool per_thread = next == real.cuStreamBeginCaptureToGraph_ptsz;
    const struct capture capture = begun(hStream, per_thread);

    return begin_result(next(hStream, hGraph, dependencies, dependencyData, numDependencies, mode), &capture,
                        hStream, per_thread);
}

CUresult hook_cuStreamEndCapture(__typeof__(cuStreamEndCapture) *next, CUstream hStream, CUgraph *phGraph)
{
    bool per_thread = next == real.cuStreamEndCapture_ptsz;
    CUresult result = next(hStream, phGraph);

    /* An invalidated capture ends with an error; one of another thread or stream goes on. */
    if (!capture_records(hStream, per_thread))
        forget(handle_of(hStream, per_thread));
    return result;
}

CUresult hook_cuStreamDestroy_v2(__typeof__(cuStreamDestroy_v2) *next, CUstream hStream)
{
    CUresult result = next(hStream);

    if (result == CUDA_SUCCESS && capture_open())
        forget(hStream);
    return result;
}
