/* SPDX-License-Identifier: Apache-2.0 */
/* host_piece.c - one piece comes back. See host_state.h. */
#include "host/host_state.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/log.h"
#include "base/pages.h"
#include "base/private_fds.h"
#include "ledger/headroom.h"
#include "ledger/live.h"
#include "ledger/state.h"

static char zeros[HOST_PIECE_BYTES]; /* never written: not const, so that the file does not hold them */

uint32_t host_unit_all(const struct host_block *block, uint32_t unit)
{
    const struct host_span span = host_span(block, unit, UINT32_MAX);
    uint64_t from = span.start % HOST_UNIT_BYTES;
    unsigned low = (unsigned)(from / HOST_PIECE_BYTES);
    unsigned high = (unsigned)((from + span.bytes + HOST_PIECE_BYTES - 1) / HOST_PIECE_BYTES);

    return (uint32_t)((UINT64_C(1) << high) - (UINT64_C(1) << low));
}

uint64_t host_unit_bytes(const struct host_block *block, uint32_t unit, uint32_t pieces)
{
    uint64_t total = 0;

    for (; pieces; pieces &= pieces - 1)
        total += host_span(block, unit, pieces & -pieces).bytes;
    return total;
}

uint32_t host_piece_untouched(const struct host_block *block, uint32_t index)
{
    unsigned char resident[HOST_UNIT_BYTES / 4096];
    const struct host_span span = host_span(block, index, UINT32_MAX);
    uint64_t page = host_page_bytes();
    uint32_t untouched = host_unit_all(block, index);

    if (mincore((void *)(uintptr_t)span.start, span.bytes, resident) < 0)
        return 0;
    for (uint64_t at = 0; at < span.bytes; at += page)
        if (resident[at / page] & 1)
            untouched &= ~(UINT32_C(1) << (span.start + at) % HOST_UNIT_BYTES / HOST_PIECE_BYTES);
    return untouched;
}

int host_staging_init(struct host_staging *staging)
{
    *staging = (struct host_staging){.piece = pages_take(HOST_PIECE_BYTES)};
    return staging->piece ? 0 : -ENOMEM;
}

void host_staging_finish(struct host_staging *staging)
{
    pages_give(staging->piece, HOST_PIECE_BYTES);
    disk_bounce_finish(&staging->bounce);
}

/* ---- reading ---------------------------------------------------------------------------------------------- */

static uint64_t *checksum_at(const struct host_block *block, uint32_t unit, uint32_t piece)
{
    return &block->checksum[unit * HOST_UNIT_PIECES + (unsigned)__builtin_ctz(piece)];
}

void host_piece_remember(struct host_block *block, uint32_t unit, uint32_t piece, const void *bytes)
{
    if (block->checksum)
        *checksum_at(block, unit, piece) = XXH3_64bits(bytes, host_span(block, unit, piece).bytes);
}

/* By a thread that has the file. */
static int carry(uint64_t slot, void *memory, uint64_t bytes)
{
    struct host_memory host = {.cpu = memory, .bytes = bytes};
    struct transfer transfer = {
        .from = TIER_DISK, .to = TIER_HOST, .host = &host, .slot = slot, .bytes = bytes};
    int error = executors_submit(&core.executors, &transfer);

    return error < 0 ? error : executors_wait(&core.executors, &transfer);
}

int host_piece_read(const struct host_block *block, uint32_t unit, uint32_t piece,
                    struct host_staging *staging)
{
    const struct host_span span = host_span(block, unit, piece);
    uint64_t slot = block->unit[unit].slot + span.start % HOST_UNIT_BYTES;
    int error = disk_is_reached(&core.disk, slot)
                    ? disk_read(&core.disk, slot, staging->piece, span.bytes, &staging->bounce)
                    : carry(slot, staging->piece, span.bytes);

    if (error == 0 && block->checksum &&
        *checksum_at(block, unit, piece) != XXH3_64bits(staging->piece, span.bytes))
        error = -EILSEQ;
    return error;
}

static void complain(uint64_t address, int error)
{
    if (error == -EILSEQ)
        log_line(LOG_ERROR, "the bytes of host address %llx changed while they were on disk",
                 (unsigned long long)address);
    else
        log_line(LOG_ERROR,
                 "host address %llx cannot be read back from the spill directory (error %d): who touches it "
                 "waits, and it is tried again",
                 (unsigned long long)address, -error);
}

/* The process ends as when memory itself has failed: by SIGBUS, with its default action, whatever the program has made of
 * that signal, since a handler of the program's knows nothing of these bytes. Whoever started it sees the signal. */
void host_piece_lost(uint64_t first, uint64_t bytes, int error)
{
    const struct sigaction usual = {.sa_handler = SIG_DFL};
    sigset_t bus;

    log_line(
        LOG_ERROR,
        "%llu bytes at host address %llx cannot be brought back (%s): the process is stopped, as it would go "
        "on with others",
        (unsigned long long)bytes, (unsigned long long)first, strerrordesc_np(-error));
    sigemptyset(&bus);
    sigaddset(&bus, SIGBUS);
    sigaction(SIGBUS, &usual, NULL);
    pthread_sigmask(SIG_UNBLOCK, &bus, NULL);
    raise(SIGBUS);
    _exit(128 + SIGBUS); /* the first process of a container */
}

/* ---- coming back ------------------------------------------------------------------------------------------ */

/* Where the bytes are until they are back. */
enum source {
    HERE, /* in memory; at most a page of it is missing */
    NOWHERE,
    ALIAS,
    DISK
};

static enum source source_of(const struct host_unit *unit, uint32_t piece)
{
    if (unit->leaving & piece)
        return ALIAS;
    if (unit->away & piece)
        return DISK;
    return unit->fresh & piece ? NOWHERE : HERE;
}

/* Put a piece in its place, or a page of it. A page that the program has given up stays missing, but for one that is
 * asked for. Lock held, and let go of while something has to be read first. */
static int place(struct host_block *block, uint32_t index, uint32_t piece, uint64_t page, enum source source,
                 const char *bytes)
{
    struct host_unit *unit = &block->unit[index];
    int error;

    for (;;) {
        error = source == HERE ? 0 : host_discard_fill(-1, block, index, piece, bytes);
        if (!error && page && (source == HERE || host_discard_has(unit, page)))
            error = host_fault_fill(-1, page, zeros, host_page_bytes());
        if (error != -EAGAIN)
            break;
        lock_release(&host_blocks.lock);
        sched_yield();
        lock_acquire(&host_blocks.lock);
    }
    if (!error && page)
        host_discard_mark(unit, page, false);
    return error;
}

/* The piece is in memory. The unit's slot when nothing is in it any more, else SLOT_NONE. */
static uint64_t settle(struct host_block *block, uint32_t index, uint32_t piece, enum source source,
                       uint64_t bytes)
{
    struct host_unit *unit = &block->unit[index];
    uint64_t slot = SLOT_NONE;

    unit->fresh &= ~piece;
    unit->leaving &= ~piece;
    unit->away &= ~piece;
    unit->stamp = core_stamp();
    if (source != NOWHERE)
        unit->returned = unit->stamp;
    if (source == DISK)
        host_blocks.away_bytes -= bytes;
    if (source == DISK || source == NOWHERE) {
        block->absent_bytes -= bytes;
        host_share_moved(host_block_share(block), (int64_t)bytes);
    }
    if (!unit->away && !unit->writing) {
        slot = unit->slot;
        unit->slot = SLOT_NONE;
    }
    return slot;
}

static int fetch(struct host_block *block, uint32_t index, uint32_t piece, struct host_staging *staging)
{
    uint64_t since_ns = core_clock_ns();
    int error = host_piece_read(block, index, piece, staging);

    if (error == 0)
        counters_moved(&core.counters, MOVE_DISK_TO_HOST, host_span(block, index, piece).bytes,
                       core_clock_ns() - since_ns);
    live_changed();
    return error;
}

/* Bringing a piece back is one transaction of one thread. `returning` is set first: from then on nobody else moves the piece,
 * other threads that want it wait for `changed`, and the evictor, which may be writing it just now, leaves it to us. The lock
 * is then released for what takes time: room in the host budget, for which others may have to leave, and the read from the
 * disk. A piece whose bytes have a place in memory (`leaving`: in the evictor's window) needs neither. With the lock again
 * the bytes are put where the program has its page, without the program seeing a part of them: the kernel fills the page in
 * one step and wakes nobody. Only when the books say that the piece is here are those woken who faulted on it, since
 * whoever goes on may have it evicted again at once. A failure undoes the charge and leaves the piece where it was; whoever
 * needs it blocks, and it is tried again. Giving the slot back and logging come last, without the lock. */
int host_piece_bring(struct host_block *block, uint32_t index, uint32_t piece, uint64_t page,
                     struct host_staging *staging)
{
    struct host_unit *unit = &block->unit[index];
    const struct host_span span = host_span(block, index, piece);
    uint64_t over_bytes, slot = SLOT_NONE;
    bool charged, first_failure = false;
    const char *bytes = zeros;
    enum source source;
    int error;

    while (unit->returning & piece)
        lock_wait(&host_blocks.changed, &host_blocks.lock);
    source = source_of(unit, piece);
    if (source == HERE && !page)
        return 0;
    charged = source == DISK || source == NOWHERE;
    over_bytes = charged && host_block_share(block) == SHARE_BUFFER ? host_share_over(span.bytes) : 0;
    unit->returning |= piece;
    lock_release(&host_blocks.lock);

    if (charged)
        host_evict_make_room(block, span.bytes, over_bytes);
    error = source == DISK ? fetch(block, index, piece, staging) : 0;
    lock_acquire(&host_blocks.lock);
    if (source == ALIAS)
        bytes = unit->alias + span.start % HOST_UNIT_BYTES;
    else if (source == DISK)
        bytes = staging->piece;
    if (error == 0)
        error = place(block, index, piece, page, source, bytes);
    if (error < 0 && charged) {
        lock_release(&host_blocks.lock);
        host_share_credit(host_block_class(block), span.bytes);
        lock_acquire(&host_blocks.lock);
    }
    unit->returning &= ~piece;
    if (error == 0) {
        slot = settle(block, index, piece, source, span.bytes);
    } else {
        first_failure = !block->complained;
        block->complained = true;
    }
    pthread_cond_broadcast(&host_blocks.changed);
    /* Who waits for it goes on only when the books have it. */
    if (error == 0)
        host_fault_wake(span.start, span.bytes);
    if (slot == SLOT_NONE && !first_failure)
        return error;
    lock_release(&host_blocks.lock);
    if (slot != SLOT_NONE)
        host_slot_give(block, index, slot);
    if (first_failure)
        complain(span.start, error);
    lock_acquire(&host_blocks.lock);
    return error;
}

static uint32_t pieces_absent(const struct host_block *block, uint32_t index, bool fresh_too)
{
    const struct host_unit *unit = &block->unit[index];

    return unit->leaving | unit->away | unit->returning | (fresh_too ? unit->fresh : 0);
}

static int bring_all(struct host_block *block, bool fresh_too, struct host_staging *staging)
{
    for (uint32_t index = 0; index < block->unit_count; index++)
        for (uint32_t left = host_unit_all(block, index); left; left &= left - 1) {
            uint32_t piece = left & -left;

            if (pieces_absent(block, index, fresh_too) & piece &&
                host_piece_bring(block, index, piece, 0, staging) < 0)
                return -EIO;
        }
    return 0;
}

int host_piece_bring_all(struct host_block *block, bool fresh_too)
{
    struct host_staging staging;
    uint32_t absent = 0;
    int error;

    for (uint32_t index = 0; index < block->unit_count; index++)
        absent |= pieces_absent(block, index, fresh_too);
    if (!absent)
        return 0;
    host_table_enter(block);
    lock_release(&host_blocks.lock);
    error = host_staging_init(&staging);
    lock_acquire(&host_blocks.lock);
    if (!error) {
        error = bring_all(block, fresh_too, &staging);
        host_staging_finish(&staging);
    }
    host_table_leave(block);
    return error;
}
