/* SPDX-License-Identifier: Apache-2.0 */
/* Copies to and from registered variables. Built once per flavour of the default stream. */
#include "runtime/registry.h"

/* Where the bytes at the offset are, if the variable has them. */
static CUresult place(const void *symbol, size_t offset, size_t bytes, void **pointer)
{
    CUresult result = runtime_enter();
    CUdeviceptr address = 0;
    size_t size = 0;

    if (result == CUDA_SUCCESS)
        result = registry_variable(symbol, &address, &size);
    if (result == CUDA_SUCCESS && (offset > size || bytes > size - offset))
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        *pointer = (void *)(address + offset);
    return result;
}

static bool may_write(enum cudaMemcpyKind kind)
{
    return kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice || kind == cudaMemcpyDefault;
}

static bool may_read(enum cudaMemcpyKind kind)
{
    return kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice || kind == cudaMemcpyDefault;
}

cudaError_t cudaMemcpyToSymbol(const void *symbol, const void *from, size_t bytes, size_t offset,
                               enum cudaMemcpyKind kind)
{
    void *pointer = NULL;
    CUresult result =
        may_write(kind) ? place(symbol, offset, bytes, &pointer) : (CUresult)cudaErrorInvalidMemcpyDirection;

    return result == CUDA_SUCCESS ? cudaMemcpy(pointer, from, bytes, kind) : runtime_finish(result);
}

cudaError_t cudaMemcpyFromSymbol(void *to, const void *symbol, size_t bytes, size_t offset,
                                 enum cudaMemcpyKind kind)
{
    void *pointer = NULL;
    CUresult result =
        may_read(kind) ? place(symbol, offset, bytes, &pointer) : (CUresult)cudaErrorInvalidMemcpyDirection;

    return result == CUDA_SUCCESS ? cudaMemcpy(to, pointer, bytes, kind) : runtime_finish(result);
}

cudaError_t cudaMemcpyToSymbolAsync(const void *symbol, const void *from, size_t bytes, size_t offset,
                                    enum cudaMemcpyKind kind, cudaStream_t stream)
{
    void *pointer = NULL;
    CUresult result =
        may_write(kind) ? place(symbol, offset, bytes, &pointer) : (CUresult)cudaErrorInvalidMemcpyDirection;

    return result == CUDA_SUCCESS ? cudaMemcpyAsync(pointer, from, bytes, kind, stream)
                                  : runtime_finish(result);
}

cudaError_t cudaMemcpyFromSymbolAsync(void *to, const void *symbol, size_t bytes, size_t offset,
                                      enum cudaMemcpyKind kind, cudaStream_t stream)
{
    void *pointer = NULL;
    CUresult result =
        may_read(kind) ? place(symbol, offset, bytes, &pointer) : (CUresult)cudaErrorInvalidMemcpyDirection;

    return result == CUDA_SUCCESS ? cudaMemcpyAsync(to, pointer, bytes, kind, stream)
                                  : runtime_finish(result);
}
