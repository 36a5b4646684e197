/* SPDX-License-Identifier: Apache-2.0 */
/* mover.c - the role, and making room on the device. See mover.h. */
#include "engine/mover.h"

#include <errno.h>

#include "engine/allocate.h"
#include "engine/check.h"
#include "engine/managed.h"
#include "engine/pause.h"
#include "engine/restore.h"
#include "engine/spill.h"
#include "ledger/busy.h"
#include "ledger/headroom.h"
#include "ledger/managed_range.h"
#include "ledger/state.h"

__thread bool mover_mine;
static const struct lock_tag role = LOCK_TAG(LOCK_ROLE);

/* Re-entry from a reload callback is forbidden; counting it avoids a deadlock if it happens. */
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
    lock_order(&role);
    lock_acquire(&core.lock);
    ticket = core.role_next++;
    while (core.role_now != ticket)
        lock_wait(&core.changed, &core.lock);
    lock_release(&core.lock);
    lock_hold(&role);
    mover_mine = true;
}

void mover_give(void)
{
    if (nested) {
        nested--;
        return;
    }
    host_share_settle(); /* whatever has come to the host meanwhile */
    core_check_move();
    lock_let_go(&role);
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

/* A scan costs the same for one victim as for many, so that many leave at once. */
#define SCAN_EXTRA_MAX ((uint64_t)1 << 30)

static uint64_t sum(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* Bytes that can leave the device without being saved. */
static uint64_t droppable(unsigned ordinal)
{
    struct pause_estimate all = {0};

    if (core.shares_used)
        all = pause_evictable(
            &(struct pause_plan){.ordinal = ordinal, .evict_bytes = INT64_MAX, .only_registered = true});
    return all.bytes - all.save_bytes + atomic_load(&core.devices[ordinal].ordered_bytes);
}

/* Bytes that both tiers together lack for `bytes` more on the device: that much must go to disk. */
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
    uint64_t spill = short_of(ordinal, bytes - from_host_bytes), save;
    struct pause_estimate all = {0};

    if (leave && pause_would_scan()) {
        uint64_t more = core.devices[ordinal].budget.limit_bytes / 8;

        leave += more < SCAN_EXTRA_MAX ? more : SCAN_EXTRA_MAX;
    }
    if (leave && core.shares_used)
        all = pause_evictable(&(struct pause_plan){.ordinal = ordinal, .evict_bytes = leave});
    save = (all.bytes > leave ? all.bytes : leave) - (all.bytes - all.save_bytes);
    if (save > host_room && spill < save - host_room)
        spill = save - host_room;
    if (spill)
        spill_make_room(spill);
    return leave;
}

/*
 * Evict in pauses until `bytes` more fit beside the reserve.
 *
 * What leaves the device goes to host memory, and what that has no room for must go on to disk first: mover_ready_host
 * does so before each pause, with the gate open. But only unmapped memory can be written, and much of it is unmapped by
 * leaving the device, so a pause may have to come before the writing it needs: the loop goes on while what both tiers
 * together lack becomes less. Registered blocks leave as a whole at first. When none can, and what is to be restored
 * gives its host memory back (`from_host_bytes`), they leave in parts: a chunk that leaves takes the place of one
 * that comes, and that always fits.
 */
static int make_room_of_blocks(unsigned ordinal, uint64_t bytes, uint64_t from_host_bytes)
{
    struct pause_plan plan = {.ordinal = ordinal, .waiter = DRAIN_NEED};
    uint64_t lacked = UINT64_MAX, lacks;

    for (;; lacked = lacks) {
        uint64_t want = bytes + headroom_device_keep(ordinal);
        struct pause_result result;

        if (headroom_device(ordinal) < want)
            ordered_give(ordinal, want);
        if (headroom_device(ordinal) >= want)
            return 0;
        if (!core.blocks.alive)
            return -ENOSPC;
        plan.evict_bytes = mover_ready_host(ordinal, bytes, from_host_bytes);
        lacks = short_of(ordinal, bytes - from_host_bytes);
        if (lacks && (lacks >= lacked || !headroom_disk_open()))
            return -ENOSPC;
        result = pause_run(&plan);
        if (result.error < 0)
            return result.error;
        if (!result.evicted_bytes && (plan.in_parts || !from_host_bytes))
            return -ENOSPC;
        plan.in_parts = !result.evicted_bytes;
    }
}

uint64_t mover_oldest(unsigned ordinal)
{
    uint64_t oldest = UINT64_MAX;

    lock_acquire(&core.lock);
    blocks_each(g, &core.blocks) {
        uint64_t stamp = atomic_load_explicit(&core.blocks.stamp[g], memory_order_relaxed);

        if (stamp && stamp < oldest && core.blocks.block[g].ordinal == ordinal &&
            movable_may_evict(g, true) && chunks_bytes(&core.blocks, g, CHUNKS(CHUNK_RESIDENT)))
            oldest = stamp;
    }
    lock_release(&core.lock);
    return oldest;
}

/* Managed memory leaves before blocks that were used later, and where no block could. */
int mover_make_room(unsigned ordinal, uint64_t bytes, uint64_t from_host_bytes)
{
    int error;

    if (managed_range_count())
        managed_leave(ordinal, bytes, mover_oldest(ordinal));
    do
        error = make_room_of_blocks(ordinal, bytes, from_host_bytes);
    while (error < 0 && managed_leave(ordinal, bytes, UINT64_MAX));
    return error;
}

bool mover_anything_leaves(unsigned ordinal, uint64_t newest, bool only_registered)
{
    bool leaves = !newest && !only_registered && atomic_load(&core.devices[ordinal].ordered_bytes);

    lock_acquire(&core.lock);
    blocks_each(g, &core.blocks) {
        uint64_t stamp = atomic_load_explicit(&core.blocks.stamp[g], memory_order_relaxed);

        leaves =
            leaves || (stamp && (!newest || stamp <= newest) && core.blocks.block[g].ordinal == ordinal &&
                       (!only_registered || core.blocks.block[g].flags & BLOCK_REGISTERED) &&
                       movable_may_evict(g, true) && chunks_bytes(&core.blocks, g, CHUNKS(CHUNK_RESIDENT)));
        if (leaves)
            break;
    }
    lock_release(&core.lock);
    return leaves;
}

bool mover_could_ever(unsigned ordinal, uint64_t bytes)
{
    uint64_t room = headroom_device_lent(ordinal),
             elsewhere = headroom_disk_open() && !core_places() ? UINT64_MAX : headroom_host();
    uint64_t movable = 0;

    lock_acquire(&core.lock);
    blocks_each(g, &core.blocks)
        if (core.blocks.block[g].ordinal == ordinal && movable_could_evict(g, true))
            movable += core.blocks.block[g].bytes;
    lock_release(&core.lock);
    room = sum(room, atomic_load(&core.devices[ordinal].ordered_bytes));
    return sum(room, movable < elsewhere ? movable : elsewhere) >= bytes + headroom_device_keep(ordinal);
}

uint64_t mover_evict(struct pause_plan plan)
{
    struct pause_estimate all = pause_evictable(&plan);
    uint64_t staging = headroom_host_staging(), room;

    if (!all.bytes && !pause_could_give(&plan))
        return 0;
    if (all.save_bytes) {
        room = headroom_host();
        if (room < all.bytes + staging && headroom_disk_open())
            spill_cold(all.bytes + staging - room, plan.newest);
        room = headroom_host();
        if (room <= staging)
            return 0;
        if (room - staging < plan.evict_bytes)
            plan.evict_bytes = room - staging;
    }
    return pause_run(&plan).evicted_bytes;
}

uint64_t mover_send(uint32_t first, bool to_disk)
{
    struct pause_plan plan = {.ordinal = core.blocks.block[first].ordinal,
                              .evict_bytes = core.blocks.block[first].granules * GRANULE_BYTES,
                              .only = &first,
                              .waiter = DRAIN_NEED};
    bool is_dropped = to_disk && !pause_evictable(&plan).save_bytes; /* it is on disk by leaving */
    uint64_t moved_bytes = mover_evict(plan);

    if (!to_disk)
        return moved_bytes;
    return spill_block(first) + (is_dropped ? moved_bytes : 0);
}

/* ---- shares ------------------------------------------------------------------------------------------------- */

static struct shares_excess excess(unsigned ordinal)
{
    struct shares shares;

    lock_acquire(&core.lock);
    shares = share_state(ordinal);
    lock_release(&core.lock);
    return shares_grow_buffers(&shares, 0);
}

void share_settle(unsigned ordinal, uint32_t but)
{
    struct pause_plan plan = {.ordinal = ordinal, .waiter = DRAIN_NEED};

    if (but != BLOCK_NONE)
        plan.newest = atomic_load_explicit(&core.blocks.stamp[but], memory_order_relaxed) - 1;

    while (share_in_force()) {
        struct shares_excess over = excess(ordinal);

        if (!over.any_bytes && !over.buffer_bytes)
            return;
        plan.evict_bytes = over.any_bytes ? over.any_bytes : over.buffer_bytes;
        plan.only_registered = !over.any_bytes;
        if (!mover_evict(plan))
            return;
    }
}

/* ---- the host's shares --------------------------------------------------------------------------------------- */

void host_share_settle(void)
{
    struct host_share *host = &core.host_share;

    while (share_in_force() && !atomic_load(&core.leaving) && headroom_disk_open()) {
        struct shares shares = host_share_now();
        uint64_t over = host_share_over(0);

        if (!over)
            host->stuck_bytes = 0;
        if (!over || (host->stuck_bytes && shares.buffers_bytes <= host->stuck_bytes))
            return;
        if (!spill_registered(over))
            host->stuck_bytes = shares.buffers_bytes;
    }
}

/* What host blocks can leave while others come, a piece for a piece; `coming_bytes` count as operations already. */
static uint64_t replaceable(uint64_t coming_bytes)
{
    const struct host_share *host = &core.host_share;
    uint64_t stay_bytes, replaceable_bytes;

    lock_acquire(&core.lock);
    stay_bytes =
        shares_over(host->books.bytes[SHARE_OPERATION], coming_bytes) + host->books.bytes[SHARE_FIXED];
    replaceable_bytes = shares_over(host->ranges_bytes, stay_bytes);
    lock_release(&core.lock);
    return replaceable_bytes;
}

int host_share_make_room(uint64_t coming_bytes)
{
    uint64_t want_bytes = coming_bytes + headroom_host_staging(), over_bytes = 0;

    if (share_in_force()) {
        struct shares shares = host_share_now();

        over_bytes = shares_overbooked(&shares, 0);
    }
    if (over_bytes < shares_over(want_bytes, headroom_host()))
        over_bytes = shares_over(want_bytes, headroom_host());
    if (over_bytes)
        spill_make_room(over_bytes);
    return headroom_host() + replaceable(coming_bytes) < want_bytes ? -ENOSPC : 0;
}
