/* SPDX-License-Identifier: Apache-2.0 */
/*
 * elf_image.h - what a loaded image says about its global data, for the search for addresses that kernels could read, and
 * about the parameters of its kernels.
 *
 * Shape    reads 64-bit little-endian ELF: a cubin or a shared object. Everything else (PTX, fat binaries, which are
 *          usually compressed) is unknown.
 * Owns     nothing; pure. Never reads outside of the given bytes, whatever they are.
 */
#ifndef EBB_ELF_IMAGE_H
#define EBB_ELF_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/kernel_shape.h"

/** `name` lives in the image. `is_required`: an image of the GPU's own, whose every data symbol is a global. */
typedef void (*elf_image_visit_fn)(const char *name, uint64_t bytes, bool is_required, void *arg);

/** Call `visit` for every global data object of an ELF image of `size` bytes. `*out_uses_heap`: it calls malloc on
 *  the device. 0; -ENOTSUP not such an ELF file; -EINVAL one that contradicts itself. */
int elf_image_read(const void *bytes, size_t size, elf_image_visit_fn visit, void *arg, bool *out_uses_heap);

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
