/* SPDX-License-Identifier: Apache-2.0 */
#include "driver.h"

#include "failure.h"
#include "kernel_file.h"
#include "peak.h"

void driver_check(CUresult result, const char *call)
{
    const char *text = "unknown error";

    if (result == CUDA_SUCCESS)
        return;
    if (cuGetErrorString(result, &text) != CUDA_SUCCESS)
        text = "unknown error";
    failure_exit(result == CUDA_ERROR_OUT_OF_MEMORY ? FAILURE_OUT_OF_MEMORY : FAILURE_OTHER, call, text);
}

CUcontext driver_retain(int ordinal)
{
    CUcontext context;
    CUdevice device;

    DRIVER(cuDeviceGet, (&device, ordinal));
    DRIVER(cuDevicePrimaryCtxRetain, (&context, device));
    return context;
}

void driver_release(int ordinal)
{
    CUdevice device;

    DRIVER(cuDeviceGet, (&device, ordinal));
    DRIVER(cuDevicePrimaryCtxRelease, (device));
}

void driver_open(void)
{
    DRIVER(cuInit, (0));
    DRIVER(cuCtxSetCurrent, (driver_retain(0)));
}

void driver_close(void)
{
    DRIVER(cuCtxSetCurrent, (NULL));
    driver_release(0);
}

CUdeviceptr driver_alloc(size_t bytes)
{
    CUdeviceptr pointer;

    DRIVER(cuMemAlloc, (&pointer, bytes));
    peak_add(bytes);
    return pointer;
}

void driver_free(CUdeviceptr pointer, size_t bytes)
{
    DRIVER(cuMemFree, (pointer));
    peak_remove(bytes);
}

CUmodule driver_load(const char *given)
{
    CUresult result = CUDA_ERROR_FILE_NOT_FOUND;
    CUmodule module = NULL;
    char path[4096];

    for (int n = 0; result != CUDA_SUCCESS && !kernel_file_path(given, n, path, sizeof(path)); n++)
        result = cuModuleLoad(&module, path);
    driver_check(result, "cuModuleLoad");
    return module;
}

CUfunction driver_function(CUmodule module, const char *name)
{
    CUfunction function;

    DRIVER(cuModuleGetFunction, (&function, module, name));
    return function;
}

CUdeviceptr driver_global(CUmodule module, const char *name, size_t bytes)
{
    CUdeviceptr address;
    size_t size;

    DRIVER(cuModuleGetGlobal, (&address, &size, module, name));
    if (size != bytes)
        failure_exit(FAILURE_OTHER, name, "has another size");
    return address;
}

void driver_launch(CUfunction function, uint64_t threads, void **arguments, CUstream stream)
{
    enum {
        THREADS = 256,
        MAX_BLOCKS = 4096
    };
    uint64_t blocks = (threads + THREADS - 1) / THREADS;
    unsigned grid = (unsigned)(blocks > MAX_BLOCKS ? MAX_BLOCKS : blocks ? blocks : 1);

    DRIVER(cuLaunchKernel, (function, grid, 1, 1, THREADS, 1, 1, 0, stream, arguments, NULL));
}
