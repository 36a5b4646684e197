/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_parameters.h - which words of a launch's parameters could be addresses.
 *
 * Shape    every aligned 8-byte word of every parameter, by the layout that the driver tells (CUDA 12.4) or the image that
 *          the kernel is of; a packed buffer (`extra`) needs none. Without a layout the launch may use every block.
 * Owns     the layouts, cached per function in a table that launches read without a lock. Never freed: equal layouts
 *          are one, and there are few.
 * Threads  any.
 */
#ifndef EBB_KERNEL_PARAMETERS_H
#define EBB_KERNEL_PARAMETERS_H

#include "cuda/real.h"
#include "engine/core.h"

/** Note what a launch's parameters point at. `function` may be a CUkernel cast to CUfunction. */
void kernel_parameters_use(struct use *use, CUfunction function, void **kernel_params, void **extra);

/** The same of each launch of a list. */
void kernel_parameters_use_list(struct use *use, const CUDA_LAUNCH_PARAMS *list, unsigned count);

/** Managed memory was allocated, or freed: launches note what of it they name while there is any. */
void kernel_parameters_watch(void);

/** Functions of a module or library are about to go, or (NULL) those of a context: their handles may come back
 *  with another layout. */
void kernel_parameters_forget(const void *module_or_library, bool is_library);

#endif
