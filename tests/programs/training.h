/* SPDX-License-Identifier: Apache-2.0 */
/* What the program and its kernels agree on. */
#ifndef PROGRAMS_TRAINING_H
#define PROGRAMS_TRAINING_H

#include <stdint.h>

/* The memory of one layer, as the table of layers in device memory names it. */
struct layer {
    float *weights;  /* width rows of width floats, and what is left of the allocation */
    float *gradient; /* of the weights */
    float *momentum;
};

/* The small vectors, at these places in one allocation, in units of the width. */
enum {
    VECTOR_TARGET,
    VECTOR_DELTA, /* derivative of the loss by the output of the layer at hand */
    VECTOR_SLOPE, /* the same by its sum before the activation */
    VECTOR_SUMS,  /* one per layer; after them one output per layer, the input as the first */
};

#endif
