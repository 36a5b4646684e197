/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory operations: a stream waits until a word of memory has a value, or writes one. What waits is ordered after
 * everything that is complete when its condition holds, whoever has written the word.
 */
#ifndef SIMGPU_MEMOP_H
#define SIMGPU_MEMOP_H

#include "stream/submit.h"

/*
 * Reads a batch as NVIDIA's structure has it; v1: by the first version of the entries. The work owns a copy.
 * CUDA_ERROR_INVALID_VALUE for an operation, a flag or an address that is none, or managed memory; NOT_SUPPORTED for what
 * only the other version has; OUT_OF_MEMORY.
 */
CUresult memop_read(const struct context *context, const CUstreamBatchMemOpParams *list, unsigned count,
                    bool v1, struct work *work);

/* The word that an operation names, and its bytes; 0: a barrier or a flush, which names none. */
size_t memop_bytes(const CUstreamBatchMemOpParams *operation);
bool memop_writes(const CUstreamBatchMemOpParams *operation);

#endif
