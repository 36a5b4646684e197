/* SPDX-License-Identifier: Apache-2.0 */
/* holdings.c - what a device holds, by kind, as the engine's callers ask for it and say it. See core.h. */
#include "engine/holdings.h"

#include "engine/core.h"
#include "engine/drain.h"
#include "ledger/headroom.h"
#include "ledger/state.h"

static void note(unsigned ordinal, enum kind kind, enum stay why, enum native_event event, uint64_t bytes)
{
    if (!core_active() || ordinal >= core.device->count)
        return;
    lock_acquire(&core.lock);
    kind_native(ordinal, kind, why, event, bytes);
    lock_release(&core.lock);
}

void core_native_made(unsigned ordinal, enum kind kind, enum stay why, uint64_t bytes)
{
    note(ordinal, kind, why, NATIVE_MADE, bytes);
}

void core_native_gone(unsigned ordinal, enum kind kind, enum stay why, uint64_t bytes)
{
    note(ordinal, kind, why, NATIVE_GONE, bytes);
}

void core_native_back(unsigned ordinal, enum kind kind, enum stay why, uint64_t bytes)
{
    note(ordinal, kind, why, NATIVE_BACK, bytes);
}

void core_native_held(unsigned ordinal, enum kind kind)
{
    note(ordinal, kind, STAY_KEPT, NATIVE_HELD, 0);
}

struct kinds_room kinds_room_now(void)
{
    return (struct kinds_room){
        .host_bytes = shares_over(headroom_host(), headroom_host_staging()),
        .disk_bytes = headroom_disk_open() && !core_places() ? headroom_disk() : 0,
    };
}

void core_kinds(unsigned ordinal, struct kinds *out)
{
    const struct kinds_room room = kinds_room_now();

    if (core_active())
        drain_look(ordinal);
    kinds_of(ordinal, &room, core_managed_on(ordinal), out);
}
