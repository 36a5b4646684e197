/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lz4_block.h - unpacks one block of LZ4. After "LZ4 Block Format Description", which its authors publish.
 *
 * Owns     nothing; pure. Never reads or writes outside of the given bytes, whatever they are.
 */
#ifndef EBB_LZ4_BLOCK_H
#define EBB_LZ4_BLOCK_H

#include <stddef.h>

/** Unpack `size` bytes into exactly `out_size`. 0, or -EINVAL: that is not what they hold. */
int lz4_block_unpack(const unsigned char *from, size_t size, unsigned char *out, size_t out_size);

#endif
