/* SPDX-License-Identifier: Apache-2.0 */
/* room_wait.c - see room_wait.h. */
#include "engine/room_wait.h"

#include "engine/core.h"
#include "engine/gate.h"
#include "engine/monitor.h"
#include "engine/mover.h"
#include "engine/spill.h"
#include "ledger/headroom.h"
#include "ledger/state.h"

/* core.lock held. */
static bool is_served(uint64_t ticket)
{
    return core.room_waits_served >= ticket;
}

bool room_wait(unsigned ordinal, uint64_t bytes, uint64_t wait_ms)
{
    struct timespec until = core_until(wait_ms * UINT64_C(1000000));
    uint64_t ticket,
        *wanted_bytes = ordinal == ROOM_HOST ? &core.host_wanted_bytes : &core.devices[ordinal].wanted_bytes;
    bool served;

    if (!wait_ms || !monitor_runs())
        return false;
    lock_acquire(&core.lock);
    *wanted_bytes += bytes;
    ticket = atomic_fetch_add(&core.room_waits_begun, 1) + 1;
    lock_release(&core.lock);
    monitor_call();
    lock_acquire(&core.lock);
    while (!is_served(ticket) && core_wait_until(&until) == 0)
        ;
    served = is_served(ticket);
    lock_release(&core.lock);
    return served;
}

/* The mover waits for threads that use the device, and nobody may wait for the mover in its name. */
bool core_host_wait_room(uint64_t bytes, uint64_t wait_ms)
{
    return core_active() && !mover_mine && !gate_inside() && room_wait(ROOM_HOST, bytes, wait_ms);
}

bool room_wait_pending(void)
{
    return atomic_load(&core.room_waits_begun) != atomic_load(&core.room_waits_served);
}

/* Idle slabs first, then blocks to disk. */
static void serve_host(uint64_t bytes)
{
    uint64_t made = recycler_trim(&core.slabs, bytes);

    if (made >= bytes)
        return;
    mover_take();
    spill_make_room(bytes - made + headroom_host_staging());
    mover_give();
    recycler_trim(&core.slabs, bytes - made);
}

void room_wait_serve(void)
{
    uint64_t bytes[DEVICE_MAX], host_bytes, ticket;

    lock_acquire(&core.lock);
    ticket = atomic_load(&core.room_waits_begun);
    host_bytes = core.host_wanted_bytes;
    core.host_wanted_bytes = 0;
    for (unsigned i = 0; i < core.device->count; i++) {
        bytes[i] = core.devices[i].wanted_bytes;
        core.devices[i].wanted_bytes = 0;
    }
    lock_release(&core.lock);
    for (unsigned i = 0; i < core.device->count; i++) {
        if (!bytes[i])
            continue;
        mover_take();
        mover_make_room(i, bytes[i], 0);
        mover_give();
    }
    if (host_bytes)
        serve_host(host_bytes);
    lock_acquire(&core.lock);
    atomic_store(&core.room_waits_served, ticket);
    pthread_cond_broadcast(&core.changed);
    lock_release(&core.lock);
}
