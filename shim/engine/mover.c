/* SPDX-License-Identifier: Apache-2.0 */
/* mover.c - the role, and making room on the device. See mover.h. */
#include "engine/mover.h"

#include <errno.h>

#include "engine/allocate.h"
#include "engine/pause.h"
#include "engine/pause_steps.h"
#include "engine/restore_stream.h"
#include "ledger/headroom.h"
#include "ledger/state.h"

__thread bool mover_mine;

/* Nested where the program's reload callback calls what it must not: no deadlock comes of it. */
static __thread unsigned nested;

void mover_take(void)
{
    bool is_nested = mover_mine;

    mover_take_beside();
    if (!is_nested && arrival_any())
        arrivals_settle();
}

void mover_take_beside(void)
{
    uint64_t ticket;

    if (mover_mine) {
        nested++;
        return;
    }
    pthread_mutex_lock(&core.lock);
    ticket = core.role_next++;
    while (core.role_now != ticket)
        pthread_cond_wait(&core.changed, &core.lock);
    pthread_mutex_unlock(&core.lock);
    mover_mine = true;
}

void mover_give(void)
{
    if (nested) {
        nested--;
        return;
    }
    host_area_settle(); /* whatever has come to the host meanwhile */
    mover_mine = false;
    pthread_mutex_lock(&core.lock);
    core.role_now++;
    pthread_cond_broadcast(&core.changed);
    pthread_mutex_unlock(&core.lock);
}

bool mover_settle(const struct timespec *until)
{
    bool is_settled;
    uint64_t next;

    if (mover_mine) /* the process ends in a signal handler, in the middle of a move */
        return false;
    pthread_mutex_lock(&core.lock);
    next = core.role_next;
    while (core.role_now < next &&
           pthread_cond_clockwait(&core.changed, &core.lock, CLOCK_MONOTONIC, until) == 0)
        ;
    is_settled = core.role_now >= next;
    pthread_mutex_unlock(&core.lock);
    return is_settled;
}

/* A search costs the same for one victim as for many, so that many leave at once. */
#define SEARCH_EXTRA_MAX ((uint64_t)1 << 30)

static uint64_t sum(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* What can leave the device without being saved. */
static uint64_t droppable(unsigned ordinal)
{
    struct closure closure = {.ordinal = ordinal,
                              .evict_bytes = INT64_MAX,
                              .newest = UINT64_MAX,
                              .whole = true,
                              .only_registered = true};
    uint64_t bytes = core.areas_used ? steps_evictable(&closure) : 0;

    return bytes - closure.save_bytes;
}

/* What both tiers together lack for `bytes` more on the device: that much must go to disk. */
static uint64_t short_of(unsigned ordinal, uint64_t bytes)
{
    uint64_t have = sum(sum(tier_device_room(ordinal), tier_host_room()), droppable(ordinal));
    uint64_t want = bytes + core.devices[ordinal].chunk_max_granules * GRANULE_BYTES + tier_host_staging();

    return want > have ? want - have : 0;
}

uint64_t mover_ready_host(unsigned ordinal, uint64_t bytes, uint64_t from_host_bytes)
{
    uint64_t keep = core.devices[ordinal].chunk_max_granules * GRANULE_BYTES;
    uint64_t room = tier_device_room(ordinal), host_room = tier_host_room();
    uint64_t leave = bytes + keep > room ? bytes + keep - room : 0;
    uint64_t spill = short_of(ordinal, bytes - from_host_bytes), all = 0, dropped = 0;

    if (leave && closure_would_search()) {
        uint64_t more = core.devices[ordinal].budget.limit_bytes / 8;

        leave += more < SEARCH_EXTRA_MAX ? more : SEARCH_EXTRA_MAX;
    }
    if (leave && core.areas_used) {
        struct closure closure = {
            .ordinal = ordinal, .evict_bytes = leave, .newest = UINT64_MAX, .whole = true};

        all = steps_evictable(&closure);
        dropped = all - closure.save_bytes;
    }
    all = (all > leave ? all : leave) - dropped;
    if (all > host_room && spill < all - host_room)
        spill = all - host_room;
    if (spill)
        mover_spill(spill, UINT64_MAX);
    return leave;
}

int mover_make_room(unsigned ordinal, uint64_t bytes, uint64_t from_host_bytes, uint64_t newest)
{
    uint64_t lacked = UINT64_MAX, lacks;
    bool whole = true;

    for (;; lacked = lacks) {
        struct closure closure = {.ordinal = ordinal, .newest = newest, .whole = whole, .patient = true};
        uint64_t keep = tier_device_keep(ordinal);
        int r;

        if (tier_device_room(ordinal) >= bytes + keep)
            return 0;
        if (!core.blocks.alive)
            return -ENOSPC;
        closure.evict_bytes = mover_ready_host(ordinal, bytes, from_host_bytes);
        lacks = short_of(ordinal, bytes - from_host_bytes);
        /* What goes to disk may have to leave the device first: as long as that helps, go on. */
        if (lacks && (lacks >= lacked || !tier_disk_open()))
            return -ENOSPC;
        r = closure_run(&closure);
        if (r < 0)
            return r;
        if (!closure.evicted_bytes && !(whole && from_host_bytes))
            return -ENOSPC;
        /* What comes back leaves room behind: with a swap at a time it always fits. */
        whole = closure.evicted_bytes != 0;
    }
}

/* Any chunk of the block on the device? core.lock held. */
static bool partly_resident(uint32_t first)
{
    for (uint32_t g = first, more = 1; more; more = g = chunk_next(&core.blocks, first, g))
        if (core.blocks.chunk[g].state == CHUNK_RESIDENT)
            return true;
    return false;
}

bool mover_anything_leaves(unsigned ordinal, uint64_t newest, bool only_registered)
{
    bool leaves = false;

    pthread_mutex_lock(&core.lock);
    for (uint32_t g = extent_low(&core.arena), high = extent_high(&core.arena); g < high && !leaves; g++) {
        uint64_t stamp = atomic_load_explicit(&core.blocks.stamp[g], memory_order_relaxed);

        leaves = stamp && stamp <= newest && core.blocks.block[g].ordinal == ordinal &&
                 (!only_registered || core.blocks.block[g].flags & BLOCK_REGISTERED) &&
                 closure_may_evict(g, true) && partly_resident(g);
    }
    pthread_mutex_unlock(&core.lock);
    return leaves;
}

bool mover_could_ever(unsigned ordinal, uint64_t bytes)
{
    uint64_t room = tier_device_room(ordinal),
             elsewhere = tier_disk_open() && !core_places() ? UINT64_MAX : tier_host_room();
    uint64_t movable = 0;

    pthread_mutex_lock(&core.lock);
    for (uint32_t g = extent_low(&core.arena), high = extent_high(&core.arena); g < high; g++)
        if (core.blocks.block[g].ordinal == ordinal && closure_could_evict(g, true))
            movable += core.blocks.block[g].bytes;
    pthread_mutex_unlock(&core.lock);
    return sum(room, movable < elsewhere ? movable : elsewhere) >= bytes + tier_device_keep(ordinal);
}

static uint64_t evict(struct closure *closure, uint64_t bytes)
{
    uint64_t staging = tier_host_staging(), room, leave;

    closure->evict_bytes = bytes;
    leave = steps_evictable(closure);
    if (leave && !closure->save_bytes)
        return closure_run(closure) < 0 ? 0 : closure->evicted_bytes;
    if (!leave)
        return 0;
    room = tier_host_room();
    if (room < leave + staging && tier_disk_open())
        mover_spill(leave + staging - room, closure->newest);
    room = tier_host_room();
    if (room > staging && room - staging < bytes)
        closure->evict_bytes = room - staging;
    if (room <= staging || closure_run(closure) < 0)
        return 0;
    return closure->evicted_bytes;
}

uint64_t mover_relieve(unsigned ordinal, uint64_t bytes, uint64_t newest, bool only_registered)
{
    struct closure closure = {
        .ordinal = ordinal, .newest = newest, .whole = true, .only_registered = only_registered};

    return evict(&closure, bytes);
}

uint64_t mover_evict(unsigned ordinal, uint64_t bytes, uint64_t newest, bool only_registered)
{
    struct closure closure = {.ordinal = ordinal,
                              .newest = newest,
                              .whole = true,
                              .only_registered = only_registered,
                              .patient = true};

    return evict(&closure, bytes);
}

uint64_t mover_send(uint32_t first, bool to_disk)
{
    struct closure closure = {.ordinal = core.blocks.block[first].ordinal,
                              .newest = UINT64_MAX,
                              .whole = true,
                              .only = first + 1,
                              .patient = true};
    uint64_t bytes = core.blocks.block[first].granules * GRANULE_BYTES, moved = evict(&closure, bytes);

    if (!to_disk)
        return moved;
    return mover_spill_block(first) + (closure.save_bytes ? 0 : moved); /* what was dropped came by itself */
}
