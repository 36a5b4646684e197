/* SPDX-License-Identifier: Apache-2.0 */
/* Images as small as they can be, made by hand: for tests of who reads them. */
#ifndef EBBTIDE_TESTS_MADE_IMAGE_H
#define EBBTIDE_TESTS_MADE_IMAGE_H

#include "base/kernel_shape.h"

#include <stdint.h>

enum {
    MADE_IMAGE_BYTES = 16 << 10 /* room for any that is made here */
};

enum made_packing {
    MADE_PLAIN,
    MADE_LZ4,
    MADE_ZSTD /* said to be, at least */
};

/* One kernel of a few parameters, in the form of a cubin. All return the bytes that were written. */
size_t made_cubin(unsigned char *out, const char *kernel, const struct kernel_parameter *parameter,
                  unsigned count);

struct made_variable {
    const char *name;
    const char *section; /* NULL: in another image */
    unsigned char type;
    unsigned char other;
};

/* Symbols alone, in the form of a cubin. */
size_t made_symbols(unsigned char *out, const struct made_variable *variable, unsigned count);

/* One kernel in the form of text. */
size_t made_ptx(unsigned char *out, const char *kernel, const struct kernel_parameter *parameter,
                unsigned count);

/* Where an entry says its bytes, packed and unpacked: the lowest byte. */
enum {
    MADE_PACKED_AT = 16,
    MADE_UNPACKED_AT = 56
};

/* A fat binary without entries, and one more entry for it. */
size_t made_fat(unsigned char *out);
size_t made_fat_entry(unsigned char *fat, size_t size, unsigned kind, unsigned arch,
                      enum made_packing packing, const unsigned char *bytes, size_t count);

#endif
