/* SPDX-License-Identifier: Apache-2.0 */
/* The entries that handle contexts, primary ones included. */
#include "device/context.h"
#include "driver/handle.h"
#include "stream/capture.h"
#include "stream/op.h"

#include <stdlib.h>
#include <string.h>

static const unsigned known_flags = CU_CTX_FLAGS_MASK;

static bool push(struct context *context)
{
    thread_id(); /* the stack goes when the thread does */
    if (thread.depth == thread.room) {
        unsigned room = thread.room ? thread.room * 2 : 4;
        struct context **grown = realloc(thread.contexts, room * sizeof(struct context *));

        if (!grown)
            return false;
        thread.contexts = grown;
        thread.room = room;
    }
    thread.contexts[thread.depth++] = context;
    return true;
}

static CUresult create(CUcontext *created, unsigned flags, CUdevice ordinal)
{
    struct device *device = device_at(ordinal);
    struct context *context;

    if (!created || flags & ~known_flags)
        return CUDA_ERROR_INVALID_VALUE;
    if (!device)
        return CUDA_ERROR_INVALID_DEVICE;
    sim_lock();
    context = context_create(device, flags);
    if (!context || !push(context))
        return sim_leave(CUDA_ERROR_OUT_OF_MEMORY);
    *created = (CUcontext)context;
    return sim_leave(CUDA_SUCCESS);
}

CUresult sim_cuCtxCreate_v2(CUcontext *context, unsigned flags, CUdevice device)
{
    return create(context, flags, device);
}

CUresult sim_cuCtxCreate_v3(CUcontext *context, CUexecAffinityParam *affinity, int count, unsigned flags,
                            CUdevice device)
{
    return affinity || count ? CUDA_ERROR_NOT_SUPPORTED : create(context, flags, device);
}

CUresult sim_cuCtxCreate_v4(CUcontext *context, CUctxCreateParams *params, unsigned flags, CUdevice device)
{
    if (params && (params->execAffinityParams || params->cigParams))
        return CUDA_ERROR_NOT_SUPPORTED;
    return create(context, flags, device);
}

CUresult sim_cuCtxDestroy_v2(CUcontext handle)
{
    struct context *context = (struct context *)handle;

    sim_lock();
    if (!handle_is(context, HANDLE_CONTEXT) || context->primary || !context->alive)
        return sim_leave(CUDA_ERROR_INVALID_CONTEXT);
    context_clear(context);
    if (thread.depth && thread.contexts[thread.depth - 1] == context)
        thread.depth--;
    handle_remove(context);
    return sim_leave(CUDA_SUCCESS);
}

CUresult sim_cuCtxPushCurrent_v2(CUcontext handle)
{
    struct context *context = (struct context *)handle;

    sim_lock();
    if (!context_is_handle(handle))
        return sim_leave(CUDA_ERROR_INVALID_CONTEXT);
    return sim_leave(push(context) ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY);
}

CUresult sim_cuCtxPopCurrent_v2(CUcontext *popped)
{
    if (!thread.depth)
        return CUDA_ERROR_INVALID_CONTEXT;
    thread.depth--;
    if (popped)
        *popped = (CUcontext)thread.contexts[thread.depth];
    return CUDA_SUCCESS;
}

CUresult sim_cuCtxSetCurrent(CUcontext handle)
{
    struct context *context = (struct context *)handle;

    sim_lock();
    if (context && !context_is_handle(handle))
        return sim_leave(CUDA_ERROR_INVALID_CONTEXT);
    if (thread.depth)
        thread.depth--;
    return sim_leave(!context || push(context) ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY);
}

CUresult sim_cuCtxGetCurrent(CUcontext *context)
{
    if (!context)
        return CUDA_ERROR_INVALID_VALUE;
    *context = (CUcontext)context_current();
    return CUDA_SUCCESS;
}

CUresult sim_cuCtxGetDevice(CUdevice *device)
{
    if (!device)
        return CUDA_ERROR_INVALID_VALUE;
    *device = context_current()->device->ordinal;
    return CUDA_SUCCESS;
}

CUresult sim_cuCtxGetDevice_v2(CUdevice *device, CUcontext handle)
{
    struct context *context;

    if (!device)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    context = context_of(handle);
    if (context)
        *device = context->device->ordinal;
    return sim_leave(context ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT);
}

CUresult sim_cuCtxGetFlags(unsigned *flags)
{
    if (!flags)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    *flags = context_current()->flags;
    return sim_leave(CUDA_SUCCESS);
}

CUresult sim_cuCtxSetFlags(unsigned flags)
{
    if (flags & ~known_flags)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    context_current()->flags = flags;
    return sim_leave(CUDA_SUCCESS);
}

CUresult sim_cuCtxGetId(CUcontext handle, unsigned long long *id)
{
    struct context *context;

    if (!id)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    context = context_of(handle);
    if (context)
        *id = context->id;
    return sim_leave(context ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT);
}

CUresult sim_cuCtxGetApiVersion(CUcontext handle, unsigned *version)
{
    struct context *context;

    if (!version)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    context = context_of(handle);
    if (context)
        *version = context->api_version;
    return sim_leave(context ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT);
}

static CUresult synchronize(struct context *context)
{
    if (!context)
        return CUDA_ERROR_INVALID_CONTEXT;
    if (context->sticky != CUDA_SUCCESS)
        return context->sticky;
    if (capture_in(context))
        return capture_break(context);
    op_drain(context, NULL);
    op_observe_context(context);
    return context->sticky;
}

CUresult sim_cuCtxSynchronize(void)
{
    sim_lock();
    return sim_leave(synchronize(context_of(NULL)));
}

CUresult sim_cuCtxSynchronize_v2(CUcontext handle)
{
    sim_lock();
    return sim_leave(synchronize(context_of(handle)));
}

CUresult sim_cuCtxGetLimit(size_t *value, CUlimit limit)
{
    if (!value || (unsigned)limit >= CU_LIMIT_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    *value = context_current()->limits[limit];
    return sim_leave(CUDA_SUCCESS);
}

CUresult sim_cuCtxSetLimit(CUlimit limit, size_t value)
{
    if ((unsigned)limit >= CU_LIMIT_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    context_current()->limits[limit] = value;
    return sim_leave(CUDA_SUCCESS);
}

CUresult sim_cuCtxGetCacheConfig(CUfunc_cache *config)
{
    if (!config)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    *config = context_current()->cache_config;
    return sim_leave(CUDA_SUCCESS);
}

CUresult sim_cuCtxSetCacheConfig(CUfunc_cache config)
{
    if ((unsigned)config > CU_FUNC_CACHE_PREFER_EQUAL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    context_current()->cache_config = config;
    return sim_leave(CUDA_SUCCESS);
}

CUresult sim_cuCtxResetPersistingL2Cache(void)
{
    return CUDA_SUCCESS; /* there is no cache */
}

/* Peer access is one way: contexts of this device may then touch allocations of the other's. */
static CUresult set_peer(CUcontext handle, bool enable)
{
    struct context *context = context_current(), *peer = (struct context *)handle;
    bool *entry;

    if (!handle_is(peer, HANDLE_CONTEXT) || !peer->alive || peer == context)
        return CUDA_ERROR_INVALID_CONTEXT;
    if (peer->device == context->device)
        return CUDA_ERROR_INVALID_DEVICE;
    entry = &context->peers[peer->device->ordinal];
    if (*entry == enable)
        return enable ? CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED : CUDA_ERROR_PEER_ACCESS_NOT_ENABLED;
    *entry = enable;
    return CUDA_SUCCESS;
}

CUresult sim_cuCtxEnablePeerAccess(CUcontext peer, unsigned flags)
{
    if (flags)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    return sim_leave(set_peer(peer, true));
}

CUresult sim_cuCtxDisablePeerAccess(CUcontext peer)
{
    sim_lock();
    return sim_leave(set_peer(peer, false));
}

CUresult sim_cuDevicePrimaryCtxRetain(CUcontext *retained, CUdevice ordinal)
{
    struct device *device = device_at(ordinal);
    struct context *context;

    if (!retained)
        return CUDA_ERROR_INVALID_VALUE;
    if (!device)
        return CUDA_ERROR_INVALID_DEVICE;
    sim_lock();
    context = context_primary(device);
    if (!context)
        return sim_leave(CUDA_ERROR_OUT_OF_MEMORY);
    context_revive(context);
    context->retained++;
    *retained = (CUcontext)context;
    return sim_leave(CUDA_SUCCESS);
}

CUresult sim_cuDevicePrimaryCtxRelease_v2(CUdevice ordinal)
{
    struct device *device = device_at(ordinal);

    if (!device)
        return CUDA_ERROR_INVALID_DEVICE;
    sim_lock();
    if (!device->primary || !device->primary->retained)
        return sim_leave(CUDA_ERROR_INVALID_CONTEXT);
    if (--device->primary->retained == 0 && device->primary->alive)
        context_clear(device->primary);
    return sim_leave(CUDA_SUCCESS);
}

/*
 * The context loses everything but its handle, which stays current where it is. Who has retained it still has it to
 * release, and finds it dead (CUDA_ERROR_CONTEXT_IS_DESTROYED) until it is retained once more: so it is documented, and
 * so NVIDIA's runtime goes on after cudaDeviceReset.
 */
CUresult sim_cuDevicePrimaryCtxReset_v2(CUdevice ordinal)
{
    struct device *device = device_at(ordinal);

    if (!device)
        return CUDA_ERROR_INVALID_DEVICE;
    sim_lock();
    if (device->primary && device->primary->alive)
        context_clear(device->primary);
    return sim_leave(CUDA_SUCCESS);
}

CUresult sim_cuDevicePrimaryCtxSetFlags_v2(CUdevice ordinal, unsigned flags)
{
    struct device *device = device_at(ordinal);

    if (flags & ~known_flags)
        return CUDA_ERROR_INVALID_VALUE;
    if (!device)
        return CUDA_ERROR_INVALID_DEVICE;
    sim_lock();
    device->primary_flags = flags;
    if (device->primary)
        device->primary->flags = flags;
    return sim_leave(CUDA_SUCCESS);
}

CUresult sim_cuDevicePrimaryCtxGetState(CUdevice ordinal, unsigned *flags, int *active)
{
    struct device *device = device_at(ordinal);

    if (!device)
        return CUDA_ERROR_INVALID_DEVICE;
    if (!flags || !active)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    *flags = device->primary_flags;
    *active = device->primary && device->primary->alive;
    return sim_leave(CUDA_SUCCESS);
}
