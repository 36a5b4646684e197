/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host_state.h - the books of host blocks, for shim/host/ only.
 *
 * Shape    a block is a row of units, the parts of it that lie in one aligned run of HOST_UNIT_BYTES; a unit is up to
 *          32 pieces, one bit each in its masks. A unit has one place on disk as long as any of its pieces is there,
 *          each piece at its own offset. Blocks lie in a table sorted by address.
 *          A piece is named by its bit, here and in parameters.
 * Pieces   in memory (no bit) → leaving → away → in memory; fresh: nobody touched it yet, it is nowhere. While a
 *          thread brings one back, or fills a page of it, `returning` is set as well, and nobody else moves it.
 * Threads  all belongs to host_blocks.lock. Order: host_blocks.lock → core.lock. It is held across system calls that
 *          change mappings, and not across anything that waits: no disk, no copy, no log line.
 * Memory   of mmap's own, kept for the next block when one goes.
 */
#ifndef EBB_HOST_STATE_H
#define EBB_HOST_STATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

#include "base/lock.h"
#include "host/host_block.h"
#include "ledger/share.h"
#include "tier/device.h"
#include "tier/disk_state.h"

#define HOST_UNIT_BYTES  GRANULE_BYTES
#define HOST_PAGE_LEAST  4096u
#define HOST_UNIT_PIECES 32u /* HOST_UNIT_BYTES / HOST_PIECE_BYTES: the bits of a mask */

struct host_unit {
    uint32_t fresh;
    uint32_t leaving; /**< at `alias`, being written */
    uint32_t away;    /**< in the slot */
    uint32_t returning;
    uint32_t stuck; /**< cannot be taken out of the program's mapping */
    /** Pages that the program has given up, and that have not been seen missing since, nor filled: a bit each. */
    uint64_t gone[HOST_UNIT_BYTES / HOST_PAGE_LEAST / 64];
    bool writing;      /**< the slot is being written to */
    char *alias;       /**< where the unit's first byte would be, while anything is leaving */
    uint64_t slot;     /**< where its first byte would be on disk; SLOT_NONE: none */
    uint64_t stamp;    /**< core_stamp() of the last use */
    uint64_t returned; /**< that of when a piece of it last came back from the disk */
};

struct host_block {
    uint64_t base, bytes;   /**< as registered */
    uint64_t first, end;    /**< its whole pages; equal: none */
    struct host_unit *unit; /**< of the aligned runs that first..end meets; own_unit where those suffice */
    struct host_unit own_unit[2];
    uint64_t *checksum; /**< of each piece when it left, under EBBTIDE_VERIFY; else NULL */
    uint32_t unit_count;
    uint32_t flags;
    uint64_t arrival; /**< grows with each block registered */
    uint64_t pins, saves;
    uint64_t holds, fixed; /**< by host_hold or a call; of these, by the former */
    uint64_t absent_bytes; /**< fresh or away: not in the host ledger */
    uint32_t busy;         /**< threads at work on it without the lock: it is not forgotten meanwhile */
    bool complained;       /**< a failed read was logged */
    bool armed;            /**< its faults come to us; else it stays in memory */
    bool dying;            /**< being forgotten: nobody else may do that, or pin it */
    char name[HOST_NAME_BYTES];
};

enum {
    HOST_BLOCKS_MAX = 1 << 20
};

struct host_blocks {
    struct lock lock;
    pthread_cond_t changed;      /**< a piece came to rest, a block is no longer busy, a request was served */
    struct host_block **row;     /**< sorted by base; room for HOST_BLOCKS_MAX */
    uint32_t busy;               /**< sum over the blocks */
    uint64_t armed;              /**< blocks */
    unsigned late_children;      /**< forked, and yet to read what was away then */
    uint64_t arrivals;           /**< blocks registered so far */
    bool forking;                /**< nobody begins to work on a block until the fork is over */
    _Atomic uint64_t away_bytes; /**< on disk, of all blocks */
};

extern struct host_blocks host_blocks;

struct host_staging;

static inline uint64_t host_page_bytes(void)
{
    return (uint64_t)sysconf(_SC_PAGESIZE);
}

/** Address of the first byte of a unit, which may lie before the block. */
static inline uint64_t host_unit_address(const struct host_block *block, uint32_t unit)
{
    return block->first / HOST_UNIT_BYTES * HOST_UNIT_BYTES + unit * HOST_UNIT_BYTES;
}

struct host_span {
    uint64_t start, bytes;
};

/** What the block's whole pages have of neighbouring pieces of a unit. */
static inline struct host_span host_span(const struct host_block *block, uint32_t unit, uint32_t run)
{
    uint64_t start = host_unit_address(block, unit) + (unsigned)__builtin_ctz(run) * HOST_PIECE_BYTES;
    uint64_t end = start + (unsigned)__builtin_popcount(run) * HOST_PIECE_BYTES;

    if (start < block->first)
        start = block->first;
    if (end > block->end)
        end = block->end;
    return (struct host_span){start, end - start};
}

/** The class that its bytes are charged to. */
static inline enum host_class host_block_class(const struct host_block *block)
{
    return block->flags & HOST_BLOCK_HEAP ? HOST_HEAP : HOST_REGISTERED;
}

/** Where the block counts among the host's areas; and that it has counted elsewhere until now. Lock held. */
enum share host_block_share(const struct host_block *block);
void host_block_recount(const struct host_block *block, enum share from);

/** The pieces of a unit that the block has, as a mask; and the bytes of some of them. */
uint32_t host_unit_all(const struct host_block *block, uint32_t unit);
uint64_t host_unit_bytes(const struct host_block *block, uint32_t unit, uint32_t pieces);

/** Is this a child whose fork we were not told of? Then: what host_fork_child does. */
bool host_fault_orphan(void);
void host_fork_orphan(void);

/** Take the lock to begin something: not while the process forks. */
static inline void host_books_lock(void)
{
    if (host_fault_orphan())
        host_fork_orphan();
    lock_acquire(&host_blocks.lock);
    while (host_blocks.forking)
        lock_wait(&host_blocks.changed, &host_blocks.lock);
}

/* ---- host_table.c ------------------------------------------------------------------------------------ */

/** The block that @address lies in, or NULL; lock held. */
struct host_block *host_table_find(uint64_t address);

/** Index of the first block that ends above @address; host_block_count when none does. Lock held. */
uint32_t host_table_above(uint64_t address);

/** A record with its units, nothing of it away; not in the table. NULL: no memory. Lock not held. */
struct host_block *host_table_create(uint64_t base, uint64_t bytes);
/** Give a record back that is not in the table. Lock not held. */
void host_table_destroy(struct host_block *block);

/** 0; -EEXIST this range is in it; -EINVAL overlaps another. Lock held. */
int host_table_check(const struct host_block *block);
/** As host_table_check; or -ENOMEM. Lock held. */
int host_table_insert(struct host_block *block);
void host_table_remove(struct host_block *block);

/** Around work without the lock: the block stays. Lock held. */
void host_table_enter(struct host_block *block);
void host_table_leave(struct host_block *block);

/* ---- host_hold.c, host_maps.c ------------------------------------------------------------------ */

/** Fill in how many ranges that the driver has, or uses, meet the block. Lock held. */
void host_hold_count(struct host_block *block);

/** Is [first, end) mapped throughout, by private anonymous memory that is no stack? 0; -EINVAL it is not; else the
 *  -errno of reading /proc/self/maps. */
int host_maps_check(uint64_t first, uint64_t end);

/** How many mappings a process may have; tests set it before its first use. */
extern uint64_t host_maps_most;
uint64_t host_maps_limit(void);

/* ---- host_fault.c ------------------------------------------------------------------------------------ */

/** Start to serve faults and to evict, once in a process. False: it cannot be done here (said once). Lock not held. */
bool host_fault_start(void);
/** Was it, and does it go on? */
bool host_fault_running(void);
/** Does the kernel tell of children, whatever way they were made? Then they are filled by us. */
bool host_fault_forks(void);
/** Tests set it before the first block: as without CAP_SYS_PTRACE. */
extern bool host_fault_without_forks;
/** Where events are read, by threads that have entered; -1: nowhere any more. */
int host_fault_file(void);
/** First of all in a thread that is served: it takes the descriptors that it was made with. */
void host_fault_enter(void);
/** Is the caller the thread that evicts? It must not wait for itself. */
bool host_fault_is_evictor(void);
/** In a forked child: there is neither thread nor fault; nothing is evicted any more. */
void host_fault_forked(void);

/** Have faults in the block's whole pages sent to us. 0; -errno of UFFDIO_REGISTER. */
int host_fault_arm(uint64_t first, uint64_t end);
/** And no more. What waits there for us goes on. 0; -errno of UFFDIO_UNREGISTER, as where the program has unmapped the
 *  range: then nothing is armed there any more. */
int host_fault_disarm(uint64_t first, uint64_t end);

/** Lock held for all of these. Put bytes where pages are missing, however many mappings the range has: in the child that
 *  `file` is of, or with -1 here. Pages that are there stay as they are, and where nothing is mapped, or something else than
 *  was armed, there is nothing to do. Nobody is woken yet. 0; -EAGAIN an event has to be read first; else -errno of
 *  UFFDIO_COPY, and a part may be there. */
int host_fault_fill(int file, uint64_t to, const void *from, uint64_t bytes);
/** Move pages from one range to another, which is armed, where no page is but those that were moved there before; what is
 *  missing stays missing. Refuses with -EBUSY what the kernel holds for somebody else, as a read under way with O_DIRECT,
 *  and what is shared with a forked child. Only if host_fault_moves.
 *  0; -errno of UFFDIO_MOVE, with the bytes in front that were moved. */
bool host_fault_moves(void);
int host_fault_move(uint64_t to, uint64_t from, uint64_t bytes, uint64_t *out_moved);
/** Let those who wait for these pages try again. */
void host_fault_wake(uint64_t first, uint64_t bytes);

/* ---- host_serve.c --------------------------------------------------------------------------------------- */

/** Make the threads. 0 or -errno. */
int host_serve_start(bool apart, pthread_t *out_evictor);
/** Read what the kernel has to say, and do what that asks for. Lock held; by a thread that has entered. */
void host_serve_events(void);

/* ---- host_discard.c ---------------------------------------------------------------------------------------- */

/** Has the program given up the page at an address? Lock held. */
void host_discard_mark(struct host_unit *unit, uint64_t address, bool is_gone);
bool host_discard_has(const struct host_unit *unit, uint64_t address);
/** Are the pages of a piece in memory that the program has given up really missing by now? Lock held. */
bool host_discard_settled(const struct host_block *block, uint32_t unit, uint32_t piece);
/** Fill a piece but for those pages. Lock held. As host_fault_fill. */
int host_discard_fill(int file, const struct host_block *block, uint32_t unit, uint32_t piece,
                      const char *from);

/* ---- host_fork.c ---------------------------------------------------------------------------------------- */

/** A child is there, and waits on `file` for pages that are away: it gets all. The file is closed. Lock held. */
void host_fork_fill(int file, struct host_staging *staging);
/** Was the last of late_children seen to have read just now? Lock not held. */
bool host_fork_late(void);

/* ---- host_piece.c ------------------------------------------------------------------------------------ */

/** Memory of one thread that brings pieces back. */
struct host_staging {
    char *piece; /**< HOST_PIECE_BYTES, page-aligned */
    struct disk_bounce bounce;
};

/** -ENOMEM. */
int host_staging_init(struct host_staging *staging);
void host_staging_finish(struct host_staging *staging);

/**
 * Have one piece in memory. Waits for a thread that is at it.
 *
 * @page    also fill this page of it when it is missing; 0: none
 * Lock     held on entry and on return, released meanwhile; the caller has entered the block
 * Returns  0; -EIO, -EILSEQ it could not be read or is not what was written (said once): it stays away
 */
int host_piece_bring(struct host_block *block, uint32_t unit, uint32_t piece, uint64_t page,
                     struct host_staging *staging);

/** Every piece of the block, those that nobody touched only if @fresh_too. Lock as above. 0; -ENOMEM no memory to do it
 *  with; -EIO some are still away. */
int host_piece_bring_all(struct host_block *block, bool fresh_too);

/** Pieces of a unit that have no page: nobody touched them yet. */
uint32_t host_piece_untouched(const struct host_block *block, uint32_t unit);

/** Read a piece that is away and check it. Lock not held. */
int host_piece_read(const struct host_block *block, uint32_t unit, uint32_t piece,
                    struct host_staging *staging);

/** Remember what leaves, under EBBTIDE_VERIFY. */
void host_piece_remember(struct host_block *block, uint32_t unit, uint32_t piece, const void *bytes);

/** Bytes of the program's are lost to it: end the process, with a line that says which and why. @error: -errno. */
_Noreturn void host_piece_lost(uint64_t first, uint64_t bytes, int error);

/* ---- host_slot.c --------------------------------------------------------------------------------------- */

/** A place on disk for the pieces that the block has of a unit, beside those of others where they are few. 0, and where
 *  the unit's first byte would be; -ENOSPC. Lock not held. */
int host_slot_take(const struct host_block *block, uint32_t unit, uint64_t *out_slot);
/** Nothing is in it any more; kept while there are late_children. Lock not held. */
void host_slot_give(const struct host_block *block, uint32_t unit, uint64_t slot);
/** There are none any more. */
void host_slot_give_kept(void);

/* ---- host_detach.c ------------------------------------------------------------------------------------ */

/** Take pages of the program's out of its mapping into memory of ours, at the same place in a table of pages. Lock held.
 *  0; -EBUSY the kernel has some of them for somebody else, or a forked child shares them; else -errno: not possible. */
int host_detach(uint64_t to, uint64_t from, uint64_t bytes);
/** Pages of a piece in memory that a forked child had, too, become the program's own, as if it had written to them; the
 *  evictor touches no page that could be missing. Lock held. */
void host_detach_own(const struct host_block *block, uint32_t unit, uint32_t piece);
/** Can one page be taken? 0 or -errno. */
int host_detach_probe(uint64_t to, uint64_t from);

/* ---- host_leave.c ----------------------------------------------------------------------------------- */

/** What a flight needs; also finds out whether mremap can do it. 0 or -errno. */
int host_leave_init(void);

/** Send some pieces away, as many as are wanted or as fit into a flight, of the block that begins at @base, or of all
 *  (0). Only by the thread that evicts. Returns the bytes that left: 0 when nothing more can. */
uint64_t host_leave(uint64_t base, uint64_t bytes);

/* ---- host_evict.c ------------------------------------------------------------------------------------ */

/** The thread that evicts. */
void *host_evict_run(void *unused);

/** Ask it for bytes and wait for them, or for less when that is all. Of the block that begins at @base, or of all (0).
 *  Lock not held. */
uint64_t host_evict_ask(uint64_t base, uint64_t bytes);

/** Charge bytes of the block that are about to come back: waits for others to leave while that helps, and passes the
 *  budget where it does not. @over_bytes: what buffers pass their maximum by, which leaves before. Lock not held. */
void host_evict_make_room(const struct host_block *block, uint64_t bytes, uint64_t over_bytes);

/** Have it make room again, if there is little, having waited for what the budget is passed by. Lock not held. */
void host_evict_excess(void);

#endif
