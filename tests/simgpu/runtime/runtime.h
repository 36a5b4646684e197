/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every runtime call shares: a ready driver, a current context, the thread's last error.
 *
 * CUresult and cudaError_t give one number to one error since CUDA 10.1, so an error travels as CUresult
 * inside and is renamed once, by runtime_finish. Any thread may call any of these.
 */
#ifndef CUDART_RUNTIME_H
#define CUDART_RUNTIME_H

#ifdef CUDART_TWELVE
#include "runtime/names_12.h"
#endif

/* Definitions take the visibility of their first declaration; NVIDIA's header gives none. */
#pragma GCC visibility push(default)
#include <cuda_runtime_api.h>
#pragma GCC visibility pop

/* The version of the runtime that this is, and its structures of which two versions have different ones. */
#ifdef CUDART_TWELVE
#include "runtime/types_12.h"
#define RUNTIME_VERSION 12090
#else
#define RUNTIME_VERSION   CUDART_VERSION
#define pointer_answer    cudaPointerAttributes
#define properties_answer cudaDeviceProp
#endif

#include "runtime/driver.h"
#include "runtime/refuse.h"

/* Loads and initialises the driver, no context needed. CUresult; cudaErrorInsufficientDriver as a CUresult
 * without a driver. */
CUresult runtime_load(void);

/* runtime_load, and makes the primary context of the thread's device current if the thread has no current
 * context, and one that was reset alive. */
CUresult runtime_enter(void);

/* Remembers an error as the thread's last one and returns it. Success changes nothing. */
cudaError_t runtime_finish(CUresult result);

/* The device that this thread's calls go to. */
int runtime_device(void);

/* The primary context of a device, which is retained. CUDA_ERROR_INVALID_DEVICE. */
CUresult runtime_context(int device, CUcontext *context);

/* Makes `device` this thread's device and its primary context current. */
CUresult runtime_set_device(int device);

/* Destroys what the primary context of this thread's device holds; the next call starts a fresh one. */
CUresult runtime_reset_device(void);

#endif
