/* SPDX-License-Identifier: Apache-2.0 */
/* Texture references that the program makes itself, over linear memory. Kernels here cannot sample them. */
#include "device/context.h"
#include "driver/handle.h"
#include "memory/memory.h"

#include <stdlib.h>

struct reference {
    uintptr_t start; /* 0: bound to nothing */
};

static struct reference *reference_of(CUtexref handle)
{
    return handle_is(handle, HANDLE_TEXTURE_REFERENCE) ? (struct reference *)handle : NULL;
}

CUresult sim_cuTexRefCreate(CUtexref *created)
{
    struct reference *reference = created ? calloc(1, sizeof *reference) : NULL;

    if (!reference)
        return created ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    if (!handle_add(reference, HANDLE_TEXTURE_REFERENCE)) {
        free(reference);
        return sim_leave(CUDA_ERROR_OUT_OF_MEMORY);
    }
    *created = (CUtexref)reference;
    return sim_leave(CUDA_SUCCESS);
}

CUresult sim_cuTexRefDestroy(CUtexref handle)
{
    struct reference *reference;

    sim_lock();
    reference = reference_of(handle);
    if (!reference)
        return sim_leave(CUDA_ERROR_INVALID_VALUE);
    handle_remove(reference);
    free(reference);
    return sim_leave(CUDA_SUCCESS);
}

static CUresult bind(CUtexref handle, uintptr_t start, size_t bytes)
{
    struct reference *reference;
    CUresult result;

    sim_lock();
    reference = reference_of(handle);
    result = reference && bytes ? memory_check(context_current()->device, start, bytes, false, false)
                                : CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        reference->start = start;
    return sim_leave(result);
}

/* Every address is aligned well enough for a texture here: the offset is 0. */
CUresult sim_cuTexRefSetAddress_v2(size_t *offset, CUtexref handle, CUdeviceptr start, size_t bytes)
{
    CUresult result = bind(handle, start, bytes);

    if (result == CUDA_SUCCESS && offset)
        *offset = 0;
    return result;
}

CUresult sim_cuTexRefSetAddress2D_v3(CUtexref handle, const CUDA_ARRAY_DESCRIPTOR *desc, CUdeviceptr start,
                                     size_t pitch)
{
    size_t bytes;

    if (!desc || __builtin_mul_overflow(pitch, desc->Height, &bytes))
        return CUDA_ERROR_INVALID_VALUE;
    return bind(handle, start, bytes);
}

CUresult sim_cuTexRefGetAddress_v2(CUdeviceptr *start, CUtexref handle)
{
    const struct reference *reference;

    sim_lock();
    reference = reference_of(handle);
    if (!reference || !start || !reference->start)
        return sim_leave(CUDA_ERROR_INVALID_VALUE);
    *start = reference->start;
    return sim_leave(CUDA_SUCCESS);
}
