/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver, found at run time: a program that uses it is built without one and says so where there is none.
 * `cu` is filled by libcuda_open and constant from then on; any thread may read it. What libcuda.def calls
 * OPTIONAL may be NULL.
 */
#ifndef GPU_LIBCUDA_H
#define GPU_LIBCUDA_H

#include <cuda.h>
#include <stdbool.h>

/* The newest version's type under the plain name: cu.cuMemAlloc is cuMemAlloc_v2. */
#define LIBCUDA_MEMBER(name)       __typeof__(&(name)) name;
#define FUNCTION(name)             LIBCUDA_MEMBER(name)
#define OLDER(name, since, symbol) LIBCUDA_MEMBER(name)
#define OPTIONAL(name, since)      LIBCUDA_MEMBER(name)
struct libcuda {
#include "libcuda.def"
};
#undef FUNCTION
#undef OLDER
#undef OPTIONAL

extern struct libcuda cu;

/* Loads libcuda.so.1 and fills `cu`. Returns NULL, or why not; the text lives as long as the process. */
const char *libcuda_open(void);

/* Whether it is the simulated one. After libcuda_open. */
bool libcuda_is_simulated(void);

/* The result's name, such as "CUDA_SUCCESS". */
const char *libcuda_result(CUresult result);

#endif
