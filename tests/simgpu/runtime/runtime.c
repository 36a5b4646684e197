/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/runtime.h"

#include "runtime/registry.h"

#include <pthread.h>
#include <stdio.h>

enum {
    MAX_DEVICES = 64
};

static pthread_once_t initialise_once = PTHREAD_ONCE_INIT;
static CUresult initialised;

/* Guards `primary`: which primary contexts this runtime has retained. */
static pthread_mutex_t primary_lock = PTHREAD_MUTEX_INITIALIZER;
static CUcontext primary[MAX_DEVICES];

static _Thread_local cudaError_t last_error;
static _Thread_local int current_device;

/* Errors of kernels, which leave their context of no use: asking for one does not make it forgotten. */
static bool is_lasting(cudaError_t error)
{
    switch (error) {
    case cudaErrorECCUncorrectable:
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorLaunchFailure:
        return true;
    default:
        return false;
    }
}

static void initialise(void)
{
    if (driver_load())
        initialised = (CUresult)cudaErrorInsufficientDriver;
    else
        initialised = driver.cuInit_v2000(0);
}

CUresult runtime_load(void)
{
    pthread_once(&initialise_once, initialise);
    return initialised;
}

static CUresult primary_retain(int ordinal, CUcontext *context)
{
    CUresult result = CUDA_SUCCESS;
    CUdevice device;

    pthread_mutex_lock(&primary_lock);
    if (!primary[ordinal]) {
        result = driver.cuDeviceGet_v2000(&device, ordinal);
        if (result == CUDA_SUCCESS)
            result = driver.cuDevicePrimaryCtxRetain_v7000(&primary[ordinal], device);
    }
    if (result == CUDA_SUCCESS)
        *context = primary[ordinal];
    pthread_mutex_unlock(&primary_lock);
    return result;
}

static CUresult retain_anew(int ordinal)
{
    CUdevice device;
    CUresult result = driver.cuDeviceGet_v2000(&device, ordinal);

    if (result == CUDA_SUCCESS)
        result = driver.cuDevicePrimaryCtxRelease_v7000(device);
    if (result == CUDA_SUCCESS)
        result = driver.cuDevicePrimaryCtxRetain_v7000(&primary[ordinal], device);
    return result;
}

/* A primary context of ours that somebody has reset lives again when it is retained anew. */
static CUresult primary_revive(CUcontext context)
{
    unsigned version;
    int ordinal = 0;
    CUresult result;

    pthread_mutex_lock(&primary_lock);
    while (ordinal < MAX_DEVICES && primary[ordinal] != context)
        ordinal++;
    result = driver.cuCtxGetApiVersion_v3020(context, &version); /* another thread may have been first */
    if (result == CUDA_ERROR_INVALID_CONTEXT && ordinal < MAX_DEVICES)
        result = retain_anew(ordinal);
    pthread_mutex_unlock(&primary_lock);
    return result;
}

CUresult runtime_enter(void)
{
    CUcontext context = NULL;
    CUresult result = runtime_load();
    unsigned version;

    if (result == CUDA_SUCCESS)
        result = driver.cuCtxGetCurrent_v4000(&context);
    if (result == CUDA_SUCCESS && context) {
        result = driver.cuCtxGetApiVersion_v3020(context, &version);
        return result == CUDA_ERROR_INVALID_CONTEXT ? primary_revive(context) : result;
    }
    if (result != CUDA_SUCCESS)
        return result;
    result = primary_retain(current_device, &context);
    if (result == CUDA_SUCCESS)
        result = driver.cuCtxSetCurrent_v4000(context);
    return result;
}

cudaError_t runtime_finish(CUresult result)
{
    if (result != CUDA_SUCCESS)
        last_error = (cudaError_t)result;
    return (cudaError_t)result;
}

int runtime_device(void)
{
    CUcontext context = NULL;
    CUdevice device;

    /* A context that the program made current through the driver decides, as in NVIDIA's library. */
    if (driver.cuCtxGetCurrent_v4000(&context) == CUDA_SUCCESS && context &&
        driver.cuCtxGetDevice_v2000(&device) == CUDA_SUCCESS)
        return device;
    return current_device;
}

CUresult runtime_context(int device, CUcontext *context)
{
    int count = 0;
    CUresult result = runtime_load();

    if (result == CUDA_SUCCESS)
        result = driver.cuDeviceGetCount_v2000(&count);
    if (result != CUDA_SUCCESS)
        return result;
    if (device < 0 || device >= count || device >= MAX_DEVICES)
        return CUDA_ERROR_INVALID_DEVICE;
    return primary_retain(device, context);
}

CUresult runtime_set_device(int device)
{
    CUcontext context;
    CUresult result = runtime_context(device, &context);

    if (result == CUDA_SUCCESS)
        result = driver.cuCtxSetCurrent_v4000(context);
    if (result == CUDA_SUCCESS)
        current_device = device;
    return result;
}

CUresult runtime_reset_device(void)
{
    CUdevice device;
    CUresult result = runtime_load();

    /* The context stays current and retained; the next call that needs it revives it, on whichever thread. */
    if (result == CUDA_SUCCESS)
        result = driver.cuDeviceGet_v2000(&device, runtime_device());
    if (result == CUDA_SUCCESS)
        result = driver.cuDevicePrimaryCtxReset_v7000(device);
    if (result == CUDA_SUCCESS) {
        registry_unload();
        if (is_lasting(last_error))
            last_error = cudaSuccess;
    }
    return result;
}

int runtime_refuse(const char *name, int *printed)
{
    int state;

    /* To print is a point of cancellation, which no function of a runtime is. */
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    if (!__atomic_exchange_n(printed, 1, __ATOMIC_RELAXED))
        fprintf(stderr, "simgpu: %s is not implemented by the simulated runtime\n", name);
    pthread_setcancelstate(state, NULL);
    return runtime_finish(CUDA_ERROR_NOT_SUPPORTED);
}

cudaError_t cudaGetLastError(void)
{
    cudaError_t error = last_error;

    if (!is_lasting(error))
        last_error = cudaSuccess;
    return error;
}

cudaError_t cudaPeekAtLastError(void)
{
    return last_error;
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
    if (!version)
        return runtime_finish(CUDA_ERROR_INVALID_VALUE);
    *version = RUNTIME_VERSION;
    return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int *version)
{
    if (!version)
        return runtime_finish(CUDA_ERROR_INVALID_VALUE);
    if (driver_load()) {
        *version = 0;
        return cudaSuccess;
    }
    return runtime_finish(driver.cuDriverGetVersion_v2020(version));
}
