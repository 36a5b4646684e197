/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What libcudart.so.12 calls the functions that have changed since, and how its structures differ. What we define by the
 * names of 13 gets the later ones of 12 here; twelve.c and stream_twelve.c have those that keep the older form. Before
 * NVIDIA's header, whose macros for the per-thread default stream put a suffix to a name first.
 */
#ifndef CUDART_NAMES_12_H
#define CUDART_NAMES_12_H

#ifdef CUDA_API_PER_THREAD_DEFAULT_STREAM
#define cudaMemPrefetchAsync_ptsz                cudaMemPrefetchAsync_v2_ptsz
#define cudaStreamGetCaptureInfo_ptsz            cudaStreamGetCaptureInfo_v3_ptsz
#define cudaStreamUpdateCaptureDependencies_ptsz cudaStreamUpdateCaptureDependencies_v2_ptsz
#else
#define cudaMemPrefetchAsync                cudaMemPrefetchAsync_v2
#define cudaStreamGetCaptureInfo            cudaStreamGetCaptureInfo_v3
#define cudaStreamUpdateCaptureDependencies cudaStreamUpdateCaptureDependencies_v2
#endif
#define cudaEventElapsedTime           cudaEventElapsedTime_v2
#define cudaGetDeviceProperties        cudaGetDeviceProperties_v2
#define cudaGraphAddDependencies       cudaGraphAddDependencies_v2
#define cudaGraphAddNode               cudaGraphAddNode_v2
#define cudaGraphGetEdges              cudaGraphGetEdges_v2
#define cudaGraphNodeGetDependencies   cudaGraphNodeGetDependencies_v2
#define cudaGraphNodeGetDependentNodes cudaGraphNodeGetDependentNodes_v2
#define cudaGraphRemoveDependencies    cudaGraphRemoveDependencies_v2
#define cudaMemAdvise                  cudaMemAdvise_v2

#endif
