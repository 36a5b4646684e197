/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of managed memory share. A processor is a device's ordinal, or HOST. */
#ifndef SIMGPU_TESTS_PAGES_H
#define SIMGPU_TESTS_PAGES_H

#include "driver.h"

enum {
    HOST = -1
};

/* The simulated driver's own: bytes of a range that a processor holds, and bytes in use on a device. */
size_t simgpu_managed_bytes(CUdeviceptr start, size_t bytes, int ordinal);
size_t simgpu_used_bytes(int ordinal);

/* Starts with that many devices of 16 MiB and the module of kernels loaded. A stream that waits for no other. */
CUstream start_small(const char *devices);

CUdeviceptr managed(size_t bytes);

CUmemLocation at(int ordinal);

/* Bytes of the range that a processor holds, in MiB. */
size_t mib(CUdeviceptr start, size_t bytes, int ordinal);

/* Asks for a range at a processor, and waits. */
void fetch(CUdeviceptr start, size_t bytes, int ordinal);

void advise(CUdeviceptr start, size_t bytes, CUmem_advise advice, int ordinal);

/* A kernel on the current device uses the range, and has ended. */
void use(CUdeviceptr start, uint64_t bytes);

#endif
