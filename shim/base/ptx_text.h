/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ptx_text.h - the parameters of the kernels that PTX declares, and its variables. After NVIDIA's PTX ISA, "Kernel and
 * Function Directives" and "Variables".
 *
 * Owns     nothing; pure. Never reads outside of the given bytes, whatever they are.
 */
#ifndef EBB_PTX_TEXT_H
#define EBB_PTX_TEXT_H

#include "base/image_variable.h"
#include "base/kernel_shape.h"

/** Call `visit` for every kernel of a text, which ends at its first 0 or after `size` bytes, and whose parameters are
 *  understood. 0; -ENOTSUP no PTX, or PTX for a preprocessor. */
int ptx_text_kernels(const char *text, size_t size, kernel_visit_fn visit, void *arg);

/** The same for every variable in global or constant memory. Those that another text defines are not required, and
 *  those that refer to textures are none. -EINVAL: something is not understood, or lies in a function, whose names for
 *  it only the driver knows; what came before was visited. */
int ptx_text_variables(const char *text, size_t size, image_variable_fn visit, void *arg,
                       struct image_facts *facts);

#endif
