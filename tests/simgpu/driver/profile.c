/* SPDX-License-Identifier: Apache-2.0 */
/* What programs tell profilers, and what the driver logs: nobody listens, and nothing is logged. */
#include "driver/entry.h"

CUresult sim_cuProfilerInitialize(const char *config, const char *output, CUoutput_mode mode)
{
    (void)config, (void)output, (void)mode;
    return CUDA_SUCCESS;
}

CUresult sim_cuProfilerStart(void)
{
    return CUDA_SUCCESS;
}

CUresult sim_cuProfilerStop(void)
{
    return CUDA_SUCCESS;
}

/* Every registration is one and the same, as no line will ever be told to any of them. */
static char registration;

CUresult sim_cuLogsRegisterCallback(CUlogsCallback callback, void *data, CUlogsCallbackHandle *handle)
{
    (void)data;
    if (!callback)
        return CUDA_ERROR_INVALID_VALUE;
    if (handle)
        *handle = (CUlogsCallbackHandle)&registration;
    return CUDA_SUCCESS;
}

CUresult sim_cuLogsUnregisterCallback(CUlogsCallbackHandle handle)
{
    return handle == (CUlogsCallbackHandle)&registration ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
