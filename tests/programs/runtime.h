/* SPDX-License-Identifier: Apache-2.0 */
/* The CUDA runtime for a program that gives up on any error, and counts what it allocates. */
#ifndef PROGRAMS_RUNTIME_H
#define PROGRAMS_RUNTIME_H

#include <cuda_runtime_api.h>
#include <stdint.h>

/* Calls RUNTIME(cudaMemset, (pointer, 0, 8)); an error ends the program and names the call. */
#define RUNTIME(function, arguments) runtime_check(function arguments, #function)
void runtime_check(cudaError_t error, const char *call);

void *runtime_alloc(size_t bytes);
void runtime_free(void *pointer, size_t bytes);

/* Loads the kernels from the file given, or from beside the executable if NULL. */
cudaLibrary_t runtime_load(const char *given);
cudaKernel_t runtime_kernel(cudaLibrary_t library, const char *name);

/* Launches over at least `threads` threads (or as many as are useful, as kernels loop), in blocks of 256. */
void runtime_launch(cudaKernel_t kernel, uint64_t threads, void **arguments, cudaStream_t stream);

#endif
