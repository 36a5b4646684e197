/* SPDX-License-Identifier: Apache-2.0 */
/* Contexts come and go: the driver frees with a context what was allocated in it, so the blocks go first. */
#include "cuda/device_cuda.h"
#include "hook/hook_words.h"

void hook_context_new(void (*add)(CUcontext, CUdevice), const CUcontext *context, CUdevice device)
{
    if (!context)
        return;
    add(*context, device);
    device_host_context_new();
}

/* A green context retains the primary one of its device until it is destroyed, as if the program did: which that is,
 * the driver says to whoever retains it once more. */
void hook_green_created(const CUgreenCtx *green, CUdevice device)
{
    CUcontext primary;

    if (!green || real.cuDevicePrimaryCtxRetain(&primary, device) != CUDA_SUCCESS)
        return;
    real.cuDevicePrimaryCtxRelease_v2(device);
    contexts_add_green(*green, device);
    hook_context_new(contexts_retained, &primary, device);
}

/* Everything that dies with the context. Afterwards nothing of ours touches it. */
static void going(CUcontext context)
{
    core_context_gone(real_key(context));
    async_context_going(context);
    driver_memory_context_gone(context);
    kernel_parameters_forget(NULL, false);
    modules_context_gone(context);
    contexts_gone(context);
    device_host_context_gone(context);
}

static void gone(CUcontext context)
{
    capture_context_gone(context);
    async_context_gone(context);
}

CUresult hook_cuCtxDestroy_v2(__typeof__(cuCtxDestroy_v2) *next, CUcontext ctx)
{
    /* A primary context is not destroyed this way: the driver refuses, and its blocks stay. */
    if (ctx && contexts_is_created(ctx))
        going(ctx);
    CUresult result = next(ctx);

    if (result == CUDA_SUCCESS)
        gone(ctx);
    return result;
}

/* Destroys a context when that was its last attachment, which only the driver knows. */
CUresult hook_cuCtxDetach(__typeof__(cuCtxDetach) *next, CUcontext ctx)
{
    unsigned version;
    CUresult result = next(ctx);

    if (result == CUDA_SUCCESS && contexts_is_created(ctx) && real.cuCtxGetApiVersion &&
        real.cuCtxGetApiVersion(ctx, &version) != CUDA_SUCCESS) {
        contexts_gone(ctx);
        going(ctx);
        gone(ctx);
    }
    return result;
}

CUresult hook_cuDevicePrimaryCtxRelease_v2(__typeof__(cuDevicePrimaryCtxRelease_v2) *next, CUdevice dev)
{
    CUcontext context = NULL;

    if (contexts_released(dev, &context))
        going(context);
    CUresult result = next(dev);

    gone(context);
    return result;
}

CUresult hook_cuGreenCtxDestroy(__typeof__(cuGreenCtxDestroy) *next, CUgreenCtx hCtx)
{
    CUcontext own = NULL, context = NULL;
    CUdevice device;
    unsigned ordinal;
    bool is_known = contexts_green_gone(hCtx, &device);

    if (is_known && real.cuCtxFromGreenCtx && real.cuCtxFromGreenCtx(&own, hCtx) == CUDA_SUCCESS &&
        !contexts_ordinal_of(own, &ordinal))
        modules_context_gone(own);
    if (is_known && contexts_released(device, &context))
        going(context);
    CUresult result = next(hCtx);

    gone(context);
    return result;
}

CUresult hook_cuDevicePrimaryCtxReset_v2(__typeof__(cuDevicePrimaryCtxReset_v2) *next, CUdevice dev)
{
    CUcontext context = contexts_primary(dev);

    if (context)
        going(context);
    CUresult result = next(dev);

    /* A program that had retained it still has it to release, and finds it dead until it is retained once more. */
    gone(context);
    return result;
}

void hook_context_peer(CUcontext peer, bool enabled)
{
    struct place place;
    unsigned owner;

    if (contexts_here(&place) && contexts_ordinal_of(peer, &owner))
        device_cuda_peer(owner, place.ordinal, enabled);
}
