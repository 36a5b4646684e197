/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/registry.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* The usual one falls through its cases without a word, which clang does not like. */
#define HASH_FUNCTION HASH_FNV
#include <uthash.h>
#include <utlist.h>

struct binary {
    struct binary *next;
    const void *image;
    CUlibrary library; /* on a driver without libraries a module of the context that was current */
    CUresult refused;  /* the driver will not have it, now or later */
};

struct kernel {
    const void *function;
    const struct kernel *itself;
    const char *name;
    struct binary *binary;
    CUfunction loaded; /* NULL: not yet */
    UT_hash_handle by_function, by_itself;
};

struct variable {
    const void *symbol;
    const char *name;
    size_t bytes;
    struct binary *binary;
    bool managed;
    UT_hash_handle hh;
};

/* Guards all of it; held while the driver loads. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct binary *binaries;
static struct kernel *kernels_by_function, *kernels_by_itself;
static struct variable *variables;

struct binary *registry_add(const void *image)
{
    struct binary *binary = calloc(1, sizeof *binary);

    if (!binary)
        return NULL;
    binary->image = image;
    pthread_mutex_lock(&lock);
    LL_PREPEND(binaries, binary);
    pthread_mutex_unlock(&lock);
    return binary;
}

/* With the lock held. */
static struct kernel *find_function(const void *function)
{
    struct kernel *kernel;

    HASH_FIND(by_function, kernels_by_function, &function, sizeof function, kernel);
    return kernel;
}

void registry_add_kernel(struct binary *binary, const void *function, const char *name)
{
    struct kernel *kernel;

    pthread_mutex_lock(&lock);
    /* An inline template is registered by each object that has it, with one address: the first does. */
    kernel = find_function(function) ? NULL : calloc(1, sizeof *kernel);
    if (kernel) {
        kernel->function = function;
        kernel->itself = kernel;
        kernel->name = name;
        kernel->binary = binary;
        HASH_ADD(by_function, kernels_by_function, function, sizeof kernel->function, kernel);
        HASH_ADD(by_itself, kernels_by_itself, itself, sizeof kernel->itself, kernel);
    }
    pthread_mutex_unlock(&lock);
}

void registry_add_variable(struct binary *binary, const void *symbol, const char *name, size_t bytes,
                           bool managed)
{
    struct variable *variable;

    pthread_mutex_lock(&lock);
    HASH_FIND(hh, variables, &symbol, sizeof symbol, variable);
    variable = variable ? NULL : calloc(1, sizeof *variable);
    if (variable) {
        variable->symbol = symbol;
        variable->name = name;
        variable->bytes = bytes;
        variable->binary = binary;
        variable->managed = managed;
        HASH_ADD(hh, variables, symbol, sizeof variable->symbol, variable);
    }
    pthread_mutex_unlock(&lock);
}

/* With the lock held. A driver that has ended says so, and has unloaded it already. */
static void binary_unload(struct binary *binary)
{
    struct kernel *kernel, *next;

    if (!binary->library)
        return;
    if (driver_has_libraries())
        driver.cuLibraryUnload_v12000(binary->library);
    else
        driver.cuModuleUnload_v2000((CUmodule)binary->library);
    binary->library = NULL;
    HASH_ITER(by_function, kernels_by_function, kernel, next) {
        if (kernel->binary == binary)
            kernel->loaded = NULL;
    }
}

void registry_remove(struct binary *binary)
{
    struct kernel *kernel, *next_kernel;
    struct variable *variable, *next_variable;

    pthread_mutex_lock(&lock);
    binary_unload(binary);
    HASH_ITER(by_function, kernels_by_function, kernel, next_kernel) {
        if (kernel->binary != binary)
            continue;
        HASH_DELETE(by_function, kernels_by_function, kernel);
        HASH_DELETE(by_itself, kernels_by_itself, kernel);
        free(kernel);
    }
    HASH_ITER(hh, variables, variable, next_variable) {
        if (variable->binary != binary)
            continue;
        HASH_DELETE(hh, variables, variable);
        free(variable);
    }
    LL_DELETE(binaries, binary);
    pthread_mutex_unlock(&lock);
    free(binary);
}

struct kernel *registry_find(const void *function)
{
    struct kernel *kernel;

    pthread_mutex_lock(&lock);
    kernel = find_function(function);
    pthread_mutex_unlock(&lock);
    return kernel;
}

/* With the lock held. */
static CUresult binary_load(struct binary *binary)
{
    CUresult result = binary->refused;

    if (binary->library || result != CUDA_SUCCESS)
        return result;
    if (driver_has_libraries())
        result =
            driver.cuLibraryLoadData_v12000(&binary->library, binary->image, NULL, NULL, 0, NULL, NULL, 0);
    else
        result = driver.cuModuleLoadData_v2000((CUmodule *)&binary->library, binary->image);
    if (result == CUDA_ERROR_NO_BINARY_FOR_GPU || result == CUDA_ERROR_INVALID_IMAGE)
        binary->refused = result;
    return result;
}

/* With the lock held. */
static CUresult kernel_load(struct kernel *kernel)
{
    CUresult result = binary_load(kernel->binary);

    if (result != CUDA_SUCCESS || kernel->loaded)
        return result;
    result = driver_has_libraries() ? driver.cuLibraryGetKernel_v12000((CUkernel *)&kernel->loaded,
                                                                       kernel->binary->library, kernel->name)
                                    : driver.cuModuleGetFunction_v2000(
                                          &kernel->loaded, (CUmodule)kernel->binary->library, kernel->name);
    return result == CUDA_ERROR_NOT_FOUND ? (CUresult)cudaErrorInvalidDeviceFunction : result;
}

CUresult registry_kernel(const void *function, CUfunction *found)
{
    CUresult result = CUDA_SUCCESS;
    struct kernel *kernel;

    if (!function)
        return (CUresult)cudaErrorInvalidDeviceFunction;
    pthread_mutex_lock(&lock);
    kernel = find_function(function);
    if (!kernel)
        HASH_FIND(by_itself, kernels_by_itself, &function, sizeof function, kernel);
    if (kernel)
        result = kernel_load(kernel);
    if (result == CUDA_SUCCESS)
        *found = kernel ? kernel->loaded : (CUfunction)function;
    pthread_mutex_unlock(&lock);
    return result;
}

CUresult registry_enter(const void *function, CUfunction *kernel)
{
    CUresult result = runtime_enter();

    return result == CUDA_SUCCESS ? registry_kernel(function, kernel) : result;
}

/* With the lock held. */
static CUresult variable_find(const struct variable *variable, CUdeviceptr *address, size_t *bytes)
{
    CUresult result = binary_load(variable->binary);
    CUlibrary library = variable->binary->library;

    if (result != CUDA_SUCCESS)
        return result;
    if (!driver_has_libraries())
        result = driver.cuModuleGetGlobal_v3020(address, bytes, (CUmodule)library, variable->name);
    else if (variable->managed)
        result = driver.cuLibraryGetManaged_v12000(address, bytes, library, variable->name);
    else
        result = driver.cuLibraryGetGlobal_v12000(address, bytes, library, variable->name);
    return result == CUDA_ERROR_NOT_FOUND ? (CUresult)cudaErrorInvalidSymbol : result;
}

CUresult registry_variable(const void *symbol, CUdeviceptr *address, size_t *bytes)
{
    CUresult result = (CUresult)cudaErrorInvalidSymbol;
    struct variable *variable;

    pthread_mutex_lock(&lock);
    HASH_FIND(hh, variables, &symbol, sizeof symbol, variable);
    if (variable)
        result = variable_find(variable, address, bytes);
    if (result == CUDA_SUCCESS && variable->bytes)
        *bytes = variable->bytes;
    pthread_mutex_unlock(&lock);
    return result;
}

CUresult registry_open(struct binary *binary)
{
    struct variable *variable, *next;
    CUresult result;

    pthread_mutex_lock(&lock);
    result = binary_load(binary);
    HASH_ITER(hh, variables, variable, next) {
        CUdeviceptr address;
        size_t bytes;

        if (result != CUDA_SUCCESS || variable->binary != binary || !variable->managed)
            continue;
        result = variable_find(variable, &address, &bytes);
        if (result == CUDA_SUCCESS)
            memcpy((void *)variable->symbol, &address, sizeof address);
    }
    pthread_mutex_unlock(&lock);
    return result;
}

void registry_unload(void)
{
    struct binary *binary;

    pthread_mutex_lock(&lock);
    LL_FOREACH(binaries, binary)
        binary_unload(binary);
    pthread_mutex_unlock(&lock);
}
