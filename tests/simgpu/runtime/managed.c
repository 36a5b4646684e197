/* SPDX-License-Identifier: Apache-2.0 */
/* Advice about managed memory. */
#include "runtime/runtime.h"

cudaError_t cudaMemAdvise(const void *pointer, size_t bytes, enum cudaMemoryAdvise advice,
                          struct cudaMemLocation location)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = driver.cuMemAdvise_v12020((CUdeviceptr)pointer, bytes, (CUmem_advise)advice,
                                           (CUmemLocation){(CUmemLocationType)location.type, location.id});
    return runtime_finish(result);
}

cudaError_t cudaMemRangeGetAttribute(void *data, size_t size, enum cudaMemRangeAttribute attribute,
                                     const void *pointer, size_t bytes)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = driver.cuMemRangeGetAttribute_v8000(data, size, (CUmem_range_attribute)attribute,
                                                     (CUdeviceptr)pointer, bytes);
    return runtime_finish(result);
}

cudaError_t cudaMemRangeGetAttributes(void **data, size_t *sizes, enum cudaMemRangeAttribute *attributes,
                                      size_t count, const void *pointer, size_t bytes)
{
    CUresult result = runtime_enter();

    _Static_assert(sizeof *attributes == sizeof(CUmem_range_attribute), "one list under two names");
    if (result == CUDA_SUCCESS)
        result = driver.cuMemRangeGetAttributes_v8000(data, sizes, (CUmem_range_attribute *)attributes, count,
                                                      (CUdeviceptr)pointer, bytes);
    return runtime_finish(result);
}
