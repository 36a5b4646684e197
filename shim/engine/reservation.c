/* SPDX-License-Identifier: Apache-2.0 */
/* reservation.c - see reservation.h. */
#include "engine/reservation.h"

#include <errno.h>

#include "engine/allocate.h"
#include "engine/callbacks.h"
#include "engine/mover.h"
#include "engine/object_state.h"
#include "engine/restore.h"
#include "ledger/busy.h"
#include "ledger/headroom.h"
#include "ledger/limit.h"
#include "ledger/state.h"

enum {
    RESERVATIONS = 1024
};

/* core.lock. The table's place is the low part of the name, the rest counts up: a name is not used twice. */
static struct reservation {
    uint64_t id; /* 0: free */
    uint64_t bytes;
    uint32_t drawn_blocks; /* not committed yet */
    uint32_t thread;       /* its maker */
    uint8_t ordinal;
} table[RESERVATIONS];
static uint64_t rounds;
static uint32_t last_thread;

static __thread uint32_t thread_id;
static __thread uint32_t held; /* reservations of this thread, some of which others may have ended */
static __thread struct {
    ebb_reservation from; /* while this thread draws; somebody may end it meanwhile */
    uint64_t bytes;       /* drawn */
} drawing;

static struct reservation *find(ebb_reservation id)
{
    struct reservation *reservation = &table[id % RESERVATIONS];

    return id && reservation->id == id ? reservation : NULL;
}

static struct reservation *find_free(void)
{
    for (unsigned i = 0; i < RESERVATIONS; i++)
        if (!table[i].id)
            return &table[i];
    return NULL;
}

static struct budget *budget_of(const struct reservation *reservation)
{
    return &core.devices[reservation->ordinal].budget;
}

/* ---- making ----------------------------------------------------------------------------------------------- */

/* Room for a reservation, under the lock: what shares keep free for moves is not for it. */
static uint64_t keep_free(unsigned ordinal)
{
    return core.devices[ordinal].chunk_max_granules * GRANULE_BYTES;
}

struct request {
    unsigned ordinal, flags;
    uint64_t bytes, deadline_ns;
    ebb_reservation *out;
    uint64_t over_bytes;
};

/* One try: 0, -ENOMEM no place in the table, -EAGAIN no room yet, -ENOSPC never. */
static int try_to_make(struct request *request, bool may_overbook)
{
    unsigned ordinal = request->ordinal;
    struct budget *budget = &core.devices[ordinal].budget;
    struct reservation *place;
    struct shares shares;
    int error;

    lock_acquire(&core.lock);
    place = find_free();
    error = place ? share_admit(ordinal, request->bytes, BLOCK_NONE) : -ENOMEM;
    if (!error && budget_charge(budget, CLASS_RESERVED, request->bytes, keep_free(ordinal)) < 0) {
        if (may_overbook)
            budget_force(budget, CLASS_RESERVED, request->bytes);
        else
            error = -EAGAIN;
    }
    if (!error) {
        if (!thread_id)
            thread_id = ++last_thread;
        *place = (struct reservation){
            .id = ++rounds * RESERVATIONS + (uint64_t)(place - table),
            .bytes = request->bytes,
            .thread = thread_id,
            .ordinal = (uint8_t)ordinal,
        };
        held++;
        *request->out = place->id;
        shares = share_state(ordinal);
        request->over_bytes = shares_overbooked(&shares, 0);
        share_begin();
    }
    lock_release(&core.lock);
    return error;
}

/* Evict for it. */
static void make_room(unsigned ordinal, uint64_t bytes)
{
    mover_take();
    mover_make_room(ordinal, bytes, 0);
    mover_give();
    idle_trim(ordinal, bytes, keep_free(ordinal));
}

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

/* How many bytes would be over if operations grew by `bytes` now, after all evictions that the slower tiers have room
 * for. 0; -ENOSPC operations would pass their maximum. */
static int ask(unsigned ordinal, uint64_t bytes, uint64_t *out_overbooked_bytes)
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

static int attempt(void *arg)
{
    struct request *request = arg;
    int error;

    for (;;) {
        error = try_to_make(request, false);
        if (error == -EAGAIN) {
            make_room(request->ordinal, request->bytes);
            error = try_to_make(request, request->flags & EBB_OVERBOOK_YES);
        }
        if (error != -EAGAIN)
            return error;
        if (core_now() >= request->deadline_ns)
            return -ENOSPC;
        core_wait_change();
    }
}

int reservation_make(unsigned ordinal, uint64_t bytes, unsigned flags, unsigned timeout_ms,
                     ebb_reservation *out, uint64_t *out_overbooked_bytes)
{
    uint64_t rounded = (bytes + GRANULE_BYTES - 1) / GRANULE_BYTES * GRANULE_BYTES;
    struct request request = {.ordinal = ordinal,
                              .flags = flags,
                              .bytes = rounded,
                              .deadline_ns = core_now() + timeout_ms * UINT64_C(1000000),
                              .out = out};
    int error;

    if (pressure_callback_asking())
        return -EDEADLK;
    if (rounded < bytes)
        return -ENOSPC;
    limit_ready(ordinal);
    if (flags & EBB_OVERBOOK_ASK)
        return ask(ordinal, rounded, out_overbooked_bytes);
    error = room_try((int)ordinal, rounded, attempt, &request);
    if (!error)
        *out_overbooked_bytes = request.over_bytes;
    return error;
}

/* ---- ending ----------------------------------------------------------------------------------------------- */

/* Under the lock: what was drawn from it and not committed is a buffer, or loose, from now on. */
static void let_drawn_go(const struct reservation *reservation)
{
    blocks_each(g, &core.blocks) {
        struct block *block = &core.blocks.block[g];

        if (!block_alive(block) || !(block->flags & BLOCK_DRAWN) ||
            core.blocks.object[g].reservation != reservation->id)
            continue;
        block->flags &= (uint16_t)~BLOCK_DRAWN;
        block->pins[PIN_API]--;
        share_update(g);
    }
}

static void end(struct reservation *reservation)
{
    let_drawn_go(reservation);
    reservation->id = 0;
}

static void end_if_used_up(struct reservation *reservation)
{
    if (!reservation->bytes && !reservation->drawn_blocks)
        end(reservation);
}

/* A block that was drawn from it is committed, or freed. */
static void lose_drawn(struct reservation *reservation)
{
    reservation->drawn_blocks--;
    end_if_used_up(reservation);
}

void reservation_forget(uint32_t first)
{
    struct reservation *reservation = find(core.blocks.object[first].reservation);

    if (reservation)
        lose_drawn(reservation);
}

int reservation_release(ebb_reservation id, uint64_t bytes)
{
    struct reservation *reservation;
    unsigned ordinal = 0;
    bool over = false;
    int error = -EINVAL;

    lock_acquire(&core.lock);
    reservation = find(id);
    if (reservation && bytes == UINT64_MAX)
        bytes = reservation->bytes;
    else if (reservation && !bytes)
        reservation = NULL;
    if (reservation && bytes <= reservation->bytes) {
        ordinal = reservation->ordinal;
        budget_credit(budget_of(reservation), CLASS_RESERVED, bytes);
        reservation->bytes -= bytes;
        if (!reservation->bytes)
            end(reservation);
        over = share_unsettled(ordinal);
        error = 0;
    }
    lock_release(&core.lock);
    core_tell_change();
    if (over) {
        mover_take();
        share_settle(ordinal, BLOCK_NONE);
        mover_give();
    }
    return error;
}

/* ---- drawing ---------------------------------------------------------------------------------------------- */

uint64_t reservation_drawable(uint64_t bytes)
{
    const struct reservation *from = drawing.from ? find(drawing.from) : NULL;

    if (!from)
        return 0;
    return from->bytes < bytes ? from->bytes : bytes;
}

uint64_t reservation_draw(uint64_t bytes)
{
    uint64_t drawn = reservation_drawable(bytes);

    if (drawn) {
        drawing.bytes += drawn;
        find(drawing.from)->bytes -= drawn;
    }
    return drawn;
}

void reservation_undraw(unsigned ordinal, uint64_t bytes)
{
    struct reservation *from;

    lock_acquire(&core.lock);
    from = find(drawing.from);
    drawing.bytes -= bytes;
    if (from)
        from->bytes += bytes;
    else /* it ended meanwhile, without them */
        budget_credit(&core.devices[ordinal].budget, CLASS_RESERVED, bytes);
    lock_release(&core.lock);
}

ebb_reservation reservation_draw_begin(unsigned ordinal, uint64_t bytes)
{
    struct reservation *best = NULL;
    ebb_reservation id = 0;

    if (!held)
        return 0;
    lock_acquire(&core.lock);
    held = 0;
    for (unsigned i = 0; i < RESERVATIONS; i++) {
        struct reservation *one = &table[i];

        held += one->id && one->thread == thread_id;
        if (one->id && one->thread == thread_id && one->ordinal == ordinal && one->bytes &&
            (!best || one->id > best->id))
            best = one;
    }
    if (best && (best->bytes >= bytes || !share_admit(ordinal, bytes - best->bytes, BLOCK_NONE))) {
        id = best->id;
        drawing.from = id;
        drawing.bytes = 0;
    }
    lock_release(&core.lock);
    return id;
}

/* Memory that was drawn became idle when the block was undone: that makes room for the bytes again. */
static void draw_back(unsigned ordinal)
{
    struct reservation *from;

    idle_trim(ordinal, drawing.bytes, keep_free(ordinal));
    lock_acquire(&core.lock);
    from = find(drawing.from);
    if (from) {
        budget_force(budget_of(from), CLASS_RESERVED, drawing.bytes);
        from->bytes += drawing.bytes;
    }
    lock_release(&core.lock);
}

void reservation_draw_end(unsigned ordinal, uint32_t first)
{
    struct reservation *from;

    if (first == BLOCK_NONE && drawing.bytes)
        draw_back(ordinal);
    lock_acquire(&core.lock);
    from = find(drawing.from);
    if (from && first != BLOCK_NONE && drawing.bytes) {
        core.blocks.object[first] = (struct object){.reservation = from->id};
        core.blocks.block[first].flags |= BLOCK_DRAWN;
        core.blocks.block[first].pins[PIN_API]++;
        from->drawn_blocks++;
    }
    drawing.from = 0;
    lock_release(&core.lock);
}

/* ---- committing ------------------------------------------------------------------------------------------- */

/* Under the lock. 1: done; 0: to be brought. */
static int commit_begin(struct reservation *reservation, uint32_t first)
{
    struct block *block = &core.blocks.block[first];
    uint64_t bytes = block->granules * GRANULE_BYTES, given;
    int error;

    if (object_pins(first))
        return -EBUSY;
    if (block->ordinal != reservation->ordinal)
        return -EXDEV;
    if (block->flags & BLOCK_DRAWN) {
        if (core.blocks.object[first].reservation != reservation->id)
            return -EBUSY;
        block->flags &= (uint16_t)~BLOCK_DRAWN; /* its pin becomes the program's */
        lose_drawn(reservation);
        return 1;
    }
    given = reservation->bytes < bytes ? reservation->bytes : bytes;
    error = share_admit(block->ordinal, bytes - given, first);
    if (error < 0)
        return error;
    block->pins[PIN_API]++;
    share_update(first);
    drawing.from = reservation->id;
    drawing.bytes = 0;
    return 0;
}

/* The block is in place, or could not be brought. What it did not draw because it was there already goes, too. */
static void commit_end(ebb_reservation id, uint32_t first, bool brought)
{
    struct block *block = &core.blocks.block[first];
    struct reservation *reservation;
    uint64_t bytes = block->granules * GRANULE_BYTES, rest;

    lock_acquire(&core.lock);
    reservation = find(id);
    drawing.from = 0;
    rest = bytes > drawing.bytes ? bytes - drawing.bytes : 0;
    if (reservation && rest > reservation->bytes)
        rest = reservation->bytes;
    if (brought && reservation) {
        budget_credit(budget_of(reservation), CLASS_RESERVED, rest);
        reservation->bytes -= rest;
        end_if_used_up(reservation);
    } else if (!brought) { /* what had come back stays, as a buffer; the reservation is whole again */
        if (reservation) {
            budget_force(budget_of(reservation), CLASS_RESERVED, drawing.bytes);
            reservation->bytes += drawing.bytes;
        }
        block->pins[PIN_API]--;
        share_update(first);
    }
    lock_release(&core.lock);
}

int reservation_commit(ebb_reservation id, uint64_t address)
{
    struct reservation *reservation;
    uint32_t first;
    int error;

    if (pressure_callback_asking())
        return -EDEADLK;
    mover_take();
    lock_acquire(&core.lock);
    reservation = find(id);
    error = reservation ? object_at(address, &first) : -EINVAL;
    if (!error && !(core.blocks.block[first].flags & BLOCK_REGISTERED))
        error = -ENOENT;
    if (!error)
        error = commit_begin(reservation, first);
    lock_release(&core.lock);
    if (!error) {
        error = restore_block(first);
        commit_end(id, first, !error);
    }
    mover_give();
    core_tell_change();
    return error == 1 ? 0 : error;
}
