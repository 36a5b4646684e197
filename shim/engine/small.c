/* SPDX-License-Identifier: Apache-2.0 */
/* small.c - see small.h. */
#include "engine/small.h"

#include <errno.h>

#include "engine/allocate.h"
#include "engine/object_state.h"
#include "ledger/share.h"
#include "ledger/state.h"

/* First granule of the bin at an address. */
static bool bin_of(uint64_t address, uint32_t *out_first)
{
    return !object_at(address, out_first) && core.blocks.block[*out_first].is_bin;
}

bool small_holds(uint64_t address)
{
    uint32_t first;

    return bin_of(address, &first);
}

/* ---- allocated ------------------------------------------------------------------------------------------------------ */

struct request {
    const struct wanted *wanted;
    uint64_t address;
    bool is_again; /* others may have made room meanwhile */
};

/* A bin for the request, which is served by it; a single granule where there is no room for what wastes least. -EAGAIN, -ENOMEM. */
static int make(struct request *request, bool is_single)
{
    const struct wanted *wanted = request->wanted;
    struct bin_plan plan;
    struct block fresh;
    bool opened = false;
    uint32_t first;
    int error = bin_plan(wanted, is_single, &plan);

    if (error)
        return error;
    fresh = (struct block){
        .bytes = plan.granules * GRANULE_BYTES,
        .context = wanted->context,
        .granules = plan.granules,
        .ordinal = wanted->ordinal,
        .flags = wanted_flags(wanted),
        .is_bin = true,
    };
    error = allocate_block(&fresh, &first);
    if (!error) {
        lock_acquire(&core.lock);
        opened = core.blocks.block[first].id == fresh.id && block_alive(&core.blocks.block[first]) &&
                 bin_open(first, wanted, &plan, &request->address);
        lock_release(&core.lock);
    }
    if (opened)
        return 0;
    bin_plan_drop(wanted, &plan);
    if (error)
        return plan.granules == 1 ? error : make(request, true);
    free_at_rest(first, fresh.id); /* its context is going */
    return -ENOMEM;
}

static int attempt(void *arg)
{
    struct request *request = arg;

    do {
        if (request->is_again && bin_take(request->wanted, &request->address))
            return 0;
        request->is_again = true;
        if (!make(request, false))
            return 0;
    } while (core.deferred && free_deferred(core.options->drain_ms));
    /* What was given back for want of room may have been cells of bins that stay. */
    return bin_take(request->wanted, &request->address) ? 0 : -ENOSPC;
}

static void stamp(uint64_t address)
{
    uint32_t first;

    if (!object_at(address, &first))
        object_stamp_alive(first);
}

bool small_take(const struct wanted *wanted, uint64_t *out_address)
{
    bool taken = bin_take(wanted, out_address);

    if (taken)
        stamp(*out_address);
    return taken;
}

int small_allocate(const struct wanted *wanted, uint64_t *out_address)
{
    struct request request = {.wanted = wanted};
    int error;

    if (small_take(wanted, out_address))
        return 0;
    error = allocate_in_room(wanted->ordinal, wanted->bytes, GRANULE_BYTES, attempt, &request);
    if (error)
        return error;
    stamp(request.address);
    *out_address = request.address;
    return 0;
}

bool small_retake(uint64_t address, uint64_t id, const struct wanted *wanted)
{
    uint32_t first;

    if (!bin_of(address, &first) || !bin_retake(first, address, id, wanted))
        return false;
    object_stamp_alive(first);
    return true;
}

/* ---- freed ---------------------------------------------------------------------------------------------------------- */

/* Unless the block has gone meanwhile, with its context, and another one is there. */
static void pins_drop(uint32_t first, const struct bin_buried *buried)
{
    struct block *block = &core.blocks.block[first];
    unsigned any = 0;

    for (unsigned reason = 0; reason < PIN_REASON_COUNT; reason++)
        any |= buried->pins[reason];
    if (!any)
        return;
    lock_acquire(&core.lock);
    if (block->id == buried->block_id) {
        for (unsigned reason = 0; reason < PIN_REASON_COUNT; reason++)
            if (block->pins[reason] < UINT16_MAX)
                block->pins[reason] -=
                    buried->pins[reason] < block->pins[reason] ? buried->pins[reason] : block->pins[reason];
        share_update(first);
    }
    lock_release(&core.lock);
}

int small_bury(uint64_t address, bool is_ordered, uint64_t *out_id)
{
    struct bin_buried buried;
    uint32_t first;

    if (!bin_of(address, &first) || !bin_bury(first, address, is_ordered, &buried))
        return -EINVAL;
    *out_id = buried.id;
    pins_drop(first, &buried);
    return 0;
}

bool small_unorder(uint64_t address, uint64_t id)
{
    uint32_t first;

    return bin_of(address, &first) && bin_unorder(first, address, id);
}

uint64_t small_release(uint64_t address, uint64_t id)
{
    struct bin_closed closed;
    uint32_t first;

    if (!bin_of(address, &first) || !bin_return(first, address, id, &closed))
        return 0;
    bin_dispose(&closed);
    free_at_rest(closed.first, closed.block_id);
    return closed.granules * GRANULE_BYTES;
}

void small_defer(uint64_t address, uint64_t id)
{
    uint32_t first;

    core.deferred++;
    if (!bin_of(address, &first) || !bin_defer(first, address, id))
        core.deferred--;
}
