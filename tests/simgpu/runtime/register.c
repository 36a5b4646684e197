/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What compilers call at a program's start, before main, for each object with device code, and around the launches that
 * they write `kernel<<<grid, block>>>(…)` as. No driver is needed before the first launch.
 */
#include "runtime/registry.h"

#include <vector_types.h>

/* Exported, and in no header that C can include. */
#pragma GCC visibility push(default)
void **__cudaRegisterFatBinary(void *image);
void __cudaRegisterFatBinaryEnd(void **binary);
void __cudaUnregisterFatBinary(void **binary);
void __cudaRegisterFunction(void **binary, const char *function, char *stub, const char *name,
                            int thread_limit, uint3 *tid, uint3 *bid, dim3 *block, dim3 *grid, int *warp);
void __cudaRegisterVar(void **binary, char *symbol, char *address, const char *name, int external,
                       size_t bytes, int constant, int global);
void __cudaRegisterManagedVar(void **binary, void **symbol, char *address, const char *name, int external,
                              size_t bytes, int constant, int global);
char __cudaInitModule(void **binary);
unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared_bytes, struct CUstream_st *stream);
cudaError_t __cudaPopCallConfiguration(dim3 *grid, dim3 *block, size_t *shared_bytes, void *stream);
cudaError_t __cudaGetKernel(cudaKernel_t *kernel, const void *function);
#pragma GCC visibility pop

/* What stands between <<< and >>>. It is pushed before the arguments are evaluated, which may launch, too. */
struct configuration {
    dim3 grid, block;
    size_t shared_bytes;
    struct CUstream_st *stream;
};

enum {
    DEPTH_MAX = 64
};

static _Thread_local struct configuration configurations[DEPTH_MAX];
static _Thread_local unsigned depth;

/* Code and kernels that memory was short for are missed when they are used, with an error. */
void **__cudaRegisterFatBinary(void *image)
{
    return (void **)registry_add(image);
}

void __cudaRegisterFatBinaryEnd(void **binary)
{
    (void)binary; /* all that belongs to it has come; it is loaded when it is used */
}

void __cudaUnregisterFatBinary(void **binary)
{
    if (binary)
        registry_remove((struct binary *)binary);
}

void __cudaRegisterFunction(void **binary, const char *function, char *stub, const char *name,
                            int thread_limit, uint3 *tid, uint3 *bid, dim3 *block, dim3 *grid, int *warp)
{
    (void)stub, (void)thread_limit, (void)tid, (void)bid, (void)block, (void)grid, (void)warp;
    if (binary)
        registry_add_kernel((struct binary *)binary, function, name);
}

void __cudaRegisterVar(void **binary, char *symbol, char *address, const char *name, int external,
                       size_t bytes, int constant, int global)
{
    (void)address, (void)external, (void)constant, (void)global;
    if (binary)
        registry_add_variable((struct binary *)binary, symbol, name, bytes, false);
}

void __cudaRegisterManagedVar(void **binary, void **symbol, char *address, const char *name, int external,
                              size_t bytes, int constant, int global)
{
    (void)address, (void)external, (void)constant, (void)global;
    if (binary)
        registry_add_variable((struct binary *)binary, symbol, name, bytes, true);
}

char __cudaInitModule(void **binary)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS && binary)
        result = registry_open((struct binary *)binary);
    return runtime_finish(result) == cudaSuccess;
}

unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared_bytes, struct CUstream_st *stream)
{
    if (depth == DEPTH_MAX)
        return (unsigned)runtime_finish(CUDA_ERROR_OUT_OF_MEMORY); /* not 0: the launch is left out */
    configurations[depth++] = (struct configuration){grid, block, shared_bytes, stream};
    return 0;
}

cudaError_t __cudaPopCallConfiguration(dim3 *grid, dim3 *block, size_t *shared_bytes, void *stream)
{
    const struct configuration *top;

    if (!depth)
        return runtime_finish((CUresult)cudaErrorMissingConfiguration);
    top = &configurations[--depth];
    *grid = top->grid;
    *block = top->block;
    *shared_bytes = top->shared_bytes;
    *(struct CUstream_st **)stream = top->stream;
    return cudaSuccess;
}

/* The stub of a kernel asks once and keeps the answer, over a reset of the device, too: it is none of the driver's. */
cudaError_t __cudaGetKernel(cudaKernel_t *kernel, const void *function)
{
    struct kernel *found = registry_find(function);

    if (!found)
        return runtime_finish((CUresult)cudaErrorInvalidDeviceFunction);
    *kernel = (cudaKernel_t)found;
    return cudaSuccess;
}
