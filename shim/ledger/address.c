/* SPDX-License-Identifier: Apache-2.0 */
/*
 * address.c - where blocks lie: out of the arena that the core reserved, or where the driver places memory whose pages it
 * moves itself. See block.h.
 */
#include "ledger/block.h"

#include <errno.h>

#include "ledger/state.h"

static int take_placed(const struct block *fresh, uint32_t *out_first)
{
    struct device *device = core.device;
    uint64_t bytes = fresh->granules * GRANULE_BYTES, address;
    int error = device->place(device, fresh->ordinal, fresh->context, bytes, &address);

    if (error)
        return error;
    if (!blocks_own(&core.blocks, address) || !blocks_own(&core.blocks, address + bytes - 1)) {
        device->unplace(device, fresh->context, address, bytes);
        return -ENOMEM;
    }
    *out_first = address_granule(&core.blocks, address);
    lock_acquire(&core.lock);
    extent_cover(&core.blocks.arena, *out_first, fresh->granules);
    lock_release(&core.lock);
    return 0;
}

int address_take(const struct block *fresh, uint32_t *out_first)
{
    int error;

    if (core_places())
        return take_placed(fresh, out_first);
    lock_acquire(&core.lock);
    error = extent_take(&core.blocks.arena, fresh->granules, out_first);
    lock_release(&core.lock);
    return error;
}

void address_give(uint64_t context, uint32_t first, uint32_t granules)
{
    if (core_places()) {
        core.device->unplace(core.device, context, granule_address(&core.blocks, first),
                             granules * GRANULE_BYTES);
        return;
    }
    lock_acquire(&core.lock);
    extent_give(&core.blocks.arena, first, granules);
    lock_release(&core.lock);
}
