/* SPDX-License-Identifier: Apache-2.0 */
/* Images of PTX text: `ptx/` reads and runs it. */
#ifndef SIMGPU_PTX_H
#define SIMGPU_PTX_H

#include "code/image.h"

/* The image of a text, which stays the caller's, or what SIMGPU_PTX has for it. Without the lock. As program_create. */
CUresult ptx_read(const char *text, struct image **image);

#endif
