/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vmm_map.h - addresses that the program has reserved in the arena, and what it has mapped there; mappings of its movable
 * handles elsewhere, too.
 *
 * Shape    records by address, and for each granule of the arena the reservation and the mapping that it is of, so that any
 *          address in one is answered at once.
 * Threads  any for questions; changes one thread at a time (vmm_handle.c's lock).
 */
#ifndef EBB_VMM_MAP_H
#define EBB_VMM_MAP_H

#include <stdbool.h>
#include <stdint.h>

/** What lies behind a mapping. */
enum vmm_backing {
    VMM_NOTHING, /**< nobody has been given access, and the handle's block is not there */
    VMM_BLOCK,   /**< the handle's block */
    VMM_ALIAS,   /**< the memory of the handle's block, which lies elsewhere and stays there */
    VMM_DRIVER   /**< a handle of the driver's */
};

struct vmm_mapping {
    uint64_t bytes;
    uint64_t handle;
    uint32_t reach; /**< what the program allows which device: as device_reach; of VMM_DRIVER not told */
    uint8_t backing;
};

/** Reserve addresses from `at` on, or, where that is 0, at a multiple of `alignment` (a power of two, or 0). 0; -ENOMEM or
 *  -ENOTSUP: there are none. */
int vmm_reserve(uint64_t bytes, uint64_t alignment, uint64_t at, uint64_t *out_address);
/** -EINVAL: no such reservation, or something is mapped there. */
int vmm_unreserve(uint64_t address, uint64_t bytes);
/** The reservation that an address of the arena is in. */
bool vmm_reserved(uint64_t address, uint64_t *out_base, uint64_t *out_bytes);

/** Remember a mapping. In the arena: -EINVAL unless all of it is of one reservation, and nothing is mapped there. */
int vmm_mapping_add(uint64_t address, const struct vmm_mapping *mapping);
/** One that begins at the address. */
bool vmm_mapping_get(uint64_t address, struct vmm_mapping *out);
void vmm_mapping_set(uint64_t address, const struct vmm_mapping *mapping);
void vmm_mapping_remove(uint64_t address);
/** The one that an address is in. */
bool vmm_mapping_at(uint64_t address, uint64_t *out_base, struct vmm_mapping *out);

#endif
