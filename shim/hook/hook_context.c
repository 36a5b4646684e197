/* SPDX-License-Identifier: Apache-2.0 */
/* Contexts come and go: the driver frees with a context what was allocated in it, so the blocks go first. */
#include "cuda/capture.h"
#include "cuda/contexts.h"
#include "cuda/device_cuda.h"
#include "cuda/driver_memory.h"
#include "cuda/kernel_parameters.h"
#include "engine/core.h"
#include "hook/hooks.h"

static CUresult created(CUresult result, CUcontext *context, CUdevice device)
{
    if (result == CUDA_SUCCESS && context) {
        contexts_add(*context, device);
        device_host_context_new();
    }
    return result;
}

/* Everything that dies with the context. Afterwards nothing of ours touches it. */
static void going(CUcontext context)
{
    core_context_gone(real_key(context));
    driver_memory_context_gone(context);
    kernel_parameters_forget_all();
    contexts_gone(context);
    device_host_context_gone(context);
}

CUresult hook_cuCtxCreate(__typeof__(cuCtxCreate) *next, CUcontext *pctx, unsigned int flags, CUdevice dev)
{
    return created(next(pctx, flags, dev), pctx, dev);
}

CUresult hook_cuCtxCreate_v3(__typeof__(cuCtxCreate_v3) *next, CUcontext *pctx,
                             CUexecAffinityParam *paramsArray, int numParams, unsigned int flags,
                             CUdevice dev)
{
    return created(next(pctx, paramsArray, numParams, flags, dev), pctx, dev);
}

CUresult hook_cuCtxCreate_v4(__typeof__(cuCtxCreate_v4) *next, CUcontext *pctx,
                             CUctxCreateParams *ctxCreateParams, unsigned int flags, CUdevice dev)
{
    return created(next(pctx, ctxCreateParams, flags, dev), pctx, dev);
}

CUresult hook_cuCtxDestroy_v2(__typeof__(cuCtxDestroy_v2) *next, CUcontext ctx)
{
    /* A primary context is not destroyed this way: the driver refuses, and its blocks stay. */
    if (ctx && contexts_is_created(ctx))
        going(ctx);
    CUresult result = next(ctx);

    if (result == CUDA_SUCCESS)
        capture_context_gone(ctx);
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
        capture_context_gone(ctx);
    }
    return result;
}

CUresult hook_cuDevicePrimaryCtxRetain(__typeof__(cuDevicePrimaryCtxRetain) *next, CUcontext *pctx,
                                       CUdevice dev)
{
    CUresult result = next(pctx, dev);

    if (result == CUDA_SUCCESS && pctx) {
        contexts_retained(*pctx, dev);
        device_host_context_new();
    }
    return result;
}

CUresult hook_cuDevicePrimaryCtxRelease_v2(__typeof__(cuDevicePrimaryCtxRelease_v2) *next, CUdevice dev)
{
    CUcontext context = NULL;

    if (contexts_released(dev, &context))
        going(context);
    CUresult result = next(dev);

    capture_context_gone(context);
    return result;
}

CUresult hook_cuDevicePrimaryCtxReset_v2(__typeof__(cuDevicePrimaryCtxReset_v2) *next, CUdevice dev)
{
    CUcontext context = contexts_primary(dev);

    if (context)
        going(context);
    CUresult result = next(dev);

    /* A program that had retained it still has it to release, and finds it dead until it is retained once more. */
    capture_context_gone(context);
    return result;
}

CUresult hook_cuGreenCtxCreate(__typeof__(cuGreenCtxCreate) *next, CUgreenCtx *phCtx, CUdevResourceDesc desc,
                               CUdevice dev, unsigned int flags)
{
    CUresult result = next(phCtx, desc, dev, flags);

    if (result == CUDA_SUCCESS && phCtx)
        contexts_add_green(*phCtx, dev);
    return result;
}

CUresult hook_cuGreenCtxDestroy(__typeof__(cuGreenCtxDestroy) *next, CUgreenCtx hCtx)
{
    if (hCtx)
        contexts_green_gone(hCtx);
    return next(hCtx);
}

static CUresult changed_peer(CUresult result, CUcontext peer, bool enabled)
{
    struct place place;
    unsigned owner;

    if (result == CUDA_SUCCESS && contexts_here(&place) && contexts_ordinal_of(peer, &owner))
        device_cuda_peer(owner, place.ordinal, enabled);
    return result;
}

CUresult hook_cuCtxEnablePeerAccess(__typeof__(cuCtxEnablePeerAccess) *next, CUcontext peerContext,
                                    unsigned int Flags)
{
    return changed_peer(next(peerContext, Flags), peerContext, true);
}

CUresult hook_cuCtxDisablePeerAccess(__typeof__(cuCtxDisablePeerAccess) *next, CUcontext peerContext)
{
    return changed_peer(next(peerContext), peerContext, false);
}
