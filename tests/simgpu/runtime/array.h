/* SPDX-License-Identifier: Apache-2.0 */
/* What the runtime calls the elements of an array. */
#ifndef CUDART_ARRAY_H
#define CUDART_ARRAY_H

#include "runtime/runtime.h"

/* Bytes of one element of the array. As a CUresult: what the driver says, or CUDA_ERROR_NOT_SUPPORTED. */
CUresult array_element_bytes(cudaArray_const_t array, size_t *bytes);

#endif
