/* SPDX-License-Identifier: Apache-2.0 */
/* What streams are: their attributes and device. Built once per flavour of the default stream. */
#include "runtime/runtime.h"

/* cudaLaunchAttributeValue and CUlaunchAttributeValue are one layout. */
cudaError_t cudaStreamGetAttribute(cudaStream_t stream, cudaLaunchAttributeID attribute,
                                   cudaLaunchAttributeValue *value)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = STREAM(cuStreamGetAttribute)(stream, (CUstreamAttrID)attribute, (CUstreamAttrValue *)value);
    return runtime_finish(result);
}

cudaError_t cudaStreamSetAttribute(cudaStream_t stream, cudaLaunchAttributeID attribute,
                                   const cudaLaunchAttributeValue *value)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result =
            STREAM(cuStreamSetAttribute)(stream, (CUstreamAttrID)attribute, (const CUstreamAttrValue *)value);
    return runtime_finish(result);
}

cudaError_t cudaStreamGetDevice(cudaStream_t stream, int *device)
{
    CUresult result = runtime_enter();

    if (result == CUDA_SUCCESS)
        result = STREAM(cuStreamGetDevice)(stream, device);
    return runtime_finish(result);
}

cudaError_t cudaGraphInstantiateWithParams(cudaGraphExec_t *exec, cudaGraph_t graph,
                                           cudaGraphInstantiateParams *parameters)
{
    CUresult result = runtime_enter();

    _Static_assert(sizeof(cudaGraphInstantiateParams) == sizeof(CUDA_GRAPH_INSTANTIATE_PARAMS),
                   "one structure under two names");
    if (result == CUDA_SUCCESS)
        result =
            STREAM(cuGraphInstantiateWithParams)(exec, graph, (CUDA_GRAPH_INSTANTIATE_PARAMS *)parameters);
    return runtime_finish(result);
}
