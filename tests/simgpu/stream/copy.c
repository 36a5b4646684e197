/* SPDX-License-Identifier: Apache-2.0 */
#include "stream/copy.h"

#include "device/context.h"
#include "device/host_link.h"
#include "managed/managed.h"
#include "managed/page.h"
#include "stream/fault.h"

#include <stdlib.h>
#include <string.h>

/* A pageable source up to this size is read before the call returns; of a larger one, the call waits for the
 * copy. */
enum {
    STAGE_BYTES_MAX = 64 << 10
};

void copy_classify(struct copy_work *copy, enum copy_kind kind)
{
    copy->from.host = kind == COPY_INFER ? !memory_is_device(copy->from.base) : kind == COPY_H2D;
    copy->to.host = kind == COPY_INFER ? !memory_is_device(copy->to.base) : kind == COPY_D2H;
}

static CUresult plane_check(const struct context *context, const struct copy_work *copy,
                            const struct plane *plane, bool write)
{
    size_t span = plane_span(plane, copy->width, copy->height, copy->depth);

    return memory_check(plane->device ? plane->device : context->device, plane->base, span, write,
                        plane->host);
}

CUresult copy_check(const struct context *context, const struct copy_work *copy)
{
    CUresult result = plane_check(context, copy, &copy->from, false);

    return result != CUDA_SUCCESS ? result : plane_check(context, copy, &copy->to, true);
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Between a device and the host the link sets the pace, between devices the sender's. The copying device carries in and
 * out again what goes from host to host. */
static uint64_t carry(int to, int from, size_t bytes, struct device *copying)
{
    if (from != DEVICE_HOST)
        return to == from ? 0 : link_carry(&devices[from], LINK_FROM_DEVICE, bytes, 0);
    if (to != DEVICE_HOST)
        return link_carry(&devices[to], LINK_TO_DEVICE, bytes, 0);
    return later(link_carry(copying, LINK_TO_DEVICE, bytes, 0),
                 link_carry(copying, LINK_FROM_DEVICE, bytes, 0));
}

/* Who holds an address, and how many bytes from there on. */
static int holder(uintptr_t at, size_t *bytes)
{
    const struct memory *memory = memory_after(at);

    if (!memory || memory->start > at) {
        if (memory && memory->start - at < *bytes)
            *bytes = memory->start - at;
        return DEVICE_HOST;
    }
    if (memory->kind == MEMORY_MANAGED && *bytes > PAGE_BYTES - at % PAGE_BYTES)
        *bytes = PAGE_BYTES - at % PAGE_BYTES;
    if (*bytes > memory->start + memory->size - at)
        *bytes = memory->start + memory->size - at;
    return managed_holder(memory, at);
}

/* Of several rows the first bytes stand for all. What was staged has come from the host. */
static uint64_t link_deadline(const struct copy_work *copy, struct device *copying)
{
    bool is_flat = copy->height == 1 && copy->depth == 1;
    size_t all = copy->width * copy->height * copy->depth, bytes;
    uint64_t deadline = 0;

    if (options.link_gbps <= 0 || (copy->from.host && copy->to.host))
        return 0;
    sim_lock();
    for (size_t at = 0; at < all; at += bytes) {
        int to, from;

        bytes = all - at;
        from = copy->staged ? DEVICE_HOST : holder(copy->from.base + at, &bytes);
        to = holder(copy->to.base + at, &bytes);
        if (!is_flat)
            bytes = all;
        deadline = later(deadline, carry(to, from, bytes, copying));
    }
    sim_unlock();
    return deadline;
}

void copy_run(const struct copy_work *copy, const struct op *op)
{
    uint64_t deadline = link_deadline(copy, op->context->device);
    const char *from = copy->staged ? copy->staged : (const char *)copy->from.base;

    for (size_t z = 0; z < copy->depth; z++) {
        for (size_t y = 0; y < copy->height; y++) {
            char *to_row = (char *)copy->to.base + z * copy->to.slice + y * copy->to.pitch;
            const char *from_row = from + z * copy->from.slice + y * copy->from.pitch;

            memmove(to_row, from_row, copy->width);
        }
    }
    if (deadline)
        sleep_until(deadline);
}

/* How the call must wait, and whether it reads its source first (as NVIDIA documents for pageable memory). */
static CUresult stage(struct copy_work *copy, enum submit_mode *mode)
{
    bool from_pageable = copy->from.host && memory_is_pageable(copy->from.base);
    bool to_pageable = copy->to.host && memory_is_pageable(copy->to.base);
    size_t span = plane_span(&copy->from, copy->width, copy->height, copy->depth);

    if (to_pageable || (copy->from.host && copy->to.host) || (from_pageable && span > STAGE_BYTES_MAX)) {
        *mode = SUBMIT_WAIT;
    } else if (from_pageable) {
        copy->staged = malloc(span);
        if (!copy->staged)
            return CUDA_ERROR_OUT_OF_MEMORY;
        memcpy(copy->staged, (const void *)copy->from.base, span);
    }
    return CUDA_SUCCESS;
}

CUresult copy_submit(struct copy_work *copy, enum copy_kind kind, CUstream handle, bool asynchronous)
{
    enum submit_mode mode = asynchronous ? SUBMIT_ASYNC : SUBMIT_SYNC;
    struct work work = {.kind = WORK_COPY};
    struct stream *stream;
    CUresult result;

    sim_lock();
    result = stream_of(handle, &stream);
    if (result != CUDA_SUCCESS || !copy->width || !copy->height || !copy->depth)
        return sim_leave(result);
    copy_classify(copy, kind);
    result = copy_check(stream->context, copy);
    if (result == CUDA_SUCCESS && asynchronous && !stream->capture)
        result = stage(copy, &mode);
    if (result != CUDA_SUCCESS)
        return sim_leave(result);
    /* Between two places on devices even the synchronous call does not wait. */
    if (mode == SUBMIT_SYNC && !copy->from.host && !copy->to.host)
        mode = SUBMIT_ASYNC;
    work.copy = *copy;
    return sim_leave(submit(stream, &work, mode));
}

static CUresult copy_bytes(uintptr_t to, uintptr_t from, size_t bytes, enum copy_kind kind, CUstream stream,
                           bool asynchronous)
{
    struct copy_work copy = {
        .to = {.base = to}, .from = {.base = from}, .width = bytes, .height = 1, .depth = 1};

    return copy_submit(&copy, kind, stream, asynchronous);
}

CUresult sim_cuMemcpy(CUdeviceptr dst, CUdeviceptr src, size_t bytes)
{
    return copy_bytes(dst, src, bytes, COPY_INFER, NULL, false);
}

CUresult sim_cuMemcpyAsync(CUdeviceptr dst, CUdeviceptr src, size_t bytes, CUstream stream)
{
    return copy_bytes(dst, src, bytes, COPY_INFER, stream, true);
}

CUresult sim_cuMemcpyHtoD_v2(CUdeviceptr dst, const void *src, size_t bytes)
{
    return copy_bytes(dst, (uintptr_t)src, bytes, COPY_H2D, NULL, false);
}

CUresult sim_cuMemcpyHtoDAsync_v2(CUdeviceptr dst, const void *src, size_t bytes, CUstream stream)
{
    return copy_bytes(dst, (uintptr_t)src, bytes, COPY_H2D, stream, true);
}

CUresult sim_cuMemcpyDtoH_v2(void *dst, CUdeviceptr src, size_t bytes)
{
    return copy_bytes((uintptr_t)dst, src, bytes, COPY_D2H, NULL, false);
}

CUresult sim_cuMemcpyDtoHAsync_v2(void *dst, CUdeviceptr src, size_t bytes, CUstream stream)
{
    return copy_bytes((uintptr_t)dst, src, bytes, COPY_D2H, stream, true);
}

CUresult sim_cuMemcpyDtoD_v2(CUdeviceptr dst, CUdeviceptr src, size_t bytes)
{
    return copy_bytes(dst, src, bytes, COPY_D2D, NULL, false);
}

CUresult sim_cuMemcpyDtoDAsync_v2(CUdeviceptr dst, CUdeviceptr src, size_t bytes, CUstream stream)
{
    return copy_bytes(dst, src, bytes, COPY_D2D, stream, true);
}

CUresult copy_between(struct copy_work *copy, CUcontext to, CUcontext from)
{
    const struct context *to_context, *from_context;

    sim_lock();
    to_context = context_of(to);
    from_context = context_of(from);
    if (!to_context || !from_context)
        return sim_leave(CUDA_ERROR_INVALID_CONTEXT);
    copy->to.device = to_context->device;
    copy->from.device = from_context->device;
    return sim_leave(CUDA_SUCCESS);
}

static CUresult copy_peer(CUdeviceptr dst, CUcontext dst_context, CUdeviceptr src, CUcontext src_context,
                          size_t bytes, CUstream stream, bool asynchronous)
{
    struct copy_work copy = {
        .to = {.base = dst}, .from = {.base = src}, .width = bytes, .height = 1, .depth = 1};
    CUresult result = copy_between(&copy, dst_context, src_context);

    return result != CUDA_SUCCESS ? result : copy_submit(&copy, COPY_D2D, stream, asynchronous);
}

CUresult sim_cuMemcpyPeer(CUdeviceptr dst, CUcontext dst_context, CUdeviceptr src, CUcontext src_context,
                          size_t bytes)
{
    return copy_peer(dst, dst_context, src, src_context, bytes, NULL, false);
}

CUresult sim_cuMemcpyPeerAsync(CUdeviceptr dst, CUcontext dst_context, CUdeviceptr src, CUcontext src_context,
                               size_t bytes, CUstream stream)
{
    return copy_peer(dst, dst_context, src, src_context, bytes, stream, true);
}
