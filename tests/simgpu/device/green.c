/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Green contexts, of which only what others can see is modelled: each retains the primary context of its device until it
 * is destroyed, whoever else does, and its work is work of that. The context that one is converted into is the primary
 * one's own handle; all of them have all multiprocessors.
 */
#include "device/context.h"
#include "driver/handle.h"

#include <stdlib.h>

/* A CUgreenCtx is the address of one. */
struct green {
    struct device *device;
};

CUresult sim_cuDeviceGetDevResource(CUdevice ordinal, CUdevResource *resource, CUdevResourceType type)
{
    if (!device_at(ordinal))
        return CUDA_ERROR_INVALID_DEVICE;
    if (!resource || type != CU_DEV_RESOURCE_TYPE_SM)
        return CUDA_ERROR_INVALID_VALUE;
    *resource = (CUdevResource){.type = type, .sm = {.smCount = 132}};
    return CUDA_SUCCESS;
}

CUresult sim_cuDevResourceGenerateDesc(CUdevResourceDesc *desc, CUdevResource *resources, unsigned count)
{
    static char all;

    if (!desc || !resources || !count)
        return CUDA_ERROR_INVALID_VALUE;
    *desc = (CUdevResourceDesc)&all;
    return CUDA_SUCCESS;
}

CUresult sim_cuGreenCtxCreate(CUgreenCtx *created, CUdevResourceDesc desc, CUdevice ordinal, unsigned flags)
{
    struct green *green = calloc(1, sizeof *green);
    CUcontext primary;
    CUresult result = CUDA_ERROR_INVALID_VALUE;

    if (created && desc && flags == CU_GREEN_CTX_DEFAULT_STREAM)
        result = green ? sim_cuDevicePrimaryCtxRetain(&primary, ordinal) : CUDA_ERROR_OUT_OF_MEMORY;
    if (result != CUDA_SUCCESS) {
        free(green);
        return result;
    }
    sim_lock();
    green->device = device_at(ordinal);
    if (!handle_add(green, HANDLE_GREEN))
        result = CUDA_ERROR_OUT_OF_MEMORY;
    else
        *created = (CUgreenCtx)green;
    return sim_leave(result);
}

/* Its primary context; NULL when it is none, or that is dead. */
static CUcontext primary_of(CUgreenCtx handle)
{
    const struct green *green = (const struct green *)handle;
    struct context *primary = NULL;

    sim_lock();
    if (handle_is(green, HANDLE_GREEN))
        primary = context_primary(green->device);
    if (primary && !primary->alive)
        primary = NULL;
    sim_unlock();
    return (CUcontext)primary;
}

CUresult sim_cuGreenCtxDestroy(CUgreenCtx handle)
{
    struct green *green = (struct green *)handle;
    int ordinal;

    sim_lock();
    if (!handle_is(green, HANDLE_GREEN))
        return sim_leave(CUDA_ERROR_INVALID_CONTEXT);
    handle_remove(green);
    ordinal = green->device->ordinal;
    free(green);
    sim_unlock();
    return sim_cuDevicePrimaryCtxRelease_v2(ordinal);
}

CUresult sim_cuCtxFromGreenCtx(CUcontext *context, CUgreenCtx handle)
{
    CUcontext primary = primary_of(handle);

    if (!context)
        return CUDA_ERROR_INVALID_VALUE;
    if (!primary)
        return CUDA_ERROR_INVALID_CONTEXT;
    *context = primary;
    return CUDA_SUCCESS;
}

CUresult sim_cuGreenCtxRecordEvent(CUgreenCtx handle, CUevent event)
{
    CUcontext primary = primary_of(handle);

    return primary ? sim_cuCtxRecordEvent(primary, event) : CUDA_ERROR_INVALID_CONTEXT;
}

CUresult sim_cuGreenCtxWaitEvent(CUgreenCtx handle, CUevent event)
{
    CUcontext primary = primary_of(handle);

    return primary ? sim_cuCtxWaitEvent(primary, event) : CUDA_ERROR_INVALID_CONTEXT;
}

CUresult sim_cuGreenCtxStreamCreate(CUstream *created, CUgreenCtx handle, unsigned flags, int priority)
{
    CUcontext primary = primary_of(handle), popped;
    CUresult result;

    if (!primary)
        return CUDA_ERROR_INVALID_CONTEXT;
    if (flags != CU_STREAM_NON_BLOCKING) /* which is required */
        return CUDA_ERROR_INVALID_VALUE;
    result = sim_cuCtxPushCurrent_v2(primary);
    if (result != CUDA_SUCCESS)
        return result;
    result = sim_cuStreamCreateWithPriority(created, flags, priority);
    sim_cuCtxPopCurrent_v2(&popped);
    return result;
}
