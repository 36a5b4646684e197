/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fat binaries: what NVIDIA's compilers put device code for several GPUs into. A header is followed by entries, each of
 * one kind for one architecture, compressed or not. A wrapper, which is what a program registers and what a runtime hands
 * on, points to a header (version 1), or to what the device linker made and to all that went into it (version 2).
 *
 * Of the kinds only PTX is of use here. No lock; any thread.
 */
#ifndef SIMGPU_FATBIN_H
#define SIMGPU_FATBIN_H

#include "driver/entry.h"

#include <stddef.h>

/* Whether these first four bytes are a header's or a wrapper's. */
bool fatbin_is(const void *data);

/*
 * The PTX that a device of that compute capability (90 is 9.0) runs, as text with an end, which the caller frees: that of
 * the highest architecture not above it; inputs of the device linker are linked. `size` is the bytes of a file, in which
 * there is no wrapper, or 0 for an image in memory, which is as long as it says.
 * CUDA_ERROR_NO_BINARY_FOR_GPU: there is no such PTX, machine code alone, say (a line tells that, once). INVALID_IMAGE: it
 * is cut short or contradicts itself, or a compression fails. OUT_OF_MEMORY; and what link_texts says.
 */
CUresult fatbin_text(const void *data, size_t size, int capability, char **text);

#endif
