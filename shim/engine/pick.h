/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pick.h - whose turn it is to leave: policy's choice over the block table.
 *
 * Role held (the memory for the choice is the role's); core.lock held.
 */
#ifndef EBB_PICK_H
#define EBB_PICK_H

#include <stdint.h>

enum {
    PICK_MAX = 1024
};

/** Bytes of the block that starts at `first` which would leave; 0: none. core.lock held. */
typedef uint64_t (*pick_bytes_fn)(uint32_t first, void *arg);

/** In the order of EBBTIDE_POLICY until `want_bytes` would leave, of blocks with a stamp up to `newest` (0: of any
 *  age); while shares are in force what is not registered before what is. The list is valid until the next call. */
uint32_t pick_blocks(uint64_t want_bytes, uint64_t newest, pick_bytes_fn bytes, void *arg,
                     const uint32_t **out);

#endif
