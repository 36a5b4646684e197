/* SPDX-License-Identifier: Apache-2.0 */
/* A library that defines the runtime's functions and forwards them to a runtime that it opens when it is first called. */
#include <cuda_runtime_api.h>
#include <dlfcn.h>

static void *runtime_function(const char *name)
{
    static void *runtime;

    if (!runtime)
        runtime = dlopen("libcudart.so.13", RTLD_NOW | RTLD_LOCAL);
    return runtime ? dlsym(runtime, name) : NULL;
}

#define FORWARD(name, parameters, arguments)                                                                 \
    __attribute__((visibility("default"))) cudaError_t name parameters                                       \
    {                                                                                                        \
        __typeof__(name) *next = (__typeof__(name) *)runtime_function(#name);                                \
                                                                                                             \
        return next ? next arguments : cudaErrorSharedObjectSymbolNotFound;                                  \
    }

FORWARD(cudaMalloc, (void **out, size_t bytes), (out, bytes))
FORWARD(cudaFree, (void *memory), (memory))
FORWARD(cudaMemsetAsync, (void *to, int value, size_t bytes, cudaStream_t stream), (to, value, bytes, stream))
FORWARD(cudaMemcpy, (void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind),
        (to, from, bytes, kind))
FORWARD(cudaStreamSynchronize, (cudaStream_t stream), (stream))
