/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host_block_state.h - the books of host blocks, for shim/host_block*.c only.
 *
 * Shape    a block is a row of units, the parts of it that lie in one aligned run of HOST_UNIT_BYTES; a unit is up to
 *          32 pieces, one bit each in its masks. A unit has one slot on disk as long as any of its pieces is there,
 *          each piece at its own offset. Blocks lie in a table sorted by address.
 * Pieces   in memory (no bit) → leaving → away → returning → in memory; fresh: nobody touched it yet, it is nowhere.
 *          `returning` is set beside `leaving`, `away` or `fresh`: where the bytes are until they are back.
 * Threads  all belongs to host_blocks.lock. Order: host_blocks.lock → core.lock. It is held across mremap and not
 *          across anything that waits: no disk, no copy, no log line.
 * Memory   of mmap's own, kept for the next block when one goes.
 */
#ifndef EBB_HOST_BLOCK_STATE_H
#define EBB_HOST_BLOCK_STATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "device.h"
#include "host_block.h"

#define HOST_UNIT_BYTES  GRANULE_BYTES
#define HOST_UNIT_PIECES ((unsigned)(HOST_UNIT_BYTES / HOST_PIECE_BYTES))

struct host_unit {
    uint32_t fresh;
    uint32_t leaving; /**< at `alias`, being written */
    uint32_t away;    /**< in the slot */
    uint32_t returning;
    uint32_t broken; /**< away, and the last try to read it failed */
    uint32_t stuck;  /**< cannot be taken out of the program's mapping */
    char *alias;     /**< where the unit's first byte would be, while anything is leaving */
    uint64_t slot;   /**< SLOT_NONE: none */
    uint64_t stamp;  /**< core_stamp() of the last use */
};

struct host_block {
    uint64_t base, bytes;   /**< as registered */
    uint64_t first, end;    /**< its whole pages; equal: none */
    struct host_unit *unit; /**< of the aligned runs that first..end meets; own_unit where those suffice */
    struct host_unit own_unit[2];
    uint32_t unit_count;
    uint32_t flags;
    uint64_t pins, holds, saves;
    uint32_t busy; /**< threads at work on it without the lock: it is not forgotten meanwhile */
    bool dying;    /**< nobody begins to work on it any more */
    struct host_block *next_spare;
    char name[HOST_NAME_BYTES];
};

enum {
    HOST_BLOCKS_MAX = 1 << 20
};

struct host_blocks {
    pthread_mutex_t lock;
    pthread_cond_t changed;  /**< a piece came to rest, a block is no longer busy, a request was served */
    struct host_block **row; /**< sorted by base; room for HOST_BLOCKS_MAX */
    struct host_block *spare;
    _Atomic uint64_t away_bytes; /**< on disk, of all blocks */
};

extern struct host_blocks host_blocks;

/** The bytes of a unit that belong to the block. */
static inline uint64_t host_unit_address(const struct host_block *block, uint32_t unit)
{
    return block->first / HOST_UNIT_BYTES * HOST_UNIT_BYTES + unit * HOST_UNIT_BYTES;
}

/** The block that @address lies in, or NULL; lock held. */
struct host_block *host_table_find(uint64_t address);

/** Index of the first block that ends above @address; host_block_count when none does. Lock held. */
uint32_t host_table_above(uint64_t address);

/** A record with its units, nothing of it away; not in the table. NULL: no memory. Lock not held. */
struct host_block *host_table_create(uint64_t base, uint64_t bytes);
/** Give a record back that is not in the table. Lock not held. */
void host_table_destroy(struct host_block *block);

/** 0; -EEXIST this range is in it; -EINVAL overlaps another; -ENOMEM. Lock held. */
int host_table_insert(struct host_block *block);
void host_table_remove(struct host_block *block);

/** Ranges that the driver has, by host_block_hold: how many meet the block. Lock held. */
uint64_t host_holds_on(const struct host_block *block);

/** Is [first, end) mapped throughout, by private anonymous memory that is no stack? 0; -EINVAL it is not; else the
 *  -errno of reading /proc/self/maps. */
int host_maps_check(uint64_t first, uint64_t end);

#endif
