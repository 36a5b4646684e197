/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver as this runtime sees it: a table of functions, filled once from libcuda.so.1 through
 * cuGetProcAddress. Read-only after driver_load has returned 0; an entry that the driver does not have points
 * to a function that answers CUDA_ERROR_NOT_SUPPORTED, so a call needs no check.
 */
#ifndef CUDART_DRIVER_H
#define CUDART_DRIVER_H

#include <cudaProfilerTypedefs.h>
#include <cudaTypedefs.h>
#include <stdbool.h>

/* The runtime asks for the older number, the header names the type by the newer one; the signature is the
 * same. */
typedef PFN_cuDevicePrimaryCtxRelease_v11000 PFN_cuDevicePrimaryCtxRelease_v7000;
typedef PFN_cuDevicePrimaryCtxReset_v11000 PFN_cuDevicePrimaryCtxReset_v7000;

struct driver {
#define ENTRY(name, version) PFN_##name##_v##version name##_v##version;
#define STREAM_ENTRY(name, legacy, per_thread, suffix)                                                       \
    PFN_##name##_v##legacy legacy_##name;                                                                    \
    PFN_##name##_v##per_thread##suffix per_thread_##name;
#include "runtime/driver.def"
#undef ENTRY
#undef STREAM_ENTRY
    PFN_cuGetProcAddress_v12000 cuGetProcAddress_v12000;
    PFN_cuGetProcAddress_v11030 cuGetProcAddress_v11030;
};

extern struct driver driver;

/*
 * Sources that take streams are compiled twice, the second time with CUDA_API_PER_THREAD_DEFAULT_STREAM: the
 * header then renames their functions to NAME_ptsz and NAME_ptds, and this macro picks the entries to match.
 */
#ifdef CUDA_API_PER_THREAD_DEFAULT_STREAM
#define STREAM(name) driver.per_thread_##name
#else
#define STREAM(name) driver.legacy_##name
#endif

/* Opens the driver and fills the table. Any thread; the work is done once. 0, or -ENOENT without a driver. */
int driver_load(void);

/* Whether the driver has libraries, which came with 12.0; before, a runtime loads modules. After driver_load. */
bool driver_has_libraries(void);

#endif
