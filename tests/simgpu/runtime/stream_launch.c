/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels, host functions and graphs put on a stream. Built once per flavour of the default stream. */
#include "runtime/runtime.h"

cudaError_t cudaLaunchKernel(const void *function, dim3 grid, dim3 block, void **arguments,
                             size_t shared_bytes, cudaStream_t stream)
{
    CUresult result = runtime_enter();

    /* The driver takes a CUkernel wherever it takes a CUfunction. */
    if (result == CUDA_SUCCESS)
        result = STREAM(cuLaunchKernel)((CUfunction)function, grid.x, grid.y, grid.z, block.x, block.y,
                                        block.z, (unsigned int)shared_bytes, stream, arguments, NULL);
    return runtime_finish(result);
}

cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t *config, const void *function, void **arguments)
{
    CUresult result = runtime_enter();
    CUlaunchConfig launch;

    if (result == CUDA_SUCCESS && !config)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result != CUDA_SUCCESS)
        return runtime_finish(result);
    launch = (CUlaunchConfig){
        .gridDimX = config->gridDim.x,
        .gridDimY = config->gridDim.y,
        .gridDimZ = config->gridDim.z,
        .blockDimX = config->blockDim.x,
        .blockDimY = config->blockDim.y,
        .blockDimZ = config->blockDim.z,
        .sharedMemBytes = (unsigned int)config->dynamicSmemBytes,
        .hStream = config->stream,
        .attrs = (CUlaunchAttribute *)config->attrs,
        .numAttrs = config->numAttrs,
    };
    return runtime_finish(STREAM(cuLaunchKernelEx)(&launch, (CUfunction)function, arguments, NULL));
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void *argument)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = STREAM(cuLaunchHostFunc)(stream, function, argument);
    return runtime_finish(result);
}

cudaError_t cudaGraphUpload(cudaGraphExec_t exec, cudaStream_t stream)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = STREAM(cuGraphUpload)(exec, stream);
    return runtime_finish(result);
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = STREAM(cuGraphLaunch)(exec, stream);
    return runtime_finish(result);
}
