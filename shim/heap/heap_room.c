/* SPDX-License-Identifier: Apache-2.0 */
/* heap_room.c - see heap_state.h. */
#include "heap/heap_state.h"

#include <stdatomic.h>

#include "base/loader.h"
#include "base/log.h"
#include "base/private_fds.h"
#include "engine/core.h"
#include "host/host_block.h"
#include "ledger/limit.h"
#include "ledger/state.h"

/* Excesses of the heap that are said: a program that goes on trying would fill the log. */
#define LINES_MOST 8
/* Others may take the room that was made, and where many threads run the monitor is late: whoever waits is patient,
 * since a refusal of the heap is the end of most programs. */
#define TRIES_MOST 8
#define RACES_MOST 64
#define WAITS_MOST 30

THREAD_LOCAL const void *heap_caller;

/* The driver allocates with locks of its own held, which whoever moves a block wants as well: it neither waits for that
 * nor is refused, for what it asks is little and its end would be the program's. */
static bool is_for_driver(void)
{
    return loader_is_driver(heap_caller);
}

bool heap_room_pass(uint64_t bytes)
{
    static _Atomic uint32_t lines;

    if (core_host_active() && is_for_driver()) {
        core_host_force(HOST_HEAP, bytes);
        return true;
    }
    if (!core_host_active() || core.options->on_full != ON_FULL_ALLOW)
        return false;
    core_host_force(HOST_HEAP, bytes);
    if (atomic_fetch_add(&lines, 1) < LINES_MOST)
        log_line(LOG_WARN, "host: over the budget by %llu bytes of the heap, as EBBTIDE_ON_FULL=allow asks",
                 (unsigned long long)bytes);
    return true;
}

static bool has_room(uint64_t bytes)
{
    uint64_t room_bytes;

    core_host_try(HOST_HEAP, 0, &room_bytes);
    return room_bytes >= bytes;
}

bool heap_room_make(uint64_t bytes, unsigned asked)
{
    size_t made;

    /* A thread that makes room may wait for these. */
    if (!core_host_active() || asked >= RACES_MOST || private_fds_mine())
        return false;
    if (limit_refresh_host() && has_room(bytes))
        return true;
    made = host_block_demote(bytes);
    if (made >= bytes || (made && asked < TRIES_MOST))
        return true;
    if (asked < TRIES_MOST && !is_for_driver() &&
        core_host_wait_room(bytes, core.options->wait_ms * WAITS_MOST))
        return true;
    /* Room may have come late, or between two tries in which blocks were faster. */
    return has_room(bytes);
}
