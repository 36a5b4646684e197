/* SPDX-License-Identifier: Apache-2.0 */
/*
 * elf_image.h - what a loaded image says about its global data, for the search for addresses that kernels could read.
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

/** `name` lives in the image. `is_required`: an image of the GPU's own, whose every data symbol is a global. */
typedef void (*elf_image_visit_fn)(const char *name, uint64_t bytes, bool is_required, void *arg);

/** Call `visit` for every global data object of an ELF image of `size` bytes. `*out_uses_heap`: it calls malloc on
 *  the device. 0; -ENOTSUP not such an ELF file; -EINVAL one that contradicts itself. */
int elf_image_read(const void *bytes, size_t size, elf_image_visit_fn visit, void *arg, bool *out_uses_heap);

/** How long an ELF image in memory is by its own headers, the first 64 bytes of which are readable. 0: no ELF. */
size_t image_bytes(const void *image);

#endif
