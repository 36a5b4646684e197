/* SPDX-License-Identifier: Apache-2.0 */
/* What the link between host and device gives to a plain copy: the anchor for every other rate. */
#ifndef GPU_LINK_H
#define GPU_LINK_H

#include "measure.h"

enum link_direction {
    LINK_IN,
    LINK_OUT,
};

/* The median GB/s of the copy engine between pinned memory, which it allocates, and `words`; prints the rows. */
double link_rate(size_t bytes, CUdeviceptr words, enum link_direction direction);

#endif
