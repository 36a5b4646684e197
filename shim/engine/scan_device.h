/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan_device.h - the scan for pointers, done by the device itself at the speed of its memory.
 *
 * Shape    pieces of memory are given to the device one after the other; what it finds arrives in a slab of host
 *          memory that it can write: a byte per granule of the arena for "something points here", and one for "the
 *          piece that begins here holds a pointer".
 * Trust    a device that answers wrongly would lose a program's data. So each is first given a piece of known
 *          content, and one that does not find exactly what the CPU finds there is not asked again.
 * Threads  the mover's role; gate closed, device drained.
 */
#ifndef EBB_SCAN_DEVICE_H
#define EBB_SCAN_DEVICE_H

#include <stdint.h>

struct slab;

/** Trust in a device; core.scan. */
enum scan_trust {
    SCAN_UNTRIED,
    SCAN_TRUSTED,
    SCAN_REFUSED /**< it cannot, or it was wrong */
};

enum {
    SCAN_DEVICE_GRANULES = 1 << 20,             /**< of the arena that one slab has bytes for: 2 TiB */
    SCAN_DEVICE_ROOT = SCAN_DEVICE_GRANULES - 1 /**< holder of a piece that is no block */
};

/** Begin with an empty slab, of at least GRANULE_BYTES. -ENOTSUP: some device is not to be trusted, or the arena is
 *  larger than what the slab has room for; -ENOMEM: not now. */
int scan_device_begin(struct slab *results);

/** Let device `ordinal` look at [address, address + bytes), device addresses or an alias; `bytes` a multiple of 4.
 *  `holder` is the granule whose block the piece belongs to, or SCAN_DEVICE_ROOT. -EINVAL: the address is no multiple
 *  of 4; otherwise what the device says. The piece must stay as it is until scan_device_finish. */
int scan_device_piece(struct slab *results, unsigned ordinal, uint64_t address, uint64_t bytes,
                      uint32_t holder);

/** Wait for all devices, also after an error, and flag the blocks (block.h) by what was found. */
int scan_device_finish(struct slab *results);

/** A device failed: not asked again. */
void scan_device_refuse(void);

#endif
