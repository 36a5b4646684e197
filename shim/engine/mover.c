/* SPDX-License-Identifier: Apache-2.0 */
/* mover.c - the role, and making room on the device. See mover.h. */
#include "engine/mover.h"

#include <errno.h>

#include "engine/allocate.h"
#include "engine/pause.h"
#include "engine/pause_steps.h"
#include "engine/restore.h"
#include "engine/spill.h"
#include "ledger/headroom.h"
#include "ledger/state.h"

__thread bool mover_mine;

/* Nested where the program's reload callback calls what it must not: no deadlock comes of it. */
static __thread unsigned nested;

void mover_take(void)
{
    bool is_nested = mover_mine;

    mover_take_beside();
    if (!is_nested && restore_stream_any())
        restore_streams_settle();
}

void mover_take_beside(void)
{
    uint64_t ticket;

    if (mover_mine) {
        nested++;
        return;
    }
    lock_acquire(&core.lock);
    ticket = core.role_next++;
    while (core.role_now != ticket)
        lock_wait(&core.changed, &core.lock);
    lock_release(&core.lock);
    mover_mine = true;
}

void mover_give(void)
{
    if (nested) {
        nested--;
        return;
    }
    host_share_settle(); /* whatever has come to the host meanwhile */
    mover_mine = false;
    lock_acquire(&core.lock);
    core.role_now++;
    pthread_cond_broadcast(&core.changed);
    lock_release(&core.lock);
}

bool mover_settle(const struct timespec *until)
{
    bool is_settled;
    uint64_t next;

    if (mover_mine) /* the process ends in a signal handler, in the middle of a move */
        return false;
    lock_acquire(&core.lock);
    next = core.role_next;
    while (core.role_now < next && lock_wait_until(&core.changed, &core.lock, until) == 0)
        ;
    is_settled = core.role_now >= next;
    lock_release(&core.lock);
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
    struct pause pause = {.ordinal = ordinal,
                          .evict_bytes = INT64_MAX,
                          .newest = UINT64_MAX,
                          .whole = true,
                          .only_registered = true};
    uint64_t bytes = core.shares_used ? pause_evictable(&pause) : 0;

    return bytes - pause.save_bytes;
}

/* What both tiers together lack for `bytes` more on the device: that much must go to disk. */
static uint64_t short_of(unsigned ordinal, uint64_t bytes)
{
    uint64_t have = sum(sum(headroom_device(ordinal), headroom_host()), droppable(ordinal));
    uint64_t want =
        bytes + core.devices[ordinal].chunk_max_granules * GRANULE_BYTES + headroom_host_staging();

    return want > have ? want - have : 0;
}

uint64_t mover_ready_host(unsigned ordinal, uint64_t bytes, uint64_t from_host_bytes)
{
    uint64_t keep = core.devices[ordinal].chunk_max_granules * GRANULE_BYTES;
    uint64_t room = headroom_device(ordinal), host_room = headroom_host();
    uint64_t leave = bytes + keep > room ? bytes + keep - room : 0;
    uint64_t spill = short_of(ordinal, bytes - from_host_bytes), all = 0, dropped = 0;

    if (leave && pause_would_scan()) {
        uint64_t more = core.devices[ordinal].budget.limit_bytes / 8;

        leave += more < SEARCH_EXTRA_MAX ? more : SEARCH_EXTRA_MAX;
    }
    if (leave && core.shares_used) {
        struct pause pause = {.ordinal = ordinal, .evict_bytes = leave, .newest = UINT64_MAX, .whole = true};

        all = pause_evictable(&pause);
        dropped = all - pause.save_bytes;
    }
    all = (all > leave ? all : leave) - dropped;
    if (all > host_room && spill < all - host_room)
        spill = all - host_room;
    if (spill)
        spill_make_room(spill);
    return leave;
}

int mover_make_room(unsigned ordinal, uint64_t bytes, uint64_t from_host_bytes)
{
    uint64_t lacked = UINT64_MAX, lacks;
    bool whole = true;

    for (;; lacked = lacks) {
        struct pause pause = {.ordinal = ordinal, .newest = UINT64_MAX, .whole = whole, .patient = true};
        uint64_t keep = headroom_device_keep(ordinal);
        int r;

        if (headroom_device(ordinal) >= bytes + keep)
            return 0;
        if (!core.blocks.alive)
            return -ENOSPC;
        pause.evict_bytes = mover_ready_host(ordinal, bytes, from_host_bytes);
        lacks = short_of(ordinal, bytes - from_host_bytes);
        /* What goes to disk may have to leave the device first: as long as that helps, go on. */
        if (lacks && (lacks >= lacked || !headroom_disk_open()))
            return -ENOSPC;
        r = pause_run(&pause);
        if (r < 0)
            return r;
        if (!pause.evicted_bytes && !(whole && from_host_bytes))
            return -ENOSPC;
        /* What comes back leaves room behind: with a swap at a time it always fits. */
        whole = pause.evicted_bytes != 0;
    }
}

/* Any chunk of the block on the device? core.lock held. */
static bool partly_resident(uint32_t first)
{
    return chunks_bytes(&core.blocks, first, CHUNKS(CHUNK_RESIDENT)) != 0;
}

bool mover_anything_leaves(unsigned ordinal, uint64_t newest, bool only_registered)
{
    bool leaves = false;

    lock_acquire(&core.lock);
    blocks_each(g, &core.blocks) {
        uint64_t stamp = atomic_load_explicit(&core.blocks.stamp[g], memory_order_relaxed);

        leaves = stamp && stamp <= newest && core.blocks.block[g].ordinal == ordinal &&
                 (!only_registered || core.blocks.block[g].flags & BLOCK_REGISTERED) &&
                 movable_may_evict(g, true) && partly_resident(g);
        if (leaves)
            break;
    }
    lock_release(&core.lock);
    return leaves;
}

bool mover_could_ever(unsigned ordinal, uint64_t bytes)
{
    uint64_t room = headroom_device(ordinal),
             elsewhere = headroom_disk_open() && !core_places() ? UINT64_MAX : headroom_host();
    uint64_t movable = 0;

    lock_acquire(&core.lock);
    blocks_each(g, &core.blocks)
        if (core.blocks.block[g].ordinal == ordinal && movable_could_evict(g, true))
            movable += core.blocks.block[g].bytes;
    lock_release(&core.lock);
    return sum(room, movable < elsewhere ? movable : elsewhere) >= bytes + headroom_device_keep(ordinal);
}

static uint64_t evict(struct pause *pause, uint64_t bytes)
{
    uint64_t staging = headroom_host_staging(), room, leave;

    pause->evict_bytes = bytes;
    leave = pause_evictable(pause);
    if (leave && !pause->save_bytes)
        return pause_run(pause) < 0 ? 0 : pause->evicted_bytes;
    if (!leave)
        return 0;
    room = headroom_host();
    if (room < leave + staging && headroom_disk_open())
        spill_cold(leave + staging - room, pause->newest);
    room = headroom_host();
    if (room > staging && room - staging < bytes)
        pause->evict_bytes = room - staging;
    if (room <= staging || pause_run(pause) < 0)
        return 0;
    return pause->evicted_bytes;
}

uint64_t mover_relieve(unsigned ordinal, uint64_t bytes, uint64_t newest, bool only_registered)
{
    struct pause pause = {
        .ordinal = ordinal, .newest = newest, .whole = true, .only_registered = only_registered};

    return evict(&pause, bytes);
}

uint64_t mover_evict(unsigned ordinal, uint64_t bytes, uint64_t newest, bool only_registered)
{
    struct pause pause = {.ordinal = ordinal,
                          .newest = newest,
                          .whole = true,
                          .only_registered = only_registered,
                          .patient = true};

    return evict(&pause, bytes);
}

uint64_t mover_send(uint32_t first, bool to_disk)
{
    struct pause pause = {.ordinal = core.blocks.block[first].ordinal,
                          .newest = UINT64_MAX,
                          .whole = true,
                          .only = first + 1,
                          .patient = true};
    uint64_t bytes = core.blocks.block[first].granules * GRANULE_BYTES, moved = evict(&pause, bytes);

    if (!to_disk)
        return moved;
    return spill_block(first) + (pause.save_bytes ? 0 : moved); /* what was dropped came by itself */
}
