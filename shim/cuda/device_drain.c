/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting until devices are idle: an event behind all work of every context, polled. A driver without
 * cuCtxRecordEvent has each context synchronised by a thread that we wait for no longer than the deadline. What a
 * wait ran out of time on, event or thread, is kept: it tells when the work has ended after all.
 */
#include "cuda/device_cuda.h"

#include "base/thread.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/lock.h"
#include "cuda/bypass.h"
#include "cuda/capture.h"

enum {
    FIRST_NAP_NS = 2000,
    LONGEST_NAP_NS = 200000
};

struct drain {
    struct device *self;
    uint32_t devices;
    uint64_t deadline_ns;
};

struct sync;

/* The last wait on a device that ran out of time; all zeros when that work has ended, or its context. */
struct unfinished {
    const void *context; /* its handle */
    CUevent event;       /* NULL: there is a thread */
    struct sync *sync;
};

static struct lock unfinished_lock = LOCK_INIT(LOCK_UNFINISHED);
static struct unfinished unfinished[DEVICE_MAX];

/* A free comes here with the gate open: a capture that another thread begins at this moment would be broken. */
static CUresult record_here(const struct context *context, CUevent event)
{
    CUresult result = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;

    if (!capture_hold_off())
        return result;
    result = context->green ? real.cuGreenCtxRecordEvent(context->green, event)
                            : real.cuCtxRecordEvent(context->handle, event);
    capture_let_begin();
    return result;
}

/* A context that has ended, by a reset or with the driver itself, runs nothing. */
static int error_of(CUresult result)
{
    bool has_ended = result == CUDA_ERROR_INVALID_CONTEXT || result == CUDA_ERROR_CONTEXT_IS_DESTROYED ||
                     result == CUDA_ERROR_DEINITIALIZED;

    return has_ended ? 0 : device_cuda_error(result);
}

/* Push a context and make an event in it; the event's context is what cuCtxRecordEvent wants. */
static CUresult record(const struct context *context, CUevent *out)
{
    CUcontext popped;
    CUcontext home = context->handle ? context->handle : contexts_primary(contexts_device(context->ordinal));

    if (!home)
        return CUDA_ERROR_INVALID_HANDLE;
    CUresult result = real.cuCtxPushCurrent_v2(home);

    if (result != CUDA_SUCCESS)
        return result;
    result = real.cuEventCreate(out, CU_EVENT_DISABLE_TIMING);
    if (result == CUDA_SUCCESS) {
        result = record_here(context, *out);
        if (result != CUDA_SUCCESS)
            real.cuEventDestroy_v2(*out);
    }
    real.cuCtxPopCurrent_v2(&popped);
    return result;
}

static int wait_event(const struct drain *drain, CUevent event)
{
    struct timespec nap = {0, FIRST_NAP_NS};
    CUresult result;

    while ((result = real.cuEventQuery(event)) == CUDA_ERROR_NOT_READY) {
        if (device_now_ns(drain->self) >= drain->deadline_ns)
            return -ETIMEDOUT;
        if (capture_open())
            return -EBUSY;
        nanosleep(&nap, NULL);
        if (nap.tv_nsec < LONGEST_NAP_NS)
            nap.tv_nsec *= 2;
    }
    return error_of(result);
}

/* State that the synchronising thread and the waiter share; the last of the two frees it. */
struct sync {
    struct lock lock;
    pthread_cond_t ended;
    struct thread thread;
    CUcontext context;
    CUresult result;
    bool is_ended;
    bool is_abandoned;
};

static void sync_free(struct sync *sync)
{
    pthread_cond_destroy(&sync->ended);
    lock_destroy(&sync->lock);
    free(sync);
}

static void *synchronise(void *arg)
{
    struct sync *sync = arg;
    CUcontext popped;
    CUresult result = real.cuCtxPushCurrent_v2(sync->context);

    if (result == CUDA_SUCCESS) {
        CUstreamCaptureMode mode = quiet_begin();

        /* Nobody can be held off for as long as this takes: what begins between the two lines is broken. */
        result = capture_open() ? CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED : real.cuCtxSynchronize();
        quiet_end(mode);
        real.cuCtxPopCurrent_v2(&popped);
    }
    lock_acquire(&sync->lock);
    bool is_abandoned = sync->is_abandoned;

    sync->result = result;
    sync->is_ended = true;
    pthread_cond_signal(&sync->ended);
    lock_release(&sync->lock);
    if (is_abandoned)
        sync_free(sync);
    return NULL;
}

static struct sync *sync_start(CUcontext context)
{
    struct sync *sync = calloc(1, sizeof(*sync));

    if (!sync)
        return NULL;
    sync->context = context;
    sync->thread = (struct thread){.name = "ebbtide-drain", .run = synchronise, .arg = sync};
    lock_init(&sync->lock, LOCK_SYNC);
    pthread_cond_init(&sync->ended, NULL);
    if (thread_start(&sync->thread, NULL) < 0) {
        sync_free(sync);
        return NULL;
    }
    return sync;
}

/* Nobody waits for it any more. */
static void sync_abandon(struct sync *sync)
{
    lock_acquire(&sync->lock);
    bool is_ended = sync->is_ended;

    sync->is_abandoned = true;
    lock_release(&sync->lock);
    if (is_ended)
        sync_free(sync);
}

static bool sync_has_ended(struct sync *sync)
{
    lock_acquire(&sync->lock);
    bool is_ended = sync->is_ended;

    lock_release(&sync->lock);
    return is_ended;
}

static void forget(struct unfinished *wait, bool is_alive)
{
    if (wait->event && is_alive) /* an event ends with its context */
        real.cuEventDestroy_v2(wait->event);
    if (wait->sync)
        sync_abandon(wait->sync);
}

/* Called while the context lives. */
static void remember(const struct context *context, CUevent event, struct sync *sync)
{
    struct unfinished now = {context->green ? (const void *)context->green : (const void *)context->handle,
                             event, sync};

    lock_acquire(&unfinished_lock);
    struct unfinished before = unfinished[context->ordinal];

    unfinished[context->ordinal] = now;
    lock_release(&unfinished_lock);
    forget(&before, before.context == now.context);
}

static int wait_sync(const struct context *context, uint64_t deadline_ns)
{
    struct sync *sync = sync_start(context->handle);
    const struct timespec limit = {(time_t)(deadline_ns / 1000000000u), (long)(deadline_ns % 1000000000u)};

    if (!sync)
        return -ENOMEM;
    lock_acquire(&sync->lock);
    while (!sync->is_ended && lock_wait_until(&sync->ended, &sync->lock, &limit) != ETIMEDOUT)
        ;
    int error = sync->is_ended ? error_of(sync->result) : -ETIMEDOUT;

    lock_release(&sync->lock);
    if (error == -ETIMEDOUT)
        remember(context, NULL, sync);
    else
        sync_free(sync);
    return error;
}

static bool lacks_record(CUresult result)
{
    return result == CUDA_ERROR_NOT_SUPPORTED || result == CUDA_ERROR_NOT_FOUND;
}

static int drain_one(const struct context *context, void *arg)
{
    const struct drain *drain = arg;
    CUevent event;
    bool can_record = context->green ? real.cuGreenCtxRecordEvent != NULL : real.cuCtxRecordEvent != NULL;

    if (!(drain->devices >> context->ordinal & 1))
        return 0;
    CUresult result = can_record ? record(context, &event) : CUDA_ERROR_NOT_SUPPORTED;

    if (lacks_record(result)) /* work of a green context is work of its device's primary one */
        return context->green ? 0 : wait_sync(context, drain->deadline_ns);
    if (result == CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED || result == CUDA_ERROR_STREAM_CAPTURE_IMPLICIT)
        return -EBUSY;
    if (result != CUDA_SUCCESS)
        return error_of(result);
    int error = wait_event(drain, event);

    if (error == -ETIMEDOUT)
        remember(context, event, NULL);
    else
        real.cuEventDestroy_v2(event);
    return error;
}

int device_drain(struct device *self, uint32_t devices, uint64_t deadline_ns)
{
    struct drain drain = {self, devices, deadline_ns};

    if (capture_open() || bypass_look())
        return -EBUSY;
    CUstreamCaptureMode mode = quiet_begin();
    int error = contexts_each(drain_one, &drain);

    quiet_end(mode);
    return error;
}

struct look {
    unsigned ordinal;
    bool found, busy;
};

/* The context of the wait lives: has the wait's event come, or its thread? */
static int look_one(const struct context *context, void *arg)
{
    struct look *look = arg;
    const void *handle = context->green ? (const void *)context->green : (const void *)context->handle;

    lock_acquire(&unfinished_lock);
    const struct unfinished *wait = &unfinished[look->ordinal];

    if (wait->context == handle) {
        look->found = true;
        look->busy = wait->event ? real.cuEventQuery(wait->event) == CUDA_ERROR_NOT_READY
                                 : !sync_has_ended(wait->sync);
    }
    lock_release(&unfinished_lock);
    return look->found;
}

bool device_rested(IGNORED struct device *self, unsigned ordinal)
{
    struct look look = {.ordinal = ordinal};
    struct unfinished wait;

    lock_acquire(&unfinished_lock);
    wait = unfinished[ordinal];
    lock_release(&unfinished_lock);
    if (!wait.context)
        return true;
    CUstreamCaptureMode mode = quiet_begin();

    contexts_each(look_one, &look);
    quiet_end(mode);
    if (look.busy)
        return false;
    lock_acquire(&unfinished_lock);
    bool mine = unfinished[ordinal].event == wait.event && unfinished[ordinal].sync == wait.sync;

    if (mine)
        unfinished[ordinal] = (struct unfinished){0};
    lock_release(&unfinished_lock);
    if (mine)
        forget(&wait, look.found);
    return true;
}
