/* SPDX-License-Identifier: Apache-2.0 */
/* host_leave.c - some pieces of host blocks leave, in the order of EBBTIDE_POLICY. See host_state.h. */
#include "host/host_state.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>

#include "base/pages.h"
#include "ledger/copies.h"
#include "ledger/headroom.h"
#include "ledger/live.h"
#include "ledger/state.h"
#include "policy/policies.h"

enum {
    LEAVE_UNITS = 16,
    RETRY_MS = 10,
    UNIT_RUNS = HOST_UNIT_PIECES / 2, /* every other piece */
};

/* Neighbouring pieces that leave together. */
struct run {
    uint32_t pieces;
    struct host_memory memory; /* in the window */
    struct transfer transfer;
    bool submitted;
    int result;
};

/* What leaves of one unit. */
struct leaver {
    struct host_block *block;
    uint32_t index;
    struct victim turn;
    uint32_t planned; /* pieces */
    char *window;
    uint32_t zero; /* pieces of nothing but zeros: they are not written */
    struct run run[UNIT_RUNS];
    unsigned run_count;
};

struct leave_batch {
    uint64_t base;  /* block to take from; 0: any */
    uint64_t bytes; /* wanted */
    struct leaver leaver[LEAVE_UNITS];
    unsigned count;
};

static char *windows; /* LEAVE_UNITS of HOST_UNIT_BYTES, nothing mapped there between flights */
static struct host_staging staging;

/* ---- what leaves ------------------------------------------------------------------------------------------ */

static uint32_t movable(const struct host_block *block, uint32_t index)
{
    const struct host_unit *unit = &block->unit[index];

    if (block->pins || block->holds || block->dying || !block->armed)
        return 0;
    if (host_blocks.late_children && unit->slot != SLOT_NONE && !unit->writing)
        return 0;
    return host_unit_all(block, index) &
           ~(unit->fresh | unit->leaving | unit->away | unit->returning | unit->stuck);
}

/* Those without pages that the program gives up just now. */
static uint32_t settled(const struct host_block *block, uint32_t index, uint32_t pieces)
{
    for (uint32_t left = pieces; left; left &= left - 1)
        if (!host_discard_settled(block, index, left & -left))
            pieces &= ~(left & -left);
    return pieces;
}

/* Keep those whose turn comes first, in their turn. */
static void consider(struct leave_batch *leave, struct host_block *block, uint32_t index,
                     const struct victim *turn)
{
    unsigned at = leave->count;

    if (at == LEAVE_UNITS && !victims_before(turn, &leave->leaver[--at].turn))
        return;
    leave->count = at + 1;
    for (; at > 0 && victims_before(turn, &leave->leaver[at - 1].turn); at--) {
        leave->leaver[at].block = leave->leaver[at - 1].block;
        leave->leaver[at].index = leave->leaver[at - 1].index;
        leave->leaver[at].turn = leave->leaver[at - 1].turn;
    }
    leave->leaver[at].block = block;
    leave->leaver[at].index = index;
    leave->leaver[at].turn = *turn;
}

/* What could leave of a block. */
static uint64_t movable_bytes(const struct host_block *block)
{
    uint64_t bytes = 0;

    for (uint32_t index = 0; index < block->unit_count; index++)
        bytes += host_unit_bytes(block, index, movable(block, index));
    return bytes;
}

/* A policy ranks blocks, and a block leaves unit by unit: by its stamps where blocks go by use, from its start else. */
static void consider_all(struct leave_batch *leave)
{
    enum policy_kind kind = (enum policy_kind)core.options->policy;
    uint64_t settled = policies_settled(kind, core_stamp(), core.stamp_hz);
    struct victim turn = {.index = 0};

    for (uint32_t i = 0; i < host_block_count; i++) {
        struct host_block *block = host_blocks.row[i];
        struct candidate candidate = {.arrival = block->arrival};

        if (leave->base && block->base != leave->base)
            continue;
        if (policies[kind].by_bytes)
            candidate.bytes = movable_bytes(block);
        for (uint32_t index = 0; index < block->unit_count; index++, turn.index++)
            if (movable(block, index)) {
                turn.order = block->unit[index].stamp;
                candidate.is_settling = block->unit[index].returned > settled;
                policies_turn(kind, &candidate, leave->bytes, &turn);
                consider(leave, block, index, &turn);
            }
    }
}

/* As many of the pieces as are wanted, lowest first; what is still wanted after them. */
static uint32_t enough(const struct host_block *block, uint32_t index, uint32_t pieces, uint64_t *wanted)
{
    uint32_t taken = 0;

    for (; pieces && *wanted; pieces &= pieces - 1) {
        uint32_t bit = pieces & -pieces;
        uint64_t bytes = host_unit_bytes(block, index, bit);

        taken |= bit;
        *wanted -= bytes < *wanted ? bytes : *wanted;
    }
    return taken;
}

static void plan(struct leave_batch *leave)
{
    uint64_t wanted = leave->bytes;

    leave->count = 0;
    lock_acquire(&host_blocks.lock); /* a fork may wait for those who wait for us */
    consider_all(leave);
    for (unsigned i = 0; i < leave->count; i++) {
        struct leaver *leaver = &leave->leaver[i];

        leaver->planned =
            enough(leaver->block, leaver->index, movable(leaver->block, leaver->index), &wanted);
        if (!leaver->planned)
            leave->count = i;
        else
            host_table_enter(leaver->block);
        leaver->window = windows + i * HOST_UNIT_BYTES;
        leaver->run_count = 0;
        leaver->zero = 0;
    }
    lock_release(&host_blocks.lock);
}

/* ---- out of the program's mapping ------------------------------------------------------------------------- */

/* Move neighbouring pieces into the window. Lock held. */
static int detach(struct leaver *leaver, uint32_t pieces)
{
    const struct host_block *block = leaver->block;
    struct host_unit *unit = &block->unit[leaver->index];
    const struct host_span span = host_span(block, leaver->index, pieces);
    char *window = leaver->window + span.start % HOST_UNIT_BYTES;

    /* A child that is made meanwhile finds them there. */
    unit->leaving |= pieces;
    unit->alias = leaver->window;
    int error = host_detach((uint64_t)(uintptr_t)window, span.start, span.bytes);

    if (error < 0) {
        unit->leaving &= ~pieces;
        return error;
    }
    leaver->run[leaver->run_count++] =
        (struct run){.pieces = pieces, .memory = {.cpu = window, .bytes = span.bytes}};
    return 0;
}

/* Neighbours of the lowest piece of a mask. */
static uint32_t lowest_run(uint32_t pieces)
{
    uint64_t bit = pieces & -pieces, next = pieces + bit;

    return (uint32_t)(pieces & ~next);
}

/* Of these pieces, those that leave now. Lock held. Returns the pieces that are busy. */
static uint32_t leave(struct leaver *leaver, uint32_t left)
{
    struct host_unit *unit = &leaver->block->unit[leaver->index];
    uint32_t busy = 0;

    left = settled(leaver->block, leaver->index, left & movable(leaver->block, leaver->index));
    while (left && leaver->run_count < UNIT_RUNS) {
        uint32_t run = lowest_run(left);
        int error = detach(leaver, run);

        if (error < 0) { /* one of them is in the way: piece by piece then */
            run &= -run;
            error = detach(leaver, run);
        }
        left &= ~run;
        if (error == -EBUSY)
            busy |= run;
        else if (error < 0)
            unit->stuck |= run;
    }
    return busy;
}

static void leave_all(struct leaver *leaver)
{
    uint32_t busy;

    lock_acquire(&host_blocks.lock);
    busy = leave(leaver, leaver->planned);
    lock_release(&host_blocks.lock);
    if (!busy)
        return;
    for (uint32_t left = busy; left; left &= left - 1) {
        lock_acquire(&host_blocks.lock);
        if (movable(leaver->block, leaver->index) & left & -left)
            host_detach_own(leaver->block, leaver->index, left & -left);
        lock_release(&host_blocks.lock);
    }
    lock_acquire(&host_blocks.lock);
    if (leave(leaver, busy)) { /* the kernel has it: try others first */
        struct host_unit *unit = &leaver->block->unit[leaver->index];

        unit->stamp = unit->returned = core_stamp();
    }
    lock_release(&host_blocks.lock);
}

/* ---- to disk ---------------------------------------------------------------------------------------------- */

static bool is_zero(const char *bytes, uint64_t count)
{
    uint64_t word;

    memcpy(&word, bytes, sizeof(word));
    return word == 0 && memcmp(bytes, bytes + sizeof(word), count - sizeof(word)) == 0;
}

/* A slot for the unit. False: the disk has none. */
static bool take_slot(struct leaver *leaver)
{
    struct host_unit *unit = &leaver->block->unit[leaver->index];
    uint64_t slot;
    bool wanted;

    lock_acquire(&host_blocks.lock);
    unit->writing = true;
    wanted = unit->slot == SLOT_NONE;
    lock_release(&host_blocks.lock);
    if (!wanted)
        return true;
    if (host_slot_take(leaver->block, leaver->index, &slot) < 0 &&
        (!copies_reclaim_slots() || host_slot_take(leaver->block, leaver->index, &slot) < 0))
        return false;
    lock_acquire(&host_blocks.lock);
    unit->slot = slot;
    lock_release(&host_blocks.lock);
    return true;
}

static void submit(struct leaver *leaver, struct run *run)
{
    struct host_block *block = leaver->block;
    uint64_t offset = (uint64_t)((char *)run->memory.cpu - leaver->window);

    for (uint32_t left = run->pieces; left; left &= left - 1) {
        const struct host_span span = host_span(block, leaver->index, left & -left);
        char *at = leaver->window + span.start % HOST_UNIT_BYTES;

        if (is_zero(at, span.bytes))
            leaver->zero |= left & -left;
        else
            host_piece_remember(block, leaver->index, left & -left, at);
    }
    run->transfer = (struct transfer){.from = TIER_HOST,
                                      .to = TIER_DISK,
                                      .host = &run->memory,
                                      .slot = block->unit[leaver->index].slot + offset,
                                      .bytes = run->memory.bytes};
    if ((run->pieces & ~leaver->zero) == 0)
        return;
    run->result = executors_submit(&core.executors, &run->transfer);
    run->submitted = run->result == 0;
}

/* ---- commit ----------------------------------------------------------------------------------------------- */

/* Pieces whose write failed come back: the window has the only copy. Lock held. */
static void take_back(struct leaver *leaver, uint32_t pieces)
{
    for (; pieces; pieces &= pieces - 1) {
        const struct host_span span = host_span(leaver->block, leaver->index, pieces & -pieces);
        int error;

        while ((error = host_piece_bring(leaver->block, leaver->index, pieces & -pieces, 0, &staging)) ==
               -ENOMEM) {
            lock_release(&host_blocks.lock);
            poll(NULL, 0, RETRY_MS);
            lock_acquire(&host_blocks.lock);
        }
        if (error < 0)
            host_piece_lost(span.start, span.bytes, error);
    }
}

static uint64_t commit(struct leaver *leaver, uint32_t failed)
{
    struct host_block *block = leaver->block;
    struct host_unit *unit = &block->unit[leaver->index];
    uint64_t gone_bytes, slot = SLOT_NONE;
    uint32_t gone;

    lock_acquire(&host_blocks.lock);
    take_back(leaver, unit->leaving & failed);
    while (unit->leaving & unit->returning)
        lock_wait(&host_blocks.changed, &host_blocks.lock);
    gone = unit->leaving;
    unit->leaving = 0;
    unit->away |= gone & ~leaver->zero;
    unit->fresh |= gone & leaver->zero;
    unit->alias = NULL;
    unit->writing = false;
    if (!unit->away) {
        slot = unit->slot;
        unit->slot = SLOT_NONE;
    }
    gone_bytes = host_unit_bytes(block, leaver->index, gone);
    block->absent_bytes += gone_bytes;
    host_share_moved(host_block_share(block), -(int64_t)gone_bytes);
    block->saves += (unsigned)__builtin_popcount(gone & ~leaver->zero);
    host_blocks.away_bytes += host_unit_bytes(block, leaver->index, gone & ~leaver->zero);
    lock_release(&host_blocks.lock);

    if (slot != SLOT_NONE)
        host_slot_give(block, leaver->index, slot);
    if (leaver->run_count && mmap(leaver->window, HOST_UNIT_BYTES, PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
                                  0) == MAP_FAILED) /* too many mappings: the pages go all the same */
        madvise(leaver->window, HOST_UNIT_BYTES, MADV_DONTNEED);
    host_share_credit(host_block_class(block), gone_bytes);
    lock_acquire(&host_blocks.lock);
    host_table_leave(block);
    lock_release(&host_blocks.lock);
    return gone_bytes;
}

/* Wait for what was submitted; the pieces that did not get there. */
static uint32_t await(struct leaver *leaver, uint64_t *written_bytes, int *error)
{
    uint32_t failed = 0;

    for (unsigned i = 0; i < leaver->run_count; i++) {
        struct run *run = &leaver->run[i];

        if (run->submitted)
            run->result = executors_wait(&core.executors, &run->transfer);
        if (run->result) {
            *error = run->result;
            failed |= run->pieces & ~leaver->zero;
        } else if (run->submitted) {
            *written_bytes += run->memory.bytes;
        }
    }
    return failed;
}

uint64_t host_leave(uint64_t base, uint64_t bytes)
{
    static struct leave_batch memory; /* one thread's, and too large for its stack */
    struct leave_batch *leave = &memory;
    uint64_t since_ns = core_clock_ns(), written_bytes = 0, gone_bytes = 0;
    int error = 0;

    leave->base = base;
    leave->bytes = bytes;
    plan(leave);
    for (unsigned i = 0; i < leave->count; i++) {
        struct leaver *leaver = &leave->leaver[i];

        if (!take_slot(leaver))
            continue;
        leave_all(leaver);
        for (unsigned r = 0; r < leaver->run_count; r++)
            submit(leaver, &leaver->run[r]);
    }
    for (unsigned i = 0; i < leave->count; i++) {
        struct leaver *leaver = &leave->leaver[i];
        uint32_t failed = await(leaver, &written_bytes, &error);

        gone_bytes += commit(leaver, failed);
    }
    if (written_bytes)
        counters_moved(&core.counters, MOVE_HOST_TO_DISK, written_bytes, core_clock_ns() - since_ns);
    live_changed();
    if (error)
        headroom_save_failed(error);
    return gone_bytes;
}

int host_leave_init(void)
{
    size_t bytes = (LEAVE_UNITS + 1) * HOST_UNIT_BYTES;
    char *memory = pages_reserve(bytes);
    void *page;
    int error;

    if (!memory)
        return -ENOMEM;
    /* Aligned like the units, so that whole tables of pages are moved at once. */
    windows = memory + (-(uintptr_t)memory & (HOST_UNIT_BYTES - 1));
    page = pages_take(host_page_bytes());
    if (!page)
        return -ENOMEM;
    error = host_detach_probe((uint64_t)(uintptr_t)windows, (uint64_t)(uintptr_t)page);
    if (error == 0)
        error = host_staging_init(&staging);
    pages_give(page, host_page_bytes());
    return error;
}
