/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels by whatever name a program has for them: the function of the host that stands for one, or a cudaKernel_t. */
#include "runtime/node.h"
#include "runtime/registry.h"

#include <string.h>

/* The only handle that a driver is given here is the kernel's. */
static cudaError_t function_finish(CUresult result)
{
    return runtime_finish(result == CUDA_ERROR_INVALID_HANDLE ? (CUresult)cudaErrorInvalidDeviceFunction
                                                              : result);
}

cudaError_t cudaGetKernel(cudaKernel_t *kernel, const void *function)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS && (!kernel || !registry_find(function)))
        result = kernel ? (CUresult)cudaErrorInvalidDeviceFunction : CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        result = registry_kernel(function, (CUfunction *)kernel);
    return function_finish(result);
}

cudaError_t cudaGetFuncBySymbol(cudaFunction_t *function, const void *symbol)
{
    CUfunction kernel;
    CUresult result = registry_enter(symbol, &kernel);

    if (result == CUDA_SUCCESS && !function)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS && driver_has_libraries())
        result = driver.cuKernelGetFunction_v12000(&kernel, (CUkernel)kernel);
    if (result == CUDA_SUCCESS)
        *function = kernel;
    return function_finish(result);
}

cudaError_t cudaFuncGetName(const char **name, const void *function)
{
    CUfunction kernel;
    CUresult result = registry_enter(function, &kernel);

    if (result == CUDA_SUCCESS)
        result = driver.cuKernelGetName_v12030(name, (CUkernel)kernel);
    return function_finish(result);
}

cudaError_t cudaFuncGetParamInfo(const void *function, size_t index, size_t *offset, size_t *size)
{
    CUfunction kernel;
    CUresult result = registry_enter(function, &kernel);

    if (result == CUDA_SUCCESS)
        result = driver.cuKernelGetParamInfo_v12040((CUkernel)kernel, index, offset, size);
    return function_finish(result);
}

cudaError_t cudaFuncSetCacheConfig(const void *function, enum cudaFuncCache config)
{
    CUfunction kernel;
    CUresult result = registry_enter(function, &kernel);

    if (result == CUDA_SUCCESS)
        result =
            driver.cuKernelSetCacheConfig_v12000((CUkernel)kernel, (CUfunc_cache)config, runtime_device());
    return function_finish(result);
}

cudaError_t cudaFuncSetAttribute(const void *function, enum cudaFuncAttribute attribute, int value)
{
    CUfunction kernel;
    CUresult result = registry_enter(function, &kernel);

    if (result == CUDA_SUCCESS)
        result = driver.cuKernelSetAttribute_v12000((CUfunction_attribute)attribute, value, (CUkernel)kernel,
                                                    runtime_device());
    return function_finish(result);
}

static CUresult attribute_get(CUfunction_attribute attribute, CUfunction kernel, int *value)
{
    return driver.cuKernelGetAttribute_v12000(value, attribute, (CUkernel)kernel, runtime_device());
}

cudaError_t cudaFuncGetAttributes(struct cudaFuncAttributes *attributes, const void *function)
{
    CUfunction kernel;
    CUresult result = registry_enter(function, &kernel);
    int shared = 0, constant = 0, local = 0;

    if (result == CUDA_SUCCESS && !attributes)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result != CUDA_SUCCESS)
        return function_finish(result);
    memset(attributes, 0, sizeof(*attributes));
    struct {
        CUfunction_attribute attribute;
        int *value;
    } asked[] = {
        {CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, &shared},
        {CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES, &constant},
        {CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES, &local},
        {CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, &attributes->maxThreadsPerBlock},
        {CU_FUNC_ATTRIBUTE_NUM_REGS, &attributes->numRegs},
        {CU_FUNC_ATTRIBUTE_PTX_VERSION, &attributes->ptxVersion},
        {CU_FUNC_ATTRIBUTE_BINARY_VERSION, &attributes->binaryVersion},
        {CU_FUNC_ATTRIBUTE_CACHE_MODE_CA, &attributes->cacheModeCA},
        {CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, &attributes->maxDynamicSharedSizeBytes},
        {CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT, &attributes->preferredShmemCarveout},
    };
    for (size_t i = 0; i < sizeof(asked) / sizeof(*asked) && result == CUDA_SUCCESS; i++)
        result = attribute_get(asked[i].attribute, kernel, asked[i].value);
    attributes->sharedSizeBytes = (size_t)shared;
    attributes->constSizeBytes = (size_t)constant;
    attributes->localSizeBytes = (size_t)local;
    return function_finish(result);
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *blocks, const void *function,
                                                                   int block, size_t shared_bytes,
                                                                   unsigned int flags)
{
    CUfunction kernel;
    CUresult result = registry_enter(function, &kernel);

    if (result == CUDA_SUCCESS)
        result = driver.cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags_v7000(blocks, kernel, block,
                                                                                   shared_bytes, flags);
    return function_finish(result);
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, const void *function, int block,
                                                          size_t shared_bytes)
{
    return cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(blocks, function, block, shared_bytes, 0);
}

cudaError_t cudaOccupancyAvailableDynamicSMemPerBlock(size_t *shared_bytes, const void *function, int blocks,
                                                      int block)
{
    CUfunction kernel;
    CUresult result = registry_enter(function, &kernel);

    if (result == CUDA_SUCCESS)
        result = driver.cuOccupancyAvailableDynamicSMemPerBlock_v10020(shared_bytes, kernel, blocks, block);
    return function_finish(result);
}

CUlaunchConfig launch_describe(const cudaLaunchConfig_t *config)
{
    return (CUlaunchConfig){.gridDimX = config->gridDim.x,
                            .gridDimY = config->gridDim.y,
                            .gridDimZ = config->gridDim.z,
                            .blockDimX = config->blockDim.x,
                            .blockDimY = config->blockDim.y,
                            .blockDimZ = config->blockDim.z,
                            .sharedMemBytes = (unsigned)config->dynamicSmemBytes,
                            .hStream = config->stream,
                            .attrs = (CUlaunchAttribute *)config->attrs,
                            .numAttrs = config->numAttrs};
}

cudaError_t cudaOccupancyMaxActiveClusters(int *clusters, const void *function,
                                           const cudaLaunchConfig_t *config)
{
    CUfunction kernel;
    CUresult result = registry_enter(function, &kernel);
    CUlaunchConfig launch;

    if (result == CUDA_SUCCESS && !config)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        launch = launch_describe(config);
    if (result == CUDA_SUCCESS)
        result = driver.cuOccupancyMaxActiveClusters_v11070(clusters, kernel, &launch);
    return function_finish(result);
}

cudaError_t cudaOccupancyMaxPotentialClusterSize(int *size, const void *function,
                                                 const cudaLaunchConfig_t *config)
{
    CUfunction kernel;
    CUresult result = registry_enter(function, &kernel);
    CUlaunchConfig launch;

    if (result == CUDA_SUCCESS && !config)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        launch = launch_describe(config);
    if (result == CUDA_SUCCESS)
        result = driver.cuOccupancyMaxPotentialClusterSize_v11070(size, kernel, &launch);
    return function_finish(result);
}
