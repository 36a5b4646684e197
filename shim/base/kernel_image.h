/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_image.h - the kernels of an image, whichever form it has: ELF, a fat binary, PTX.
 *
 * Owns     nothing; pure. Never reads outside of the given bytes, whatever they are.
 */
#ifndef EBB_KERNEL_IMAGE_H
#define EBB_KERNEL_IMAGE_H

#include "base/kernel_shape.h"

/**
 * Call `visit` for every kernel whose parameters the image tells; the same one may come several times.
 *
 * @majors  of a fat binary, what is made for processors of other generations than these is left out: bit 9 is for all
 *          of compute capability 9. Text is looked at only where there is nothing for them.
 */
void kernel_image_read(const void *bytes, size_t size, uint32_t majors, kernel_visit_fn visit, void *arg);

#endif
