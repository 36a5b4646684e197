/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Libraries and their kernels. A cudaKernel_t is the driver's CUkernel; there are no other functions here, as
 * kernels that nvcc registers at start are not implemented. On a driver without libraries, older than 12.0, they are
 * modules of the current context and their functions.
 */
#include "runtime/runtime.h"

#include <string.h>

cudaError_t cudaLibraryLoadData(cudaLibrary_t *library, const void *code, enum cudaJitOption *jit_options,
                                void **jit_values, unsigned int jit_count,
                                enum cudaLibraryOption *library_options, void **library_values,
                                unsigned int library_count)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS && !driver_has_libraries())
        result = driver.cuModuleLoadData_v2000((CUmodule *)library, code);
    else if (result == CUDA_SUCCESS)
        result = driver.cuLibraryLoadData_v12000(library, code, (CUjit_option *)jit_options, jit_values,
                                                 jit_count, (CUlibraryOption *)library_options,
                                                 library_values, library_count);
    return runtime_finish(result);
}

cudaError_t cudaLibraryLoadFromFile(cudaLibrary_t *library, const char *file, enum cudaJitOption *jit_options,
                                    void **jit_values, unsigned int jit_count,
                                    enum cudaLibraryOption *library_options, void **library_values,
                                    unsigned int library_count)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS && !driver_has_libraries())
        result = driver.cuModuleLoad_v2000((CUmodule *)library, file);
    else if (result == CUDA_SUCCESS)
        result = driver.cuLibraryLoadFromFile_v12000(library, file, (CUjit_option *)jit_options, jit_values,
                                                     jit_count, (CUlibraryOption *)library_options,
                                                     library_values, library_count);
    return runtime_finish(result);
}

cudaError_t cudaLibraryUnload(cudaLibrary_t library)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = driver_has_libraries() ? driver.cuLibraryUnload_v12000(library)
                                        : driver.cuModuleUnload_v2000((CUmodule)library);
    return runtime_finish(result);
}

cudaError_t cudaLibraryGetKernel(cudaKernel_t *kernel, cudaLibrary_t library, const char *name)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = driver_has_libraries()
                     ? driver.cuLibraryGetKernel_v12000(kernel, library, name)
                     : driver.cuModuleGetFunction_v2000((CUfunction *)kernel, (CUmodule)library, name);
    return runtime_finish(result);
}

cudaError_t cudaLibraryGetGlobal(void **pointer, size_t *bytes, cudaLibrary_t library, const char *name)
{
    CUresult result = runtime_enter();
    CUdeviceptr address = 0;

    if (result == CUDA_SUCCESS)
        result = driver_has_libraries()
                     ? driver.cuLibraryGetGlobal_v12000(&address, bytes, library, name)
                     : driver.cuModuleGetGlobal_v3020(&address, bytes, (CUmodule)library, name);
    if (result == CUDA_SUCCESS && pointer)
        *pointer = (void *)address;
    return runtime_finish(result);
}

cudaError_t cudaKernelSetAttributeForDevice(cudaKernel_t kernel, enum cudaFuncAttribute attribute, int value,
                                            int device)
{
    CUresult result = runtime_enter();
    CUdevice handle;

    if (result == CUDA_SUCCESS)
        result = driver.cuDeviceGet_v2000(&handle, device);
    if (result == CUDA_SUCCESS)
        result = driver.cuKernelSetAttribute_v12000((CUfunction_attribute)attribute, value, kernel, handle);
    return runtime_finish(result);
}

cudaError_t cudaFuncSetAttribute(const void *function, enum cudaFuncAttribute attribute, int value)
{
    CUresult result = runtime_enter();

    if (result != CUDA_SUCCESS)
        return runtime_finish(result);
    return cudaKernelSetAttributeForDevice((cudaKernel_t)function, attribute, value, runtime_device());
}

static CUresult attribute_get(CUfunction_attribute attribute, const void *function, CUdevice device,
                              int *value)
{
    return driver.cuKernelGetAttribute_v12000(value, attribute, (CUkernel)function, device);
}

cudaError_t cudaFuncGetAttributes(struct cudaFuncAttributes *attributes, const void *function)
{
    CUresult result = runtime_enter();
    int shared = 0, constant = 0, local = 0;
    CUdevice device;

    if (result == CUDA_SUCCESS && !attributes)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        result = driver.cuDeviceGet_v2000(&device, runtime_device());
    if (result != CUDA_SUCCESS)
        return runtime_finish(result);
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
        result = attribute_get(asked[i].attribute, function, device, asked[i].value);
    attributes->sharedSizeBytes = (size_t)shared;
    attributes->constSizeBytes = (size_t)constant;
    attributes->localSizeBytes = (size_t)local;
    return runtime_finish(result);
}
