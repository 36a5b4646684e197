/* SPDX-License-Identifier: Apache-2.0 */
/* launch_pins.c - see launch_pins.h. */
#include "engine/launch_pins.h"

#include <stddef.h>
#include <string.h>

#include "base/pages.h"
#include "engine/core.h"
#include "engine/gate.h"
#include "ledger/state.h"

struct launch_pins {
    uint32_t granule[USE_INLINE];
    const uint32_t *more; /* a graph's */
    uint32_t count, more_count;
    bool all;
};

bool launch_pins_ready(void)
{
    struct gate_slot *slot = gate_slot_mine;

    if (!slot->held)
        slot->held = pages_take(sizeof(struct launch_pins));
    return slot->held;
}

static void add(const struct launch_pins *held, uint32_t by)
{
    for (uint32_t i = 0; i < held->count; i++)
        atomic_fetch_add(&core.blocks.block[held->granule[i]].launch_pins, by);
    for (uint32_t i = 0; i < held->more_count; i++)
        atomic_fetch_add(&core.blocks.block[held->more[i]].launch_pins, by);
    if (held->all)
        atomic_fetch_add(&core.pins_all, by);
}

static void drop(struct launch_pins *held)
{
    add(held, UINT32_MAX); /* one less */
    held->count = held->more_count = 0;
    held->all = false;
    core_tell_change();
}

void launch_pins_take(struct use *use)
{
    struct launch_pins *held = gate_slot_mine->held;

    memcpy(held->granule, use->granule, use->count * sizeof(*use->granule));
    held->count = use->count;
    held->more = use->more;
    held->more_count = use->more_count;
    held->all = use->all;
    add(held, 1);
    use->pinned = true;
}

void launch_pins_drop(struct use *use)
{
    drop(gate_slot_mine->held);
    use->pinned = false;
}

void launch_pins_abandon(struct gate_slot *slot)
{
    struct launch_pins *held = slot->held;

    if (held && (held->count || held->more_count || held->all))
        drop(held);
}
