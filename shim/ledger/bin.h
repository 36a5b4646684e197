/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bin.h - blocks that small allocations share: which of a block's cells is whose, to the byte.
 *
 * Shape    a bin is a block with `is_bin`, for one group of one context of a device, and either all movable or not. It is
 *          cut into cells of one size (policy/cells.h), or it is mixed: a granule of cells of all sizes, each as large as
 *          asked for. What there is little of goes to mixed bins, so that a program with some small allocations of many
 *          sizes has no bin for each; a class has bins of its own once one more of them, be it empty, is an eighth at most
 *          of what it takes. A bin's record is the entry of the block's first granule; the records of its cells are pages
 *          of their own. Bins with room are in the lists of a home.
 * Life     a cell is taken; buried, when the program has freed it: nobody finds it any more, but the device may still use
 *          it; and returned once it cannot, or, in the order of streams, taken again as it is. A bin whose last cell was
 *          returned is closed in the same step: then nobody takes from it, and its block is the caller's to free.
 * Threads  any; a lock for each device, below core.lock, guards its bins. Where core.lock must be held it is said.
 */
#ifndef EBB_BIN_H
#define EBB_BIN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/lock.h"
#include "ledger/block.h"
#include "ledger/home.h"
#include "ledger/units.h"
#include "policy/cells.h"

enum {
    BIN_MIXED = CELL_CLASSES /**< class of a bin whose cells are of all sizes */
};

enum cell_state {
    CELL_FREE,
    CELL_TAKEN,
    CELL_DEAD, /**< buried, and not returned yet */
    CELL_LEFT  /**< returned, but others may still reach it: not taken again while the bin lasts */
};

enum cell_flag {
    CELL_PINNED = 1,   /**< some pin of the block is the cell's */
    CELL_EXPORTED = 2, /**< another process, or another device's driver, was let in, if only once */
    CELL_DEFERRED = 4, /**< dead, and waiting for the device to be at rest */
    CELL_ORDERED = 8   /**< dead, and waiting for a stream */
};

struct cell {
    uint64_t id;           /**< never used twice in a process, be it for a cell or a block */
    const void *call_site; /**< of the program's allocation */
    uint32_t bytes;        /**< as the program asked */
    uint16_t
        next; /**< plus 1, of the free ones, not in a mixed bin, or of those deferred; 0: that was the last */
    uint8_t state; /**< enum cell_state */
    uint8_t flags; /**< enum cell_flag */
};

struct bin {
    struct cell *cell;                  /**< NULL: no bin here */
    uint16_t (*pins)[PIN_REASON_COUNT]; /**< of each cell that is CELL_PINNED */
    struct units *units; /**< of a mixed bin, whose cells are known by their first unit; else NULL */
    uint64_t block_id;
    struct home *home;
    uint32_t next, previous; /**< first granule, plus 1, of its neighbours in the list; 0: none */
    uint16_t cells,
        fresh;     /**< how many it has; those from `fresh` on were never taken. Of a mixed one its units */
    uint16_t used; /**< taken or dead */
    uint16_t taken;
    uint16_t
        free; /**< first free one below `fresh`, plus 1; of a mixed bin: units of its largest hole at most */
    uint16_t deferred, deferred_first; /**< how many are, and one of them, plus 1; 0: none */
    uint16_t ordered;                  /**< how many are */
    uint8_t class;                     /**< of policy/cells.h, or BIN_MIXED */
    uint8_t granules;
    uint8_t ordinal;
    uint8_t list;   /**< of its home, that it is in */
    bool is_listed; /**< it has room */
};

enum {
    BIN_SPARE_SIZES = 8, /**< of the memory for the cells of a bin: 4 KiB, and doubled */
    BIN_SPARE_MOST = 4   /**< that are kept of each */
};

/** Memory for the cells of the next bins, each beginning with the address of the next. */
struct bin_spare {
    void *first;
    uint32_t count;
};

/** Small allocations: that the program has, the most it had, all that it ever had. */
struct bin_tally {
    uint64_t count, peak_count, total;
};

/** Bins of a device. */
struct bins {
    struct lock lock;
    struct bin_tally tally[2]; /**< of cells that are of no group, and of those that are of one */
    uint64_t allocations;      /**< cells that are taken */
    uint64_t asked_bytes;      /**< in them, as the program asked */
    uint64_t held_bytes;       /**< of the blocks */
    _Atomic uint64_t ordered;  /**< cells that wait for a stream; written under the lock */
    struct homes homes;
    struct bin_spare spare[BIN_SPARE_SIZES];
};

/** No bins on any device. Before anybody else uses the core. */
void bins_init(void);

/** Take a cell of a bin that has room, for 1 to CELL_LARGEST_BYTES. False: none has. Never waits, allocates or moves. */
bool bin_take(const struct wanted *wanted, uint64_t *out_address);

/** A bin that is to be made. */
struct bin_plan {
    void *memory; /**< for its cells */
    unsigned class;
    uint32_t granules;
};

/** What the bin for such allocations is to be, with a home for it. `is_single`: one granule is all that there is room for.
 *  0, with memory that bin_open or bin_plan_drop takes; -ENOMEM. No lock held. */
int bin_plan(const struct wanted *wanted, bool is_single, struct bin_plan *out);
void bin_plan_drop(const struct wanted *wanted, const struct bin_plan *plan);

/** The live block at `first`, which `is_bin`, becomes a bin, and its first cell is taken. False: its context is going.
 *  core.lock held. */
bool bin_open(uint32_t first, const struct wanted *wanted, const struct bin_plan *plan,
              uint64_t *out_address);

/** A context has gone with all its bins: its homes go. No lock held. */
void bin_home_leave(unsigned ordinal, uint64_t context);

/** A taken cell that `address` lies in, within what was asked for. False: there is none. */
bool bin_find(uint32_t first, uint64_t address, uint64_t *out_base, struct cell *out);

/** A cell that the program has freed. */
struct bin_buried {
    uint64_t id;       /**< for who returns it later: the address alone may be another's by then */
    uint64_t block_id; /**< of the bin */
    /** Pins of the block that were the cell's, which the caller takes back; but those by which others were let in stay with
     *  the block. */
    uint16_t pins[PIN_REASON_COUNT];
};

/** The program has freed the cell that begins at an address: it is dead, and waits for a stream or does not. False: no
 *  taken cell begins there. */
bool bin_bury(uint32_t first, uint64_t address, bool is_ordered, struct bin_buried *out);

/** A dead cell waits for its stream no more. False: it did not. */
bool bin_unorder(uint32_t first, uint64_t address, uint64_t id);

/** The same, and it is taken again for an allocation of its size. False: it is not for such. */
bool bin_retake(uint32_t first, uint64_t address, uint64_t id, const struct wanted *wanted);

/** A bin that was closed, for its caller to give back: the block, and the memory of its cells. */
struct bin_closed {
    uint32_t first;
    uint64_t block_id;
    void *memory; /**< NULL: it is kept for the next bin */
    uint64_t memory_bytes;
    uint16_t deferred;
    uint8_t granules;
};

/** Nothing can use the dead cell any more: it may be taken again. True: it was the last, and the bin is closed. */
bool bin_return(uint32_t first, uint64_t address, uint64_t id, struct bin_closed *out);

/** The bin goes with all its cells, if there is one. core.lock held. */
bool bin_close(uint32_t first, struct bin_closed *out);

/** The same if all that it has left is deferred. */
bool bin_close_deferred(uint32_t first, struct bin_closed *out);

/** Give the memory of a closed bin's cells back. No lock held. */
void bin_dispose(const struct bin_closed *closed);

/** The dead cell waits for the device to be at rest. False: its bin is gone. */
bool bin_defer(uint32_t first, uint64_t address, uint64_t id);
/** All those that wait for a stream wait for the device from now on. Returns how many. */
uint32_t bin_defer_ordered(uint32_t first);
/** Does any of the bin's wait so? */
bool bin_waits(uint32_t first);
/** Take one out of those that wait. False: none of this bin does. */
bool bin_undefer(uint32_t first, uint64_t *out_address, uint64_t *out_id);

/** One pin more of the cell that `address` lies in, and one less. False: there is no such cell, or it has none. The
 *  caller counts it for the block. core.lock held. */
bool bin_pin(uint32_t first, uint64_t address, enum pin_reason reason);
bool bin_unpin(uint32_t first, uint64_t address, enum pin_reason reason);

/** Small allocations that the program has in the bin; 0: it is closed. */
uint32_t bin_taken(uint32_t first);

/** Shows each of them to `visit`, which calls nothing that takes a lock. */
void bin_visit(uint32_t first, void (*visit)(const struct cell *cell, void *arg), void *arg);

/** What small allocations hold on a device, and nothing else of it. */
struct bins bins_figures(unsigned ordinal);

/** Do a bin's numbers agree with its cells? core.lock held. */
bool bin_holds(uint32_t first);

#endif
