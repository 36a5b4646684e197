/* SPDX-License-Identifier: Apache-2.0 */
/* managed.c - managed memory of the program's own. See core.h. */
#include "engine/managed.h"

#include "engine/core.h"
#include "ledger/state.h"

bool managed_floats(unsigned ordinal, unsigned class)
{
    return class == CLASS_MANAGED && (core.device->floating >> ordinal & 1);
}

void managed_take(uint64_t bytes)
{
    lock_acquire(&core.lock);
    core.managed_bytes += bytes;
    lock_release(&core.lock);
}

void managed_give(uint64_t bytes)
{
    lock_acquire(&core.lock);
    core.managed_bytes -= bytes;
    lock_release(&core.lock);
}

/* What the driver has given of the device, and is charged to nobody. What its contexts take passes for managed memory,
 * too: no figure tells them apart. */
uint64_t core_managed_on(unsigned ordinal)
{
    uint64_t free_bytes, total_bytes, held_bytes, most_bytes;

    if (!core_active() || !managed_floats(ordinal, CLASS_MANAGED))
        return 0;
    lock_acquire(&core.lock);
    most_bytes = core.managed_bytes;
    lock_release(&core.lock);
    if (!most_bytes || core.device->memory(core.device, ordinal, &free_bytes, &total_bytes) < 0)
        return 0;
    lock_acquire(&core.lock);
    held_bytes = shares_over(total_bytes - free_bytes, budget_held(&core.devices[ordinal].budget));
    lock_release(&core.lock);
    return held_bytes < most_bytes ? held_bytes : most_bytes;
}

void core_device_budget(unsigned ordinal, struct budget *out)
{
    uint64_t managed_bytes = core_managed_on(ordinal);

    lock_acquire(&core.lock);
    *out = core.devices[ordinal].budget;
    lock_release(&core.lock);
    if (managed_bytes)
        budget_force(out, CLASS_MANAGED, managed_bytes);
}
