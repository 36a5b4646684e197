/* SPDX-License-Identifier: Apache-2.0 */
/* look.c - see look.h. */
#include "engine/look.h"

#include <stdatomic.h>
#include <string.h>

#include "engine/core.h"
#include "ledger/busy.h"
#include "ledger/live.h"
#include "ledger/state.h"
#include "live/writer.h"

/* A look follows the last one no sooner, and after a thousand times what that took. */
#define LOOK_NS   UINT64_C(200000000)
#define LOOK_RATE 1000

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

void look_publish(bool now)
{
    static struct live_look look; /* of who is at it, as all here */
    static uint64_t due_ns;
    static atomic_flag busy = ATOMIC_FLAG_INIT;
    uint64_t since_ns = core_now(), took_ns;

    if (!live_writer_is_open() || atomic_flag_test_and_set(&busy))
        return;
    if (now || since_ns >= due_ns) {
        for (unsigned i = 0; i < core.device->count; i++) {
            if (!core.devices[i].ready)
                continue;
            look_take(i, &look);
            live_writer_look(i, &look);
        }
        took_ns = core_now() - since_ns;
        due_ns = since_ns + (took_ns * LOOK_RATE > LOOK_NS ? took_ns * LOOK_RATE : LOOK_NS);
    }
    atomic_flag_clear(&busy);
}
