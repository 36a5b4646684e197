/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ptx_text.h - the parameters of the kernels that PTX declares. After NVIDIA's PTX ISA, "Kernel and Function Directives".
 *
 * Owns     nothing; pure. Never reads outside of the given bytes, whatever they are.
 */
#ifndef EBB_PTX_TEXT_H
#define EBB_PTX_TEXT_H

#include "base/kernel_shape.h"

/** Call `visit` for every kernel of a text, which ends at its first 0 or after `size` bytes, and whose parameters are
 *  understood. 0; -ENOTSUP no PTX, or PTX for a preprocessor. */
int ptx_text_kernels(const char *text, size_t size, kernel_visit_fn visit, void *arg);

#endif
