/* SPDX-License-Identifier: Apache-2.0 */
/* host_slot.c - places on disk for units: the disk's slots, of which small units share some. See
 * host_state.h. */
#include "host/host_state.h"

#include <errno.h>

#include "base/pages.h"
#include "ledger/state.h"
#include "tier/disk.h"

/* A slot that several units have parts of. */
struct shared {
    uint64_t slot;
    uint32_t taken; /* pieces, a bit each */
};

enum {
    SHARED_MAX = 1 << 20
};

static struct {
    struct lock lock;    /* a leaf */
    struct shared *slot; /* in no order */
    uint32_t count;
    uint32_t hint; /* the one that had room last */
} shared = {.lock = LOCK_INIT(LOCK_SLOT)};

/* Where some pieces are. */
struct place {
    uint64_t slot; /* of the first of them, if they share it */
    unsigned count;
};

/* Those that nobody uses but a child. */
static struct {
    struct place *place;
    uint32_t count;
} kept; /* with shared.lock */

/* The pieces that `count` neighbours from `first` on are. */
static uint32_t run_of(unsigned first, unsigned count)
{
    return (uint32_t)(((UINT64_C(1) << count) - 1) << first);
}

/* A run of so many free pieces; HOST_UNIT_PIECES: none. */
static unsigned find_run(uint32_t taken, unsigned count)
{
    unsigned first = 0;

    while (first + count <= HOST_UNIT_PIECES && taken & run_of(first, count))
        first++;
    return first + count <= HOST_UNIT_PIECES ? first : HOST_UNIT_PIECES;
}

/* Lock held. */
static bool take_from(uint32_t index, unsigned count, uint64_t *out_slot)
{
    struct shared *entry = &shared.slot[index];
    unsigned first = find_run(entry->taken, count);

    if (first == HOST_UNIT_PIECES)
        return false;
    entry->taken |= run_of(first, count);
    shared.hint = index;
    *out_slot = entry->slot + first * HOST_PIECE_BYTES;
    return true;
}

static bool take_shared(unsigned count, uint64_t *out_slot)
{
    bool taken;

    lock_acquire(&shared.lock);
    taken = shared.hint < shared.count && take_from(shared.hint, count, out_slot);
    for (uint32_t i = 0; i < shared.count && !taken; i++)
        taken = take_from(i, count, out_slot);
    lock_release(&shared.lock);
    return taken;
}

/* One more, of which the first pieces are taken. False: no room to remember it. */
static bool add_shared(uint64_t slot, unsigned count)
{
    bool added;

    lock_acquire(&shared.lock);
    if (!shared.slot)
        shared.slot = pages_reserve(SHARED_MAX * sizeof(*shared.slot));
    added = shared.slot && shared.count < SHARED_MAX;
    if (added) {
        shared.hint = shared.count++;
        shared.slot[shared.hint] = (struct shared){slot, run_of(0, count)};
    }
    lock_release(&shared.lock);
    return added;
}

/* What a unit has of pieces, and at which of them it begins. */
struct extent_of {
    unsigned first, count;
};

static struct extent_of extent_of(const struct host_block *block, uint32_t unit)
{
    uint32_t all = host_unit_all(block, unit);

    return (struct extent_of){(unsigned)__builtin_ctz(all), (unsigned)__builtin_popcount(all)};
}

static bool shares(const struct extent_of *extent)
{
    return extent->count <= HOST_UNIT_PIECES / 2;
}

int host_slot_take(const struct host_block *block, uint32_t unit, uint64_t *out_slot)
{
    const struct extent_of extent = extent_of(block, unit);
    uint64_t place;
    int error;

    if (!shares(&extent))
        return disk_take(&core.disk, HOST_UNIT_BYTES, out_slot);
    if (!take_shared(extent.count, &place)) {
        error = disk_take(&core.disk, HOST_UNIT_BYTES, &place);
        if (error < 0)
            return error;
        if (!add_shared(place, extent.count)) {
            disk_give(&core.disk, place, HOST_UNIT_BYTES);
            return -ENOSPC;
        }
    }
    *out_slot = place - extent.first * HOST_PIECE_BYTES;
    return 0;
}

/* The slot has nobody's pieces any more. */
static bool give_shared(uint64_t slot, unsigned first, unsigned count)
{
    bool is_over = false;
    uint32_t index = 0;

    lock_acquire(&shared.lock);
    while (shared.slot[index].slot != slot)
        index++;
    shared.slot[index].taken &= ~run_of(first, count);
    is_over = !shared.slot[index].taken;
    if (is_over)
        shared.slot[index] = shared.slot[--shared.count];
    lock_release(&shared.lock);
    return is_over;
}

static void give(const struct place *place)
{
    uint64_t slot = place->slot;

    if (place->count <= HOST_UNIT_PIECES / 2) {
        unsigned first = (unsigned)(slot % HOST_UNIT_BYTES / HOST_PIECE_BYTES);

        slot -= first * HOST_PIECE_BYTES;
        if (!give_shared(slot, first, place->count))
            return;
    }
    disk_give(&core.disk, slot, HOST_UNIT_BYTES);
}

/* False: no room to remember it; then the disk never gets it back. */
static bool keep(const struct place *place)
{
    bool kept_it;

    lock_acquire(&shared.lock);
    if (!kept.place)
        kept.place = pages_reserve(SHARED_MAX * sizeof(*kept.place));
    kept_it = kept.place && kept.count < SHARED_MAX;
    if (kept_it)
        kept.place[kept.count++] = *place;
    lock_release(&shared.lock);
    return kept_it;
}

void host_slot_give(const struct host_block *block, uint32_t unit, uint64_t slot)
{
    const struct extent_of extent = extent_of(block, unit);
    const struct place place = {shares(&extent) ? slot + extent.first * HOST_PIECE_BYTES : slot,
                                extent.count};

    if (host_blocks.late_children)
        (void)keep(&place);
    else
        give(&place);
}

void host_slot_give_kept(void)
{
    struct place place;
    bool any;

    do {
        lock_acquire(&shared.lock);
        any = kept.count != 0;
        if (any)
            place = kept.place[--kept.count];
        lock_release(&shared.lock);
        if (any)
            give(&place);
    } while (any);
}
