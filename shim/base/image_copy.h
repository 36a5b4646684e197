/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image_copy.h - an image that somebody loads, copied: how long it is nobody says, and what it says of itself need not
 * be true.
 *
 * Owns     the copies, each as long as the call that is shown it. Pages of their own, no malloc.
 * Threads  any.
 */
#ifndef EBB_IMAGE_COPY_H
#define EBB_IMAGE_COPY_H

#include <stddef.h>

/** An ELF file, a fat binary, or a text, which then ends with a 0. */
typedef void (*image_piece_fn)(const void *bytes, size_t size, void *arg);

/**
 * Call `visit` for each piece of an image in memory: there are several where a wrapper names some. Memory that cannot be
 * read is noticed.
 *
 * Returns  0; -ENOTSUP a kernel that does not copy; -EFAULT it is not all there; -ENOMEM
 */
int image_copy_memory(const void *image, image_piece_fn visit, void *arg);

/** The same for the file at a path, which is one piece. */
int image_copy_file(const void *path, image_piece_fn visit, void *arg);

#endif
