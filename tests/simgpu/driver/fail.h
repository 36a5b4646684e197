/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Injected failures: SIMGPU_FAIL is a comma-separated list of NAME:COUNT[+][:][=CODE][@LIBRARY].
 *   cuMemMap:3                      the third call fails
 *   cuMemcpyDtoHAsync_v2:1+         all from the first
 *   cuMemCreate:2:=801              with this CUresult instead of CUDA_ERROR_OUT_OF_MEMORY
 *   cuMemUnmap:1@libebbtide         only calls whose return address lies in a shared object whose file name
 *                                   contains that; only those are counted
 * NAME is the symbol, suffixes included. A failed call has done nothing.
 */
#ifndef SIMGPU_FAIL_H
#define SIMGPU_FAIL_H

#include <stdbool.h>

/* Understands the list. False, with a line on stderr, if it cannot or a name is no entry. Before any
 * fail_judge. */
bool fail_read(const char *list);

/* The CUresult to fail this call with, or 0. Any thread, no lock held. */
int fail_judge(unsigned index, const void *return_address);

#endif
