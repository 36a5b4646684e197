/* SPDX-License-Identifier: Apache-2.0 */
/*
 * budget.h - what one tier may hold, holds and has held.
 *
 * Shape    bytes in use, split by class, plus idle bytes: still held, but free for the program to use (recycled handles,
 *          slabs made ahead). Both count against the limit.
 * Owns     nothing. No lock and no atomic in here: the caller locks.
 * Units    bytes.
 * Errors   a refused charge has changed nothing. Giving back more than was charged is the caller's mistake: assert.
 */
#ifndef EBB_BUDGET_H
#define EBB_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

/** A limit that never refuses. */
#define BUDGET_NO_LIMIT UINT64_MAX

enum {
    BUDGET_CLASSES = 8
};

struct budget {
    uint64_t limit_bytes; /**< set freely, also below what is held: nothing is admitted until that shrinks */
    uint64_t used_bytes;  /**< sum of class_bytes */
    uint64_t idle_bytes;  /**< held beyond used_bytes */
    uint64_t
        lent_bytes; /**< that may be taken at any moment without a charge: no room for others, and not held */
    uint64_t peak_bytes;      /**< the most that used_bytes + idle_bytes has been */
    uint64_t used_peak_bytes; /**< the most that used_bytes has been, since whoever reads it set it back */
    uint64_t refused;         /**< requests that were refused in the end, as told by budget_refuse */
    uint64_t class_bytes[BUDGET_CLASSES];
};

void budget_init(struct budget *budget, uint64_t limit_bytes);

/**
 * Take `bytes` for `class`, leaving `keep_free_bytes` of the limit untouched.
 *
 * @keep_free_bytes  what others may take and this request may not; no meaning without a limit
 * Returns           0; -ENOMEM when it does not fit. That is not yet a refusal: see budget_refuse
 */
int budget_charge(struct budget *budget, unsigned class, uint64_t bytes, uint64_t keep_free_bytes);

/** Take what is held already, or must be: never refused, the limit may be passed. */
void budget_force(struct budget *budget, unsigned class, uint64_t bytes);

/** Give back what budget_charge or budget_force took. */
void budget_credit(struct budget *budget, unsigned class, uint64_t bytes);

/** Lend room as budget_charge would take it; -ENOMEM when there is not so much. It is no use, and in no peak. */
int budget_lend(struct budget *budget, uint64_t bytes, uint64_t keep_free_bytes);
/** Lend what may be taken already: never refused, the limit may be passed. */
void budget_lend_anyway(struct budget *budget, uint64_t bytes);
/** Nothing takes of it any more. */
void budget_take_back(struct budget *budget, uint64_t bytes);

/** Count a request that stays refused after everything that could make room was tried. */
void budget_refuse(struct budget *budget);

/** Used bytes of `class` become idle; what is held stays the same. */
void budget_to_idle(struct budget *budget, unsigned class, uint64_t bytes);
/** Idle bytes are used again, by `class`; what is held stays the same, so this never refuses. */
void budget_from_idle(struct budget *budget, unsigned class, uint64_t bytes);
/** The same for idle memory that is on its way to be idle in other pieces: nobody uses it, and no peak tells of it. */
void budget_unpack_idle(struct budget *budget, unsigned class, uint64_t bytes);
/** May `bytes` of what is idle be used again with `keep_free_bytes` left free? What stays idle could be given back, and does
 *  not count. */
bool budget_may_use(const struct budget *budget, uint64_t bytes, uint64_t keep_free_bytes);
/** Used bytes of one class become those of another; what is used stays the same, so this never refuses. */
void budget_shift(struct budget *budget, unsigned from_class, unsigned to_class, uint64_t bytes);
/** Idle bytes were given back to the system. */
void budget_drop_idle(struct budget *budget, uint64_t bytes);

/** The most that budget_charge would admit now with this `keep_free_bytes`; 0 at or over the limit. */
uint64_t budget_room(const struct budget *budget, uint64_t keep_free_bytes);

/** Used and idle together. */
uint64_t budget_held(const struct budget *budget);

#endif
