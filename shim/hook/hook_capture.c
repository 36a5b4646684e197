/* SPDX-License-Identifier: Apache-2.0 */
/* Stream capture: each begin is announced, since any synchronisation of ours would invalidate what follows. */
#include "cuda/capture.h"
#include "hook/hooks.h"

CUresult hook_cuStreamBeginCapture(__typeof__(cuStreamBeginCapture) *next, CUstream hStream)
{
    bool per_thread = next == real.cuStreamBeginCapture_ptsz;
    const struct capture capture = capture_announce(hStream, per_thread);

    return capture_begun(next(hStream), &capture, hStream, per_thread);
}

CUresult hook_cuStreamBeginCapture_v2(__typeof__(cuStreamBeginCapture_v2) *next, CUstream hStream,
                                      CUstreamCaptureMode mode)
{
    bool per_thread = next == real.cuStreamBeginCapture_v2_ptsz;
    const struct capture capture = capture_announce(hStream, per_thread);

    return capture_begun(next(hStream, mode), &capture, hStream, per_thread);
}

CUresult hook_cuStreamBeginCaptureToGraph(__typeof__(cuStreamBeginCaptureToGraph) *next, CUstream hStream,
                                          CUgraph hGraph, const CUgraphNode *dependencies,
                                          const CUgraphEdgeData *dependencyData, size_t numDependencies,
                                          CUstreamCaptureMode mode)
{
    bool per_thread = next == real.cuStreamBeginCaptureToGraph_ptsz;
    const struct capture capture = capture_announce(hStream, per_thread);

    return capture_begun(next(hStream, hGraph, dependencies, dependencyData, numDependencies, mode), &capture,
                         hStream, per_thread);
}

CUresult hook_cuStreamEndCapture(__typeof__(cuStreamEndCapture) *next, CUstream hStream, CUgraph *phGraph)
{
    bool per_thread = next == real.cuStreamEndCapture_ptsz;
    CUresult result = next(hStream, phGraph);

    /* An invalidated capture ends with an error; one of another thread or stream goes on. */
    capture_ended(hStream, per_thread);
    return result;
}

CUresult hook_cuStreamDestroy_v2(__typeof__(cuStreamDestroy_v2) *next, CUstream hStream)
{
    CUresult result = next(hStream);

    if (result == CUDA_SUCCESS)
        capture_stream_gone(hStream);
    return result;
}
