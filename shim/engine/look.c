/* SPDX-License-Identifier: Apache-2.0 */
/* look.c - see look.h. */
#include "engine/look.h"

#include <string.h>

#include "engine/core.h"
#include "ledger/busy.h"
#include "ledger/live.h"
#include "ledger/state.h"

/* Blocks, and bytes of them by what keeps them. */
static void look_at_blocks(unsigned ordinal, struct live_look *out)
{
    lock_acquire(&core.lock);
    blocks_each(g, &core.blocks) {
        const struct block *block = &core.blocks.block[g];
        uint64_t bytes = block->granules * GRANULE_BYTES;

        if (block->ordinal != ordinal)
            continue;
        out->blocks++;
        out->blocks_bytes += bytes;
        for (unsigned reason = 0; reason < PIN_REASON_COUNT; reason++)
            if (block->pins[reason] || (reason == PIN_LIBRARY && block->flags & BLOCK_FIXED) ||
                (reason == PIN_REFERENCED && block->flags & BLOCK_REFERENCED))
                out->pinned_bytes[reason] += bytes;
    }
    lock_release(&core.lock);
}

/* What the driver says is in use beside what we hold. */
static uint64_t untracked_on(unsigned ordinal, const struct budget *budget)
{
    uint64_t free_bytes = 0, total_bytes = 0;

    if (!core.devices[ordinal].ready || !core_active() ||
        core.device->memory(core.device, ordinal, &free_bytes, &total_bytes) < 0)
        return 0;
    return shares_over(total_bytes - free_bytes, budget_held(budget));
}

void look_take(unsigned ordinal, struct live_look *out)
{
    const struct kinds_tally *tally = &core.devices[ordinal].kinds;

    memset(out, 0, sizeof(*out));
    live_note_managed(ordinal, core_managed_on(ordinal));
    core_kinds(ordinal, &out->kinds);
    out->untracked_bytes = untracked_on(ordinal, &out->kinds.budget);
    look_at_blocks(ordinal, out);
    lock_acquire(&core.lock);
    for (unsigned kind = 0; kind < KIND_COUNT; kind++)
        for (unsigned why = 0; why < STAY_COUNT; why++)
            out->made[kind][why] = tally->native[kind][why].total;
    lock_release(&core.lock);
    out->duration_ns = core_now() - core.started_ns;
}
