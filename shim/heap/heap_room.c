/* SPDX-License-Identifier: Apache-2.0 */
/* heap_room.c - see heap_room.h, and core.h for what begins with core_. */
#include "heap/heap_room.h"

#include <errno.h>

#include "base/log.h"
#include "base/private_fds.h"
#include "engine/core.h"
#include "engine/gate.h"
#include "engine/monitor.h"
#include "engine/mover.h"
#include "engine/refusal.h"
#include "engine/room_wait.h"
#include "heap/heap.h"
#include "host/host_block.h"
#include "ledger/headroom.h"
#include "ledger/state.h"

/* Excesses of the heap that are said: a program that goes on trying would fill the log. */
#define LINES_MOST 8
/* Others may take the room that was made, and where many threads run the monitor is late: whoever waits is patient,
 * since a refusal of the heap is the end of most programs. */
#define TRIES_MOST 8
#define RACES_MOST 64
#define WAITS_MOST 30

struct lock host_starting = LOCK_INIT(LOCK_START);

static _Atomic uint32_t lines;

int core_heap_charge(uint64_t bytes, uint64_t *out_room_bytes)
{
    uint64_t keep_bytes = headroom_host_staging();
    int r;

    *out_room_bytes = UINT64_MAX;
    if (!core_host_active())
        return 0;
    lock_acquire(&core.lock);
    r = budget_charge(&core.host_budget, HOST_HEAP, bytes, keep_bytes);
    *out_room_bytes = budget_room(&core.host_budget, keep_bytes);
    lock_release(&core.lock);
    return r;
}

bool core_heap_pass(uint64_t bytes)
{
    if (!core_host_active() || core.options->on_full != ON_FULL_ALLOW)
        return false;
    core_host_force(HOST_HEAP, bytes);
    if (atomic_fetch_add(&lines, 1) < LINES_MOST)
        log_line(LOG_WARN, "host: over the budget by %llu bytes of the heap, as EBBTIDE_ON_FULL=allow asks",
                 (unsigned long long)bytes);
    return true;
}

void core_heap_refused(uint64_t bytes)
{
    refusal_host(bytes, "allocation");
}

void host_figures(struct budget *out)
{
    uint64_t unused = heap_unused();

    lock_acquire(&core.lock);
    *out = core.host_budget;
    lock_release(&core.lock);
    if (unused > out->class_bytes[HOST_HEAP])
        unused = out->class_bytes[HOST_HEAP];
    out->class_bytes[HOST_HEAP] -= unused;
    out->used_bytes -= unused;
}

/* ---- making room ----------------------------------------------------------------------------------------- */

/* The mover waits for threads that use the device, and nobody may wait for the mover in its name. */
static bool may_wait(void)
{
    return core_active() && monitor_runs() && !mover_mine && !gate_inside();
}

static bool has_room(uint64_t bytes)
{
    uint64_t keep_bytes = headroom_host_staging(), room;

    lock_acquire(&core.lock);
    room = budget_room(&core.host_budget, keep_bytes);
    lock_release(&core.lock);
    return room >= bytes;
}

bool core_heap_make_room(uint64_t bytes, unsigned asked)
{
    size_t made;

    /* Who makes room may wait for these threads. */
    if (!core_host_active() || asked >= RACES_MOST || private_fds_mine())
        return false;
    made = host_block_demote(bytes);
    if (made >= bytes || (made && asked < TRIES_MOST))
        return true;
    if (asked < TRIES_MOST && may_wait() && room_wait(NEED_HOST, bytes, core.options->wait_ms * WAITS_MOST))
        return true;
    /* It may have come late, or between two tries in which blocks were faster. */
    return has_room(bytes);
}

void host_lock(void)
{
    lock_acquire(&host_starting);
    lock_acquire(&core.lock);
}

void host_unlock(void)
{
    lock_release(&core.lock);
    lock_release(&host_starting);
}
