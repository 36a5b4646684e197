/* SPDX-License-Identifier: Apache-2.0 */
/* The CUDA driver for a program that gives up on any error, and counts what it allocates. */
#ifndef PROGRAMS_DRIVER_H
#define PROGRAMS_DRIVER_H

#include <cuda.h>
#include <stdint.h>

/* Calls DRIVER(cuMemFree, (pointer)); an error ends the program and names the call. */
#define DRIVER(function, arguments) driver_check(function arguments, #function)
void driver_check(CUresult result, const char *call);

/* Initialises the driver; the primary context of device 0 is current in this thread. driver_close gives it
 * back. */
void driver_open(void);
void driver_close(void);

/* The primary context of a device; driver_release gives it back. After cuInit. */
CUcontext driver_retain(int ordinal);
void driver_release(int ordinal);

CUdeviceptr driver_alloc(size_t bytes);
void driver_free(CUdeviceptr pointer, size_t bytes);

/* Loads the kernels from the file given, or from beside the executable if NULL. */
CUmodule driver_load(const char *given);
CUfunction driver_function(CUmodule module, const char *name);

/* The address of a __device__ variable, whose size must be `bytes`. */
CUdeviceptr driver_global(CUmodule module, const char *name, size_t bytes);

/* Launches over at least `threads` threads (or as many as are useful, as kernels loop), in blocks of 256. */
void driver_launch(CUfunction function, uint64_t threads, void **arguments, CUstream stream);

#endif
