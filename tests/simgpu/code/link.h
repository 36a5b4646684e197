/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linking of PTX as text. Nothing is compiled: the inputs become one module, in which what one declares `.extern` is what
 * another defines. No lock; any thread.
 */
#ifndef SIMGPU_LINK_H
#define SIMGPU_LINK_H

#include "driver/entry.h"

/*
 * One text of several, which the caller frees: first declarations of functions, then variables, then functions. The head
 * (.version, .target) is that of the newest version. Names that an input keeps to itself are renamed where another
 * input has them; of weak and common definitions the first stays; what nobody defines stays `.extern`. Tables of debuggers
 * are left out. A declaration names one variable, as compilers write it.
 * CUDA_ERROR_INVALID_PTX: an input that does not end, or has no .version. INVALID_IMAGE: two definitions of one name.
 * OUT_OF_MEMORY.
 */
CUresult link_texts(const char *const *texts, unsigned count, char **linked);

#endif
