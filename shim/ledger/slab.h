/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slab.h - what the recyclers hold: handles of each device's memory, and slabs of host memory.
 *
 * A slab is known by the address of its record, which never moves.
 */
#ifndef EBB_SLAB_H
#define EBB_SLAB_H

#include <stdint.h>

#include "tier/device.h"

/** Host memory of the host tier. */
struct slab {
    struct host_memory memory;
};

/** The slab that an item of core.slabs is. */
static inline struct slab *slab_of(uint64_t item)
{
    return (struct slab *)(uintptr_t)item;
}

/** Empty recyclers for every device of core.device, and for slabs. Before anybody else uses the core. */
void slabs_init(void);

#endif
