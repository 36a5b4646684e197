/* SPDX-License-Identifier: Apache-2.0 */
/*
 * elf_image.h - what a loaded image says about its variables, for the search for addresses that kernels could read, and
 * about the parameters of its kernels.
 *
 * Shape    reads 64-bit little-endian ELF: a cubin or a shared object.
 * Owns     nothing; pure. Never reads outside of the given bytes, whatever they are.
 */
#ifndef EBB_ELF_IMAGE_H
#define EBB_ELF_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/image_variable.h"
#include "base/kernel_shape.h"

/** Call `visit` for every variable of an ELF image of `size` bytes: required are those of the GPU's own images, whose
 *  every data symbol is one. 0; -ENOTSUP not such an ELF file; -EINVAL one that contradicts itself: what came before was
 *  visited. */
int elf_image_variables(const void *bytes, size_t size, image_variable_fn visit, void *arg,
                        struct image_facts *facts);

/** Call `visit` for every kernel whose parameters an image of NVIDIA's tells, and is understood to tell. The same errors:
 *  what came before was visited. */
int elf_image_kernels(const void *bytes, size_t size, kernel_visit_fn visit, void *arg);

enum {
    ELF_IMAGE_HEAD_BYTES = 64
};

/** Where the headers of an image's sections lie. */
struct elf_table {
    uint64_t offset;
    size_t bytes;
};

/** False: no such ELF file begins with these ELF_IMAGE_HEAD_BYTES. */
bool elf_image_table(const void *head, struct elf_table *out);

/** How long an image is by the headers of its sections, `at->bytes` of them. 0: that cannot be. */
size_t elf_image_bytes(const struct elf_table *at, const void *table);

#endif
