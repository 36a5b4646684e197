/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that another process opens: the driver's calls, with the runtime's structure of the same bytes. */
#include "runtime/runtime.h"

#include <string.h>

_Static_assert(sizeof(cudaIpcMemHandle_t) == sizeof(CUipcMemHandle), "one handle under two names");

cudaError_t cudaIpcGetMemHandle(cudaIpcMemHandle_t *handle, void *pointer)
{
    CUresult result = runtime_enter();
    CUipcMemHandle own;

    if (result == CUDA_SUCCESS && !handle)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        result = driver.cuIpcGetMemHandle_v4010(&own, (CUdeviceptr)pointer);
    if (result == CUDA_SUCCESS)
        memcpy(handle, &own, sizeof own);
    return runtime_finish(result);
}

cudaError_t cudaIpcOpenMemHandle(void **pointer, cudaIpcMemHandle_t handle, unsigned int flags)
{
    CUresult result = runtime_enter();
    CUdeviceptr address;
    CUipcMemHandle own;

    if (result == CUDA_SUCCESS && !pointer)
        result = CUDA_ERROR_INVALID_VALUE;
    memcpy(&own, &handle, sizeof own);
    if (result == CUDA_SUCCESS)
        result = driver.cuIpcOpenMemHandle_v11000(&address, own, flags);
    if (result == CUDA_SUCCESS)
        *pointer = (void *)address;
    return runtime_finish(result);
}

cudaError_t cudaIpcCloseMemHandle(void *pointer)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = driver.cuIpcCloseMemHandle_v4010((CUdeviceptr)pointer);
    return runtime_finish(result);
}

cudaError_t cudaIpcGetEventHandle(cudaIpcEventHandle_t *handle, cudaEvent_t event)
{
    CUresult result = runtime_enter();
    CUipcEventHandle own;

    _Static_assert(sizeof(cudaIpcEventHandle_t) == sizeof own, "one handle under two names");
    if (result == CUDA_SUCCESS && !handle)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        result = driver.cuIpcGetEventHandle_v4010(&own, event);
    if (result == CUDA_SUCCESS)
        memcpy(handle, &own, sizeof own);
    return runtime_finish(result);
}

cudaError_t cudaIpcOpenEventHandle(cudaEvent_t *event, cudaIpcEventHandle_t handle)
{
    CUresult result = runtime_enter();
    CUipcEventHandle own;

    memcpy(&own, &handle, sizeof own);
    if (result == CUDA_SUCCESS)
        result = driver.cuIpcOpenEventHandle_v4010(event, own);
    return runtime_finish(result);
}
