/* SPDX-License-Identifier: Apache-2.0 */
/* reservation_ask.c - what a reservation would have too much, without making it. See reservation.h. */
#include "engine/reservation.h"

#include "engine/mover.h"
#include "engine/pause.h"
#include "ledger/headroom.h"
#include "ledger/state.h"

/* Of `bytes` that should leave a device, those that can: objects go as a whole, and what is saved needs
 * `away_bytes`. */
static uint64_t could_leave(unsigned ordinal, uint64_t bytes, uint64_t away_bytes)
{
    uint64_t least = 0, most = (bytes + GRANULE_BYTES - 1) / GRANULE_BYTES, leave = 0;

    mover_take();
    while (least < most) {
        uint64_t middle = (least + most + 1) / 2;
        struct pause_estimate could =
            pause_evictable(&(struct pause_plan){.ordinal = ordinal, .evict_bytes = middle * GRANULE_BYTES});

        if (could.save_bytes <= away_bytes) {
            leave = could.bytes;
            least = middle;
        } else {
            most = middle - 1;
        }
    }
    mover_give();
    return leave;
}

int reservation_ask(unsigned ordinal, uint64_t bytes, uint64_t *out_overbooked_bytes)
{
    uint64_t away = headroom_host() + (headroom_disk_open() ? headroom_disk() / 2 : 0), over;
    struct shares shares;
    int error;

    lock_acquire(&core.lock);
    error = share_admit(ordinal, bytes, BLOCK_NONE);
    shares = share_state(ordinal);
    lock_release(&core.lock);
    if (error < 0)
        return error;
    over = shares_overbooked(&shares, bytes);
    away = could_leave(ordinal, over, away);
    *out_overbooked_bytes = over > away ? over - away : 0;
    return 0;
}
