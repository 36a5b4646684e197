/* SPDX-License-Identifier: Apache-2.0 */
/*
 * managed_range.h - the program's managed memory, range by range: what of it may be on a device.
 *
 * Shape    one record per allocation on a device that faults on it, in order of address. A range is cut into pieces: one that
 *          is in may be on the range's device, page by page as it is used, and the device's budget has lent its bytes; one
 *          that is out is kept off all devices, and used where it is.
 * Sharing  small allocations of one granule may be in one page: it is lent once, for whichever of them is in.
 * Busy     whoever calls the driver about a range has it busy meanwhile: it does not go, and nobody else does the same.
 * Threads  core.lock is held, but where it is said.
 */
#ifndef EBB_MANAGED_RANGE_H
#define EBB_MANAGED_RANGE_H

#include <stdbool.h>
#include <stdint.h>

enum {
    MANAGED_PIECES = 1024 /**< of a range, at most */
};

struct managed_range {
    uint64_t start, bytes;
    uint64_t piece_bytes; /**< a multiple of GRANULE_BYTES; pieces begin at multiples of that */
    uint64_t stamp;       /**< of the last use that was seen, else when it was made */
    uint64_t retry_stamp; /**< before that no block is asked to leave for it again */
    uint32_t pieces, in_count;
    uint8_t ordinal;
    bool is_busy;
    bool is_named;   /**< a call of its device has used it: it does not go to another one */
    bool is_coming;  /**< on a stream of ours that nobody has waited for since */
    bool is_altered; /**< the driver has other advice about some of it than the program gave, or had */
    uint64_t in[MANAGED_PIECES / 64];
};

/** Pieces in a row. */
struct managed_run {
    uint32_t first, end;
};

/** False, without the lock, for an address that no range has ever had. */
bool managed_range_possible(uint64_t address);

/** How many there are. No lock. */
uint32_t managed_range_count(void);

/** The range that has the address, or NULL. */
struct managed_range *managed_range_find(uint64_t address);

/** One that is all out, stamped and busy; NULL without memory. */
struct managed_range *managed_range_add(uint64_t start, uint64_t bytes, unsigned ordinal);
/** Takes back what it has been lent. */
void managed_range_remove(struct managed_range *range);

static inline bool managed_piece_in(const struct managed_range *range, uint32_t piece)
{
    return range->in[piece / 64] >> piece % 64 & 1;
}

/** The piece at an address of the range. */
uint32_t managed_piece_at(const struct managed_range *range, uint64_t address);
/** What of the range some pieces are. */
uint64_t managed_run_start(const struct managed_range *range, struct managed_run run);
uint64_t managed_run_bytes(const struct managed_range *range, struct managed_run run);
/** The next pieces from `at` on, before `end`, that are all in or all out; none are left: empty. */
struct managed_run managed_run_next(const struct managed_range *range, uint32_t at, uint32_t end, bool in);

/** A piece that is out comes in, lent by the budget of the range's device beside `keep_bytes`; UINT64_MAX: anyway. 0, or
 *  -ENOMEM. */
int managed_piece_enter(struct managed_range *range, uint32_t piece, uint64_t keep_bytes);
/** A piece that was in has left. */
void managed_piece_leave(struct managed_range *range, uint32_t piece);

/** Bytes that a piece would be lent. */
uint64_t managed_piece_cost(const struct managed_range *range, uint32_t piece);

/** The range of a device with anything in, not busy, with the oldest stamp that is before `newer`; NULL: there is none. */
struct managed_range *managed_range_oldest(unsigned ordinal, uint64_t newer);

/** The ranges of a device. */
struct managed_sum {
    uint64_t in_count;              /**< of which anything is in */
    uint64_t out_count, away_bytes; /**< of which nothing is, and what they have */
    uint64_t out_bytes;             /**< of all of them, that is out */
};

void managed_range_sum(unsigned ordinal, struct managed_sum *out);

#endif
