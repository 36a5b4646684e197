/* SPDX-License-Identifier: Apache-2.0 */
/* host_slot.c - places on disk for units: the disk's slots, of which small units share some. See host_state.h. */
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

/* One more, of which the first pieces are taken. -ENOSPC: of the disk, or there is no room to remember it. */
static int add_shared(unsigned count, uint64_t *out_slot)
{
    bool added;
    int error = disk_take(&core.disk, HOST_UNIT_BYTES, out_slot);

    if (error < 0)
        return error;
    lock_acquire(&shared.lock);
    if (!shared.slot)
        shared.slot = pages_reserve(SHARED_MAX * sizeof(*shared.slot));
    added = shared.slot && shared.count < SHARED_MAX;
    if (added) {
        shared.hint = shared.count++;
        shared.slot[shared.hint] = (struct shared){*out_slot, run_of(0, count)};
    }
    lock_release(&shared.lock);
    if (!added)
        disk_give(&core.disk, *out_slot, HOST_UNIT_BYTES);
    return added ? 0 : -ENOSPC;
}

static bool shares(unsigned count)
{
    return count <= HOST_UNIT_PIECES / 2;
}

int host_slot_take(const struct host_block *block, uint32_t unit, uint64_t *out_slot)
{
    uint32_t all = host_unit_all(block, unit);
    unsigned count = (unsigned)__builtin_popcount(all);
    uint64_t slot;
    int error;

    if (!shares(count))
        return disk_take(&core.disk, HOST_UNIT_BYTES, out_slot);
    error = take_shared(count, &slot) ? 0 : add_shared(count, &slot);
    if (!error)
        *out_slot = slot - (unsigned)__builtin_ctz(all) * HOST_PIECE_BYTES;
    return error;
}

/* The slot has nobody's pieces any more. */
static bool give_shared(uint64_t slot, unsigned first, unsigned count)
{
    uint32_t index = 0;
    bool is_over;

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

    if (shares(place->count)) {
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
    uint32_t all = host_unit_all(block, unit);
    struct place place = {slot, (unsigned)__builtin_popcount(all)};

    if (shares(place.count))
        place.slot += (unsigned)__builtin_ctz(all) * HOST_PIECE_BYTES;
    if (host_blocks.late_children)
        (void)keep(&place);
    else
        give(&place);
}

void host_slot_give_kept(void)
{
    lock_acquire(&shared.lock);
    while (kept.count) {
        struct place place = kept.place[--kept.count];

        lock_release(&shared.lock);
        give(&place);
        lock_acquire(&shared.lock);
    }
    lock_release(&shared.lock);
}
