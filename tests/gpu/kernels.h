/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels of kernels.c, from the file beside the executable: on hardware a fatbin, else the simulated device's. */
#ifndef GPU_KERNELS_H
#define GPU_KERNELS_H

#include "measure.h"

struct kernels {
    CUmodule module;
    CUfunction fill, check, add, atomics, churn, stream_read, random_read, layer;
};

/* Loads all of them into the current context; ends the program if there is no file that fits. */
void kernels_load(struct kernels *kernels);

/* The same file as a library, for a driver that has cuLibraryLoadFromFile. */
CUresult kernels_library(CUlibrary *library);

/* Launches over `threads` threads or as many as are useful (the kernels loop), in blocks of 256. */
CUresult kernels_launch(CUfunction function, uint64_t threads, void **arguments, CUstream stream);

/* Each launches and checks that it did; `count` in words. */
void kernels_fill(const struct kernels *kernels, CUdeviceptr words, uint64_t count, uint64_t seed);
void kernels_add(const struct kernels *kernels, CUdeviceptr words, uint64_t count, uint64_t more);
void kernels_churn(const struct kernels *kernels, CUdeviceptr words, uint64_t count, uint64_t rounds,
                   CUstream stream);

/* How many words are not random_at(seed, i) + more. Waits for the device; allocates a word of its own. */
uint64_t kernels_wrong(const struct kernels *kernels, CUdeviceptr words, uint64_t count, uint64_t seed,
                       uint64_t more);

/* How many rounds of churn over `count` words last about `ns`. */
uint64_t kernels_rounds(const struct kernels *kernels, CUdeviceptr words, uint64_t count, uint64_t ns);

#endif
