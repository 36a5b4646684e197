/* SPDX-License-Identifier: Apache-2.0 */
/* pins.c - see pins.h. */
#include "cuda/pins.h"

int pin_take(uint64_t address, enum pin_reason reason, struct pin *out)
{
    struct block_info block;
    int error = core_find(address, &block);

    if (!error)
        error = core_pin(address, reason);
    if (!error)
        *out = (struct pin){address, block.id};
    return error;
}

void pin_drop(const struct pin *pin, enum pin_reason reason)
{
    struct block_info block;

    if (core_find(pin->address, &block) == 0 && block.id == pin->block_id)
        core_unpin(pin->address, reason);
}
