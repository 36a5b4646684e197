/* SPDX-License-Identifier: Apache-2.0 */
/* managed_use.c - a call names managed memory: that comes in, and what was used longest ago leaves for it. See managed.h. */
#include "engine/allocate.h"
#include "engine/core.h"
#include "engine/gate.h"
#include "engine/managed.h"
#include "engine/mover.h"
#include "engine/pause.h"
#include "ledger/headroom.h"
#include "ledger/limit.h"
#include "ledger/managed_range.h"
#include "ledger/state.h"

/* How long blocks are left alone after none could leave for a range: a fraction of a second. */
#define RETRY_PART 100

/* Pieces of a range that a call wants, beginning with the one that it names. core.lock held. */
struct want {
    struct managed_range *range;
    struct managed_run run;
    uint32_t at;
};

/* False: there is none at the address, or it is another device's. */
static bool find_wanted(const struct use_managed *named, unsigned ordinal, struct want *out)
{
    struct managed_range *range = managed_range_find(named->address);

    if (!range || range->is_busy || (ordinal != DEVICE_MAX && range->ordinal != ordinal))
        return false;
    out->range = range;
    out->at = managed_piece_at(range, named->address);
    out->run = (struct managed_run){0, range->pieces};
    if (named->bytes) {
        uint64_t last_bytes = range->start + range->bytes - named->address;

        last_bytes = named->bytes < last_bytes ? named->bytes : last_bytes;
        out->run =
            (struct managed_run){out->at, managed_piece_at(range, named->address + last_bytes - 1) + 1};
    }
    return true;
}

/* Bytes of it that are out. */
static uint64_t lacking(const struct want *wanted)
{
    uint64_t bytes = 0;

    if (wanted->range->in_count == wanted->range->pieces)
        return 0;
    for (uint32_t i = wanted->run.first; i < wanted->run.end; i++)
        if (!managed_piece_in(wanted->range, i))
            bytes += managed_piece_cost(wanted->range, i);
    return bytes;
}

/* Stamps what the use names. Returns the bytes of it that are out and may come in at `*out_ordinal`, which is where it is to
 * be used. */
static uint64_t look(const struct use *use, uint64_t now, unsigned *out_ordinal)
{
    uint64_t bytes[DEVICE_MAX] = {0};
    unsigned ordinal = *out_ordinal;

    lock_acquire(&core.lock);
    for (unsigned i = 0; i < use->managed_count; i++) {
        struct want wanted;

        if (!find_wanted(&use->managed[i], *out_ordinal, &wanted))
            continue;
        wanted.range->stamp = now;
        wanted.range->is_named = true;
        if (ordinal == DEVICE_MAX)
            ordinal = wanted.range->ordinal;
        bytes[wanted.range->ordinal] += lacking(&wanted);
    }
    lock_release(&core.lock);
    if (ordinal == DEVICE_MAX)
        return 0;
    *out_ordinal = ordinal;
    return bytes[ordinal];
}

/* Blocks that were used before that. Returns the bytes that have left. */
static uint64_t evict_older(unsigned ordinal, uint64_t bytes, uint64_t newest)
{
    if (!core.blocks.alive || atomic_load(&core.captures) || !mover_anything_leaves(ordinal, newest, false))
        return 0;
    return mover_evict((struct pause_plan){
        .ordinal = ordinal, .evict_bytes = bytes, .newest = newest, .waiter = DRAIN_LAUNCH});
}

/* Role held. Whoever was used longest ago leaves, block or managed, until `bytes` fit. Returns false when nothing more could
 * leave. */
static bool make_way(unsigned ordinal, uint64_t bytes, uint64_t now, bool may_evict)
{
    uint64_t lacks, went_bytes = 1;

    idle_trim(ordinal, bytes, headroom_device_keep(ordinal));
    while ((lacks = managed_short_of(ordinal, bytes)) && went_bytes) {
        struct managed_range *range = managed_take_oldest(ordinal, now);
        uint64_t newest = range ? range->stamp : now - 1;

        went_bytes = may_evict ? evict_older(ordinal, lacks, newest) : 0;
        if (!went_bytes && range)
            went_bytes = managed_send(range, lacks);
        if (range)
            managed_give(range);
    }
    idle_trim(ordinal, bytes, headroom_device_keep(ordinal));
    return !lacks;
}

/* Role held. What is out of the wanted comes in as far as there is room. */
static void enter(const struct use_managed *named, unsigned ordinal)
{
    uint64_t marks[MANAGED_PIECES / 64] = {0}, keep_bytes = headroom_device_keep(ordinal);
    struct want wanted;
    bool any = false;
    int error = 0;

    lock_acquire(&core.lock);
    if (find_wanted(named, ordinal, &wanted)) {
        uint32_t span = wanted.run.end - wanted.run.first;

        for (uint32_t i = 0; i < span && !error; i++) {
            uint32_t piece = wanted.run.first + (wanted.at - wanted.run.first + i) % span;

            if (managed_piece_in(wanted.range, piece))
                continue;
            error = managed_piece_enter(wanted.range, piece, keep_bytes);
            if (error)
                break;
            managed_mark(marks, piece);
            any = true;
        }
        wanted.range->is_busy = any;
    }
    lock_release(&core.lock);
    if (!any)
        return;
    error = managed_confine(wanted.range, marks, DEVICE_NONE, ordinal);
    if (error)
        error = managed_confine(wanted.range, marks, ordinal, DEVICE_NONE);
    else
        error = 1;
    lock_acquire(&core.lock);
    for (uint32_t i = 0; !error && i < wanted.range->pieces; i++) /* it could not, and is out as before */
        if (managed_is_marked(marks, i))
            managed_piece_leave(wanted.range, i);
    managed_free(wanted.range);
    lock_release(&core.lock);
}

/* A range that no device has used yet is the one's that does; or whoever else had it before. Role held. */
static void move_home(const struct use_managed *named, unsigned ordinal, bool is_wanted)
{
    struct managed_range *range;
    bool moves;

    lock_acquire(&core.lock);
    range = managed_range_find(named->address);
    moves = range && !range->is_busy && (is_wanted || !range->is_named) && range->ordinal != ordinal;
    if (moves)
        range->is_busy = true;
    lock_release(&core.lock);
    if (!moves)
        return;
    if (range->in_count)
        managed_send(range, UINT64_MAX);
    lock_acquire(&core.lock);
    if (!range->in_count)
        range->ordinal = (uint8_t)ordinal;
    managed_free(range);
    lock_release(&core.lock);
}

static bool any_elsewhere(const struct use *use, unsigned ordinal)
{
    bool any = false;

    lock_acquire(&core.lock);
    for (unsigned i = 0; i < use->managed_count; i++) {
        const struct managed_range *range = managed_range_find(use->managed[i].address);

        any = any || (range && !range->is_named && range->ordinal != ordinal);
    }
    lock_release(&core.lock);
    return any;
}

/* Role held. */
static void bring(const struct use *use, unsigned ordinal, uint64_t bytes, uint64_t now)
{
    const struct device_state *device = &core.devices[ordinal];
    struct managed_range *range;
    bool may_evict, is_enough;

    if (bytes > device->budget.limit_bytes)
        bytes = device->budget.limit_bytes;
    lock_acquire(&core.lock);
    range = managed_range_find(use->managed[0].address);
    may_evict = !range || range->retry_stamp < now;
    lock_release(&core.lock);
    is_enough = make_way(ordinal, bytes, now, may_evict);
    for (unsigned i = 0; i < use->managed_count; i++)
        enter(&use->managed[i], ordinal);
    if (is_enough || !may_evict)
        return;
    lock_acquire(&core.lock);
    range = managed_range_find(use->managed[0].address);
    if (range)
        range->retry_stamp = now + core.stamp_hz / RETRY_PART;
    lock_release(&core.lock);
}

/* May something leave, or come in without that? Else the role is not worth taking. */
static bool is_worth_it(unsigned ordinal, uint64_t now, const struct use *use)
{
    const struct managed_range *range;
    bool is_worth;

    lock_acquire(&core.lock);
    range = managed_range_find(use->managed[0].address);
    is_worth = budget_room(&core.devices[ordinal].budget, 0) + core.devices[ordinal].budget.idle_bytes >=
                   GRANULE_BYTES ||
               managed_range_oldest(ordinal, now) ||
               (core.blocks.alive && (!range || range->retry_stamp < now));
    lock_release(&core.lock);
    return is_worth;
}

void managed_use(struct use *use)
{
    unsigned ordinal = DEVICE_MAX;
    uint64_t now, bytes;

    if (!core_active() || mover_mine || gate_inside() || atomic_load(&core.captures))
        return;
    if (use->kernel && core.device->runs_on)
        ordinal = core.device->runs_on(core.device, use->stream);
    if (ordinal != DEVICE_MAX && core.device->count > 1 && any_elsewhere(use, ordinal)) {
        mover_take();
        for (unsigned i = 0; i < use->managed_count; i++)
            move_home(&use->managed[i], ordinal, false);
        mover_give();
    }
    now = core_stamp();
    bytes = look(use, now, &ordinal);
    if (!bytes || !is_worth_it(ordinal, now, use))
        return;
    limit_ready(ordinal);
    mover_take();
    bring(use, ordinal, bytes, now);
    mover_give();
}

void core_managed_bring(unsigned ordinal, uint64_t address, uint64_t bytes)
{
    uint64_t now = core_stamp(), lacks;
    struct managed_range *range;
    struct use use;

    if (!core_active() || mover_mine || gate_inside())
        return;
    use_init(&use, false);
    use_managed(&use, address, bytes);
    if (!use.managed_count)
        return;
    limit_ready(ordinal);
    mover_take();
    move_home(&use.managed[0], ordinal, true);
    lacks = look(&use, now, &ordinal);
    if (lacks)
        bring(&use, ordinal, lacks, now);
    mover_give();
    lock_acquire(&core.lock);
    range = managed_range_find(address);
    if (range)
        range->is_coming = true;
    lock_release(&core.lock);
}
