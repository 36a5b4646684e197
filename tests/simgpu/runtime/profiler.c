/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/runtime.h"

/* Of the same visibility as all of NVIDIA's. */
#pragma GCC visibility push(default)
#include <cuda_profiler_api.h>
#pragma GCC visibility pop

cudaError_t cudaProfilerStart(void)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = driver.cuProfilerStart_v4000();
    return runtime_finish(result);
}

cudaError_t cudaProfilerStop(void)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = driver.cuProfilerStop_v4000();
    return runtime_finish(result);
}
