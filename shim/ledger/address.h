/* SPDX-License-Identifier: Apache-2.0 */
/*
 * address.h - where a block lies for its whole life: out of the arena that the core reserved, or where the driver
 * places memory whose pages it moves itself.
 *
 * Threads  any; core.lock is taken, and no lock is held across a call of the device.
 */
#ifndef EBB_ADDRESS_H
#define EBB_ADDRESS_H

#include <stdint.h>

struct block;

/** Addresses for `fresh->granules` of `fresh->ordinal`. 0; -ENOMEM the arena or the driver has none. */
int address_take(const struct block *fresh, uint32_t *out_first);

/** Give back what address_take gave; no block is there any more, and nothing is mapped. `context` as the block's. */
void address_give(uint64_t context, uint32_t first, uint32_t granules);

#endif
