/* SPDX-License-Identifier: Apache-2.0 */
#include "device/context.h"

#include "code/module.h"
#include "device/capacity.h"
#include "driver/handle.h"
#include "driver/report.h"
#include "memory/array.h"
#include "memory/import.h"
#include "memory/native.h"
#include "ptx/heap.h"
#include "stream/event.h"
#include "stream/stream.h"

#include <stdlib.h>
#include <string.h>

struct context *contexts;

struct context *context_current(void)
{
    return thread.depth ? thread.contexts[thread.depth - 1] : NULL;
}

struct context *context_of(CUcontext handle)
{
    struct context *context = handle ? (struct context *)handle : context_current();

    return handle_is(context, HANDLE_CONTEXT) && context->alive ? context : NULL;
}

static void context_reset(struct context *context)
{
    __atomic_store_n(&context->alive, true, __ATOMIC_RELAXED);
    capacity_note_context(context->device, true);
    __atomic_store_n(&context->sticky, CUDA_SUCCESS, __ATOMIC_RELAXED);
    context->api_version = 3020;
    context->cache_config = CU_FUNC_CACHE_PREFER_NONE;
    memset(context->peers, 0, sizeof context->peers);
    memset(context->limits, 0, sizeof context->limits);
    context->limits[CU_LIMIT_STACK_SIZE] = 1024;
    context->limits[CU_LIMIT_PRINTF_FIFO_SIZE] = 1 << 20;
    context->limits[CU_LIMIT_MALLOC_HEAP_SIZE] = 8 << 20;
    context->limits[CU_LIMIT_DEV_RUNTIME_SYNC_DEPTH] = 2;
    context->limits[CU_LIMIT_DEV_RUNTIME_PENDING_LAUNCH_COUNT] = 2048;
    context->limits[CU_LIMIT_MAX_L2_FETCH_GRANULARITY] = 64;
}

struct context *context_create(struct device *device, unsigned flags)
{
    static uint64_t last_id;
    struct context *context = calloc(1, sizeof *context);

    if (!context || !handle_add(context, HANDLE_CONTEXT)) {
        free(context);
        return NULL;
    }
    context->device = device;
    context->id = ++last_id;
    context->flags = flags;
    context->next = contexts;
    contexts = context;
    context_reset(context);
    return context;
}

struct context *context_primary(struct device *device)
{
    if (!device->primary) {
        device->primary = context_create(device, device->primary_flags);
        if (device->primary) {
            device->primary->primary = true;
            device->primary->alive = false;
            capacity_note_context(device, context_lives(device));
        }
    }
    return device->primary;
}

void context_revive(struct context *primary)
{
    if (!primary->alive)
        context_reset(primary);
    primary->flags = primary->device->primary_flags;
}

bool context_is_handle(CUcontext handle)
{
    const struct context *context = (const struct context *)handle;

    return handle_is(context, HANDLE_CONTEXT) && (context->alive || context->primary);
}

bool context_lives(const struct device *device)
{
    for (const struct context *context = contexts; context; context = context->next)
        if (context->device == device && context->alive)
            return true;
    return false;
}

bool context_on_each(void)
{
    for (int i = 0; i < device_count; i++)
        if (!context_lives(&devices[i]))
            return false;
    return true;
}

void context_clear(struct context *context)
{
    op_drain(context, NULL);
    __atomic_store_n(&context->alive, false, __ATOMIC_RELAXED);
    __atomic_store_n(&context->sticky, CUDA_SUCCESS, __ATOMIC_RELAXED);
    /* One with a thread stays in the list until that has ended. */
    for (struct stream *stream = context->streams, *next; stream; stream = next) {
        next = stream->next;
        if (!stream->destroyed)
            stream_destroy(stream);
    }
    context->legacy = NULL;
    context->marker = NULL;
    event_clear(context);
    module_clear(context);
    array_clear(context);
    import_clear(context);
    native_clear(context);
    heap_clear(context);
    capacity_note_context(context->device, context_lives(context->device));
}

void context_fail(struct context *context, CUresult result)
{
    if (context->sticky == CUDA_SUCCESS) {
        __atomic_store_n(&context->sticky, result, __ATOMIC_RELAXED);
        report_sticky();
    }
}

bool context_peer(const struct device *device, const struct context *owner)
{
    for (const struct context *context = contexts; context; context = context->next)
        if (context->alive && context->device == device && context->peers[owner->device->ordinal])
            return true;
    return false;
}
