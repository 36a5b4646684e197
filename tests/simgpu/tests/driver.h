/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the simulated driver share. Each test is a process of its own, so each starts the driver itself. */
#ifndef SIMGPU_TESTS_DRIVER_H
#define SIMGPU_TESTS_DRIVER_H

#include <cuda.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    MIB = 1 << 20,
    GRANULE = 2 << 20
};

/* Ends the process with a line unless the call succeeds. */
#define must(call) must_be(call, CUDA_SUCCESS, #call, __FILE__, __LINE__)
void must_be(CUresult result, CUresult expected, const char *call, const char *file, int line);

/* Initialises the driver and makes the primary context of device 0 current. */
CUcontext start(void);

/* A kernel of the tests' module, which is loaded into the current context on first use. */
CUmodule module(void);
CUfunction kernel(const char *name);

/* Launches with one thread. params as cuLaunchKernel has them. */
CUresult launch(const char *name, CUstream stream, void **params);

/* The simulated driver's own: what took time by the options (device/device.h). */
enum {
    TO_DEVICE,
    FROM_DEVICE,
    FAULTS,
    KERNELS,
    MAPPING
};
uint64_t simgpu_spent_ns(int ordinal, int kind);

/* Two words of pinned host memory, zero. */
uint32_t *flags(void);

/* Lets a kernel go that waits for the word. */
void let_go(uint32_t *flag);

/* A physical handle of one granule on device 0, or in host memory. */
CUmemGenericAllocationHandle physical(void);
CUmemGenericAllocationHandle physical_host(void);

CUdeviceptr reserve(size_t bytes);

/* Grants device 0 read and write. */
CUresult grant(CUdeviceptr address, size_t bytes);

/* A granule that is mapped and granted. */
CUdeviceptr mapped(CUmemGenericAllocationHandle *handle);

#endif
