/* SPDX-License-Identifier: Apache-2.0 */
/* backing.c - the memory behind a new chunk, for which others may have to leave. See allocate.h. */
#include "engine/allocate.h"

#include <errno.h>

#include "engine/gate.h"
#include "engine/monitor.h"
#include "engine/mover.h"
#include "engine/spill.h"
#include "ledger/busy.h"
#include "ledger/headroom.h"
#include "ledger/state.h"

/* Launches with pins and blocks being built, but for the caller's own, let go of something by themselves. The holder
 * of the role asks once for all of a try: no launch takes pins meanwhile. */
static bool others_in_the_way(void)
{
    return core_launch_pins() || atomic_load(&core.pins_all) || atomic_load(&core.changing) > 1;
}

/* Make room and take it before somebody else does. A launch that holds pins ends soon, as a rule, and no other takes
 * any while we have the role: so it is given a moment. -EAGAIN: others were in the way all the same. */
static int take_in_turn(unsigned ordinal, uint64_t bytes, uint64_t rest_bytes, uint64_t *out_handle)
{
    uint32_t changes = atomic_load(&core.changes);
    bool others = true;
    int error = -EAGAIN;

    mover_take();
    for (unsigned tries = 0; error < 0 && others && tries < 2; tries++) {
        if (tries)
            core_wait_change();
        others = others_in_the_way();
        error = mover_make_room(ordinal, rest_bytes, 0);
        if (error < 0)
            error = mover_make_room(ordinal, bytes, 0);
        if (!error)
            error = allocate_take(ordinal, bytes, headroom_device_keep(ordinal), out_handle);
    }
    mover_give();
    if (error < 0 && (others || others_in_the_way() || atomic_load(&core.changes) != changes))
        return -EAGAIN;
    return error;
}

/* Host memory for a new chunk; where there is no room others are sent to disk, if they may. */
static int slab_back(struct chunk *chunk, bool may_move)
{
    uint64_t bytes = chunk_bytes(chunk), item;
    int error = recycler_take(&core.slabs, bytes, headroom_host_staging(), &item);

    if (error == -ENOSPC && may_move && headroom_disk_open() && !atomic_load(&core.captures)) {
        mover_take();
        error = spill_make_room(bytes + headroom_host_staging());
        error = error < 0 ? error : recycler_take(&core.slabs, bytes, headroom_host_staging(), &item);
        mover_give();
    }
    if (!error)
        chunk->slab = slab_of(item);
    return error;
}

int backing_take(uint32_t first, uint32_t granule, uint64_t rest_bytes)
{
    struct chunk *chunk = &core.blocks.chunk[granule];
    unsigned ordinal = core.blocks.block[first].ordinal;
    uint64_t bytes = chunk_bytes(chunk);
    int error = allocate_take(ordinal, bytes, headroom_device_keep(ordinal), &chunk->handle);

    if (error < 0 && gate_inside()) /* of a callback of the driver: nobody is waited for */
        return core.mapped && slab_back(chunk, false) == 0 ? 0 : -ENOMEM;
    if (error < 0 && !atomic_load(&core.captures) &&
        monitor_wait_room(ordinal, rest_bytes, core.options->wait_ms))
        error = allocate_take(ordinal, bytes, headroom_device_keep(ordinal), &chunk->handle);
    if (error < 0 && !core_capturing())
        error = take_in_turn(ordinal, bytes, rest_bytes, &chunk->handle);
    if (!error)
        return 0;
    chunk->handle = 0;
    if (core.mapped && slab_back(chunk, true) == 0)
        return 0;
    return error == -EAGAIN ? error : -ENOMEM;
}
