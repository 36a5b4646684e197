/* SPDX-License-Identifier: Apache-2.0 */
/* The `.target` of PTX text: which devices it is for. */
#ifndef SIMGPU_TARGET_H
#define SIMGPU_TARGET_H

#include "driver/entry.h"

enum target_fit {
    TARGET_OTHER,   /* another device's */
    TARGET_SPECIAL, /* of this architecture (sm_90a) or family (sm_100f) alone */
    TARGET_FITS
};

/* The number of the architecture: 75 of `.target sm_75`; 0 where there is none. */
int target_architecture(const char *text);

/* Whether a device of that compute capability (90 is 9.0) runs it. */
enum target_fit target_judge(const char *text, int capability);

/* CUDA_ERROR_NO_BINARY_FOR_GPU; prints once that machine code does not run here. */
CUresult target_refuse(void);

#endif
