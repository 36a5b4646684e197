/* SPDX-License-Identifier: Apache-2.0 */
/* small.c - see small.h. */
#include "engine/small.h"

#include <errno.h>

#include "engine/allocate.h"
#include "engine/object_state.h"
#include "ledger/share.h"
#include "ledger/state.h"

/* ---- allocated ------------------------------------------------------------------------------------------------------ */

/* Under the lock: the block is a bin from now on, unless it went with its context meanwhile. */
static bool open_alive(uint32_t first, uint64_t id, const struct cell_wish *wish, unsigned class,
                       void *memory)
{
    const struct block *block = &core.blocks.block[first];
    bool alive = block->id == id && block_alive(block);

    if (alive)
        bin_open(first, wish, class, memory);
    return alive;
}

static int make(const struct cell_wish *wish, unsigned class)
{
    uint32_t granules = bin_granules(class);
    struct block fresh = {
        .bytes = granules * GRANULE_BYTES,
        .context = wish->context,
        .granules = granules,
        .ordinal = wish->ordinal,
        .flags = (uint16_t)(wish->is_fixed ? BLOCK_BIN | BLOCK_FIXED : BLOCK_BIN),
    };
    void *memory = bin_memory_take(wish->ordinal, class);
    bool opened = false;
    uint32_t first;
    int error;

    if (!memory)
        return -ENOMEM;
    error = allocate_block(&fresh, &first);
    if (!error) {
        lock_acquire(&core.lock);
        opened = open_alive(first, fresh.id, wish, class, memory);
        lock_release(&core.lock);
    }
    if (!opened)
        bin_memory_give(wish->ordinal, class, memory);
    return error;
}

/* A bin of the class that wastes least; a single granule where there is no room for it. */
static int make_some(const struct cell_wish *wish)
{
    unsigned class = bin_class_for(wish);
    int error = make(wish, class);

    return error && bin_granules(class) > 1 ? make(wish, BIN_MIXED) : error;
}

struct request {
    const struct cell_wish *wish;
    uint64_t address;
};

static int attempt(void *arg)
{
    struct request *request = arg;

    do {
        if (bin_take(request->wish, &request->address))
            return 0;
    } while (!make_some(request->wish) || (core.deferred && free_deferred(core.options->drain_ms)));
    return -ENOSPC;
}

int small_allocate(const struct cell_wish *wish, uint64_t *out_address)
{
    struct request request = {.wish = wish};
    uint32_t first;
    int error = 0;

    if (!bin_take(wish, &request.address))
        error = allocate_in_room(wish->ordinal, wish->bytes, GRANULE_BYTES, attempt, &request);
    if (error)
        return error;
    if (!object_at(request.address, &first))
        object_stamp_alive(first);
    *out_address = request.address;
    return 0;
}

/* ---- freed ---------------------------------------------------------------------------------------------------------- */

/* First granule of the bin at an address. */
static bool bin_of(uint64_t address, uint32_t *out_first)
{
    return !object_at(address, out_first) && core.blocks.block[*out_first].flags & BLOCK_BIN;
}

bool small_holds(uint64_t address)
{
    uint32_t first;

    return bin_of(address, &first);
}

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

int small_bury(uint64_t address, uint64_t *out_id)
{
    struct bin_buried buried;
    uint32_t first;

    if (!bin_of(address, &first) || !bin_bury(first, address, &buried))
        return -EINVAL;
    *out_id = buried.id;
    pins_drop(first, &buried);
    return 0;
}

void small_release(uint64_t address, uint64_t id)
{
    struct bin_closed closed;
    uint32_t first;

    if (!bin_of(address, &first) || !bin_return(first, address, id, &closed))
        return;
    bin_dispose(&closed);
    free_at_rest(closed.first, closed.block_id);
}

void small_defer(uint64_t address, uint64_t id)
{
    uint32_t first;

    core.deferred++;
    if (!bin_of(address, &first) || !bin_defer(first, address, id))
        core.deferred--;
}
