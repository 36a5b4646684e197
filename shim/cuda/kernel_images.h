/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_images.h - the parameters of kernels as their images tell them, for drivers that do not (before 12.4).
 *
 * Shape    an image is read when it is loaded, since afterwards the program may do with its memory what it likes. A kernel
 *          is looked up by its name when the driver hands it out, and known by its handle from then on.
 * Owns     what was read, until the image is unloaded.
 * Threads  any.
 */
#ifndef EBB_KERNEL_IMAGES_H
#define EBB_KERNEL_IMAGES_H

#include "base/kernel_shape.h"
#include "cuda/real.h"

struct kernel_image;

/** Begin to read an image. NULL: the driver tells more than it could, or there is no memory. */
struct kernel_image *kernel_images_begin(void);
/** Read one piece of it; NULL: nothing. */
void kernel_images_read(struct kernel_image *image, const void *bytes, size_t size);
/** It belongs to this CUmodule or CUlibrary, and functions of it to `context`. Takes the image over; NULL: nothing. */
void kernel_images_keep(struct kernel_image *image, const void *owner, CUcontext context);
/** It was not kept. */
void kernel_images_drop(struct kernel_image *image);
/** A module or library is about to be unloaded, or a context ends and its functions with it. */
void kernel_images_forget(const void *owner);
void kernel_images_context_gone(CUcontext context);

/** The driver has answered `result`, which is returned: after a success `*out` is what the name stands for. */
CUresult kernel_images_function(CUresult result, const CUfunction *out, CUmodule module, const char *name);
CUresult kernel_images_kernel(CUresult result, const CUkernel *out, CUlibrary library, const char *name);
/** The same for a kernel's function in the current context, and for a library's module there. */
CUresult kernel_images_function_of(CUresult result, const CUfunction *out, CUkernel kernel);
CUresult kernel_images_module_of(CUresult result, const CUmodule *out, CUlibrary library);

/** The parameters of a CUfunction or CUkernel, KERNEL_PARAMETERS_MAX at most, and what it belongs to: a CUlibrary if it is
 *  a kernel, a CUmodule or 0 otherwise. Their number; -1: not known. */
int kernel_images_find(const void *function, struct kernel_parameter *out, uint64_t *out_owner,
                       bool *out_is_kernel);

#endif
