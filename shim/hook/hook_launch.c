/* SPDX-License-Identifier: Apache-2.0 */
/* hook_launch.c - kernel launches. One that a capture records touches no memory: the graph is read when it is instantiated. */
#include "base/compiler.h"
#include "cuda/capture.h"
#include "cuda/kernel_parameters.h"
#include "engine/core.h"
#include "hook/hooks.h"

/* Enter the gate with the blocks that a launch names. 0: `leave` after the real call. */
static inline int enter(struct use *use, CUstream stream, CUfunction function, void **parameters,
                        void **extra)
{
    use_init(use, true);
    use->stream = stream;
    kernel_parameters_use(use, function, parameters, extra);
    return use_begin(use);
}

static inline CUresult leave(struct use *use, CUresult result)
{
    use_end(use);
    return result;
}

CUresult hook_cuLaunchKernel(__typeof__(cuLaunchKernel) *next, CUfunction f, unsigned int gridDimX,
                             unsigned int gridDimY, unsigned int gridDimZ, unsigned int blockDimX,
                             unsigned int blockDimY, unsigned int blockDimZ, unsigned int sharedMemBytes,
                             CUstream hStream, void **kernelParams, void **extra)
{
    struct use use;

    if (UNLIKELY(capture_records(hStream, next == real.cuLaunchKernel_ptsz)))
        return next(f, gridDimX, gridDimY, gridDimZ, blockDimX, blockDimY, blockDimZ, sharedMemBytes, hStream,
                    kernelParams, extra);
    int error = enter(&use, hStream, f, kernelParams, extra);

    return error ? hooks_result(error)
                 : leave(&use, next(f, gridDimX, gridDimY, gridDimZ, blockDimX, blockDimY, blockDimZ,
                                    sharedMemBytes, hStream, kernelParams, extra));
}

CUresult hook_cuLaunchKernelEx(__typeof__(cuLaunchKernelEx) *next, const CUlaunchConfig *config, CUfunction f,
                               void **kernelParams, void **extra)
{
    struct use use;

    if (!config || UNLIKELY(capture_records(config->hStream, next == real.cuLaunchKernelEx_ptsz)))
        return next(config, f, kernelParams, extra);
    int error = enter(&use, config->hStream, f, kernelParams, extra);

    return error ? hooks_result(error) : leave(&use, next(config, f, kernelParams, extra));
}

CUresult hook_cuLaunchCooperativeKernel(__typeof__(cuLaunchCooperativeKernel) *next, CUfunction f,
                                        unsigned int gridDimX, unsigned int gridDimY, unsigned int gridDimZ,
                                        unsigned int blockDimX, unsigned int blockDimY,
                                        unsigned int blockDimZ, unsigned int sharedMemBytes, CUstream hStream,
                                        void **kernelParams)
{
    struct use use;

    if (UNLIKELY(capture_records(hStream, next == real.cuLaunchCooperativeKernel_ptsz)))
        return next(f, gridDimX, gridDimY, gridDimZ, blockDimX, blockDimY, blockDimZ, sharedMemBytes, hStream,
                    kernelParams);
    int error = enter(&use, hStream, f, kernelParams, NULL);

    return error ? hooks_result(error)
                 : leave(&use, next(f, gridDimX, gridDimY, gridDimZ, blockDimX, blockDimY, blockDimZ,
                                    sharedMemBytes, hStream, kernelParams));
}

CUresult hook_cuLaunchCooperativeKernelMultiDevice(__typeof__(cuLaunchCooperativeKernelMultiDevice) *next,
                                                   CUDA_LAUNCH_PARAMS *launchParamsList,
                                                   unsigned int numDevices, unsigned int flags)
{
    struct use use;

    use_init(&use, true);
    for (unsigned i = 0; launchParamsList && i < numDevices; i++)
        kernel_parameters_use(&use, launchParamsList[i].function, launchParamsList[i].kernelParams, NULL);
    int error = use_begin(&use);

    return error ? hooks_result(error) : leave(&use, next(launchParamsList, numDevices, flags));
}
