/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime.h"

#include "failure.h"
#include "kernel_file.h"
#include "peak.h"

void runtime_check(cudaError_t error, const char *call)
{
    if (error != cudaSuccess)
        failure_exit(error == cudaErrorMemoryAllocation ? FAILURE_OUT_OF_MEMORY : FAILURE_OTHER, call,
                     cudaGetErrorString(error));
}

void *runtime_alloc(size_t bytes)
{
    void *pointer;

    RUNTIME(cudaMalloc, (&pointer, bytes));
    peak_add(bytes);
    return pointer;
}

void runtime_free(void *pointer, size_t bytes)
{
    RUNTIME(cudaFree, (pointer));
    peak_remove(bytes);
}

cudaLibrary_t runtime_load(const char *given)
{
    cudaError_t error = cudaErrorFileNotFound;
    cudaLibrary_t library = NULL;
    char path[4096];

    for (int n = 0; error != cudaSuccess && !kernel_file_path(given, n, path, sizeof(path)); n++)
        error = cudaLibraryLoadFromFile(&library, path, NULL, NULL, 0, NULL, NULL, 0);
    runtime_check(error, "cudaLibraryLoadFromFile");
    /* A file that was refused before the right one was found is no error of the program's. */
    (void)cudaGetLastError();
    return library;
}

cudaKernel_t runtime_kernel(cudaLibrary_t library, const char *name)
{
    cudaKernel_t kernel;

    RUNTIME(cudaLibraryGetKernel, (&kernel, library, name));
    return kernel;
}

void runtime_launch(cudaKernel_t kernel, uint64_t threads, void **arguments, cudaStream_t stream)
{
    enum {
        THREADS = 256,
        MAX_BLOCKS = 4096
    };
    uint64_t blocks = (threads + THREADS - 1) / THREADS;
    dim3 grid = {(unsigned)(blocks > MAX_BLOCKS ? MAX_BLOCKS : blocks ? blocks : 1), 1, 1};
    dim3 block = {THREADS, 1, 1};

    RUNTIME(cudaLaunchKernel, ((const void *)kernel, grid, block, arguments, 0, stream));
}
