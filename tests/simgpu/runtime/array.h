/* SPDX-License-Identifier: Apache-2.0 */
/* What the runtime calls the elements of an array. */
#ifndef CUDART_ARRAY_H
#define CUDART_ARRAY_H

#include "runtime/runtime.h"

/* The driver's format and count of channels; cudaErrorInvalidChannelDescriptor as a CUresult where it has none. */
CUresult array_format(const struct cudaChannelFormatDesc *channels, CUarray_format *format, unsigned *count);

/* And back: false for a format that none of them is. */
bool array_channels(CUarray_format format, unsigned count, struct cudaChannelFormatDesc *channels);

/* Bytes of one element of the array. As a CUresult: what the driver says, or CUDA_ERROR_NOT_SUPPORTED. */
CUresult array_element_bytes(cudaArray_const_t array, size_t *bytes);

#endif
