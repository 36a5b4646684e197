/* SPDX-License-Identifier: Apache-2.0 */
/* Sets: cuMemsetD8, D16, D32, one- and two-dimensional. */
#include "stream/set.h"

#include "device/context.h"
#include "stream/fault.h"

#include <string.h>

static void set_row(const struct set_work *set, char *row)
{
    if (set->element == 1) {
        memset(row, (int)set->value, set->width);
        return;
    }
    for (size_t i = 0; i < set->width; i++) {
        if (set->element == 2)
            ((uint16_t *)row)[i] = (uint16_t)set->value;
        else
            ((uint32_t *)row)[i] = set->value;
    }
}

void set_run(const struct set_work *set)
{
    for (size_t y = 0; y < set->height; y++)
        set_row(set, (char *)set->to + y * set->pitch);
}

CUresult set_check(const struct context *context, const struct set_work *set)
{
    if (set->to % set->element || (set->height > 1 && set->pitch < set->width * set->element))
        return CUDA_ERROR_INVALID_VALUE;
    return memory_check(context->device, set->to, set_span(set), true, false);
}

/* As documented, a set of device memory does not wait, not even the synchronous one; one of pinned memory
 * does. */
static enum submit_mode mode_of(const struct set_work *set, bool asynchronous)
{
    if (asynchronous)
        return SUBMIT_ASYNC;
    return memory_is_device(set->to) ? SUBMIT_ASYNC : SUBMIT_SYNC;
}

static CUresult set_submit(const struct set_work *set, CUstream handle, bool asynchronous)
{
    struct work work = {.kind = WORK_SET, .set = *set};
    struct stream *stream;
    CUresult result;

    sim_lock();
    result = stream_of(handle, &stream);
    if (result == CUDA_SUCCESS && set->width && set->height) {
        result = set_check(stream->context, set);
        if (result == CUDA_SUCCESS)
            result = submit(stream, &work, mode_of(set, asynchronous));
    }
    return sim_leave(result);
}

static CUresult set_line(CUdeviceptr to, unsigned element, uint32_t value, size_t count, CUstream stream,
                         bool asynchronous)
{
    struct set_work set = {.to = to, .element = element, .value = value, .width = count, .height = 1};

    return set_submit(&set, stream, asynchronous);
}

static CUresult set_rows(CUdeviceptr to, size_t pitch, unsigned element, uint32_t value, size_t width,
                         size_t height, CUstream stream, bool asynchronous)
{
    struct set_work set = {to, pitch, element, value, width, height};

    return set_submit(&set, stream, asynchronous);
}

CUresult sim_cuMemsetD8_v2(CUdeviceptr to, unsigned char value, size_t count)
{
    return set_line(to, 1, value, count, NULL, false);
}

CUresult sim_cuMemsetD16_v2(CUdeviceptr to, unsigned short value, size_t count)
{
    return set_line(to, 2, value, count, NULL, false);
}

CUresult sim_cuMemsetD32_v2(CUdeviceptr to, unsigned value, size_t count)
{
    return set_line(to, 4, value, count, NULL, false);
}

CUresult sim_cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t count, CUstream stream)
{
    return set_line(to, 1, value, count, stream, true);
}

CUresult sim_cuMemsetD16Async(CUdeviceptr to, unsigned short value, size_t count, CUstream stream)
{
    return set_line(to, 2, value, count, stream, true);
}

CUresult sim_cuMemsetD32Async(CUdeviceptr to, unsigned value, size_t count, CUstream stream)
{
    return set_line(to, 4, value, count, stream, true);
}

CUresult sim_cuMemsetD2D8_v2(CUdeviceptr to, size_t pitch, unsigned char value, size_t width, size_t height)
{
    return set_rows(to, pitch, 1, value, width, height, NULL, false);
}

CUresult sim_cuMemsetD2D16_v2(CUdeviceptr to, size_t pitch, unsigned short value, size_t width, size_t height)
{
    return set_rows(to, pitch, 2, value, width, height, NULL, false);
}

CUresult sim_cuMemsetD2D32_v2(CUdeviceptr to, size_t pitch, unsigned value, size_t width, size_t height)
{
    return set_rows(to, pitch, 4, value, width, height, NULL, false);
}

CUresult sim_cuMemsetD2D8Async(CUdeviceptr to, size_t pitch, unsigned char value, size_t width, size_t height,
                               CUstream stream)
{
    return set_rows(to, pitch, 1, value, width, height, stream, true);
}

CUresult sim_cuMemsetD2D16Async(CUdeviceptr to, size_t pitch, unsigned short value, size_t width,
                                size_t height, CUstream stream)
{
    return set_rows(to, pitch, 2, value, width, height, stream, true);
}

CUresult sim_cuMemsetD2D32Async(CUdeviceptr to, size_t pitch, unsigned value, size_t width, size_t height,
                                CUstream stream)
{
    return set_rows(to, pitch, 4, value, width, height, stream, true);
}
