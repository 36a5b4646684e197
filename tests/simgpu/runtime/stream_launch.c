/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels, host functions and graphs put on a stream. Built once per flavour of the default stream. */
#include "runtime/node.h"
#include "runtime/registry.h"

#ifdef CUDA_API_PER_THREAD_DEFAULT_STREAM
#define launch_registered __cudaLaunchKernel_ptsz
#else
#define launch_registered __cudaLaunchKernel
#endif

__attribute__((visibility("default"))) cudaError_t launch_registered(cudaKernel_t kernel, dim3 grid,
                                                                     dim3 block, void **arguments,
                                                                     size_t shared_bytes,
                                                                     cudaStream_t stream);

static bool exceeds(unsigned value, CUdevice_attribute attribute)
{
    int limit = 0;

    return !value ||
           (driver.cuDeviceGetAttribute_v2000(&limit, attribute, runtime_device()) == CUDA_SUCCESS &&
            value > (unsigned)limit);
}

static bool is_configuration(dim3 grid, dim3 block)
{
    size_t threads = (size_t)block.x * block.y * block.z;

    return !exceeds(grid.x, CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X) &&
           !exceeds(grid.y, CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y) &&
           !exceeds(grid.z, CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z) &&
           !exceeds(block.x, CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X) &&
           !exceeds(block.y, CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y) &&
           !exceeds(block.z, CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z) &&
           !exceeds(threads > UINT32_MAX ? UINT32_MAX : (unsigned)threads,
                    CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK);
}

/* Whether the driver knows a kernel, or on an old driver a function, by that handle. */
static bool is_kernel(CUfunction kernel)
{
    int value;

    return driver_has_libraries()
               ? driver.cuKernelGetAttribute_v12000(&value, CU_FUNC_ATTRIBUTE_NUM_REGS, (CUkernel)kernel,
                                                    runtime_device()) != CUDA_ERROR_INVALID_HANDLE
               : driver.cuFuncGetAttribute_v2020(&value, CU_FUNC_ATTRIBUTE_NUM_REGS, kernel) !=
                     CUDA_ERROR_INVALID_HANDLE;
}

/* The runtime says more exactly than the driver what is wrong with a launch. */
static CUresult explain(CUresult result, CUfunction kernel, dim3 grid, dim3 block)
{
    if (result == CUDA_ERROR_INVALID_VALUE && !is_configuration(grid, block))
        return (CUresult)cudaErrorInvalidConfiguration;
    if (result == CUDA_ERROR_INVALID_HANDLE && !is_kernel(kernel))
        return (CUresult)cudaErrorInvalidDeviceFunction;
    return result;
}

/* The driver takes a CUkernel wherever it takes a CUfunction. */
cudaError_t cudaLaunchKernel(const void *function, dim3 grid, dim3 block, void **arguments,
                             size_t shared_bytes, cudaStream_t stream)
{
    CUfunction kernel;
    CUresult result = registry_enter(function, &kernel);

    if (result == CUDA_SUCCESS)
        result = explain(STREAM(cuLaunchKernel)(kernel, grid.x, grid.y, grid.z, block.x, block.y, block.z,
                                                (unsigned int)shared_bytes, stream, arguments, NULL),
                         kernel, grid, block);
    return runtime_finish(result);
}

/* What the stubs of newer compilers call with what __cudaGetKernel gave them. */
cudaError_t launch_registered(cudaKernel_t kernel, dim3 grid, dim3 block, void **arguments,
                              size_t shared_bytes, cudaStream_t stream)
{
    return cudaLaunchKernel((const void *)kernel, grid, block, arguments, shared_bytes, stream);
}

cudaError_t cudaLaunchCooperativeKernel(const void *function, dim3 grid, dim3 block, void **arguments,
                                        size_t shared_bytes, cudaStream_t stream)
{
    CUfunction kernel;
    CUresult result = registry_enter(function, &kernel);

    if (result == CUDA_SUCCESS)
        result =
            explain(STREAM(cuLaunchCooperativeKernel)(kernel, grid.x, grid.y, grid.z, block.x, block.y,
                                                      block.z, (unsigned int)shared_bytes, stream, arguments),
                    kernel, grid, block);
    return runtime_finish(result);
}

cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t *config, const void *function, void **arguments)
{
    CUfunction kernel;
    CUresult result = registry_enter(function, &kernel);
    CUlaunchConfig launch;

    if (result == CUDA_SUCCESS && !config)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result != CUDA_SUCCESS)
        return runtime_finish(result);
    launch = launch_describe(config);
    result = STREAM(cuLaunchKernelEx)(&launch, kernel, arguments, NULL);
    return runtime_finish(explain(result, kernel, config->gridDim, config->blockDim));
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
