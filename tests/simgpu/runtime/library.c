/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Libraries and their kernels. A cudaKernel_t is the driver's CUkernel. On a driver without libraries, older than 12.0,
 * they are modules of the current context and their functions.
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

cudaError_t cudaLibraryGetManaged(void **pointer, size_t *bytes, cudaLibrary_t library, const char *name)
{
    CUresult result = runtime_enter();
    CUdeviceptr address = 0;

    if (result == CUDA_SUCCESS)
        result = driver.cuLibraryGetManaged_v12000(&address, bytes, library, name);
    if (result == CUDA_SUCCESS && pointer)
        *pointer = (void *)address;
    return runtime_finish(result);
}

cudaError_t cudaLibraryGetUnifiedFunction(void **function, cudaLibrary_t library, const char *symbol)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = driver.cuLibraryGetUnifiedFunction_v12000(function, library, symbol);
    return runtime_finish(result);
}

cudaError_t cudaLibraryGetKernelCount(unsigned int *count, cudaLibrary_t library)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = driver.cuLibraryGetKernelCount_v12040(count, library);
    return runtime_finish(result);
}

cudaError_t cudaLibraryEnumerateKernels(cudaKernel_t *kernels, unsigned int count, cudaLibrary_t library)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = driver.cuLibraryEnumerateKernels_v12040(kernels, count, library);
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
