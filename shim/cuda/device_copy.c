/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of ours: on private streams, one for each direction, so that both run at once. */
#include "cuda/device_cuda.h"

#include <errno.h>
#include <time.h>

int device_copy(IGNORED struct device *self, unsigned ordinal, uint64_t to, uint64_t from, uint64_t bytes)
{
    struct entered entered;
    int error = device_host_reach(ordinal, to);

    error = error ? error : device_host_reach(ordinal, from);
    error = error ? error : context_enter(ordinal, &entered);
    if (error)
        return error == -ENOTSUP ? -EIO : error;
    bool is_in = device_map_in_arena(to) && !device_map_in_arena(from);

    error = device_cuda_error(
        real.cuMemcpyAsync(to, from, bytes, entered.stream[is_in ? STREAM_IN : STREAM_OUT]));
    context_leave(&entered);
    return error;
}

int device_zero(IGNORED struct device *self, unsigned ordinal, uint64_t address, uint64_t bytes)
{
    struct entered entered;
    int error = context_enter(ordinal, &entered);

    if (error)
        return error == -ENOTSUP ? -EIO : error;
    error = device_cuda_error(real.cuMemsetD8Async(address, 0, bytes, entered.stream[STREAM_IN]));
    context_leave(&entered);
    return error;
}

int device_order(IGNORED struct device *self, unsigned ordinal, void *stream)
{
    struct entered entered;
    CUevent copied;
    int error = -ENOTSUP;

    if (real.cuEventRecord && real.cuStreamWaitEvent)
        error = context_enter(ordinal, &entered);
    if (error)
        return error == -ENOTSUP ? -EIO : error;
    CUresult result = real.cuEventCreate(&copied, CU_EVENT_DISABLE_TIMING);

    if (result == CUDA_SUCCESS) {
        result = real.cuEventRecord(copied, entered.stream[STREAM_IN]);
        if (result == CUDA_SUCCESS)
            result = real.cuStreamWaitEvent((CUstream)stream, copied, 0);
        real.cuEventDestroy_v2(copied); /* who waits for it goes on to */
    }
    context_leave(&entered);
    return device_cuda_error(result);
}

/* Wait for one stream. Whatever the driver answers, nothing is on its way any more when this returns. */
static int stream_wait(CUstream stream)
{
    const struct timespec nap = {.tv_nsec = 50000};
    int error = device_cuda_error(real.cuStreamSynchronize(stream));

    while (error && real.cuStreamQuery(stream) == CUDA_ERROR_NOT_READY)
        nanosleep(&nap, NULL);
    return error;
}

int device_copied(IGNORED struct device *self, unsigned ordinal, unsigned ways)
{
    struct entered watched;
    int error = 0;

    if (!context_watch(ordinal, &watched))
        return -EIO;
    for (unsigned i = 0; i < STREAM_WAYS; i++) {
        int one = ways & (i == STREAM_IN ? WAY_IN : WAY_OUT) ? stream_wait(watched.stream[i]) : 0;

        error = error ? error : one;
    }
    context_unwatch(&watched);
    return error;
}
