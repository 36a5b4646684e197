/* SPDX-License-Identifier: Apache-2.0 */
/* share_settle.c - see share_settle.h. */
#include "engine/share_settle.h"

#include <errno.h>

#include "engine/mover.h"
#include "engine/spill.h"
#include "ledger/headroom.h"
#include "ledger/state.h"

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

/* ---- the host ------------------------------------------------------------------------------------------------ */

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
