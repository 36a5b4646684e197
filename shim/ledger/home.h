/* SPDX-License-Identifier: Apache-2.0 */
/*
 * home.h - where the bins of one context are found that have room for a small allocation.
 *
 * Shape    a home for each context of a device, for each group of its allocations, and for what of these moves and what does
 *          not. It has a list for each class of cells: of the bins of that class, and of the mixed bins whose largest hole
 *          takes an allocation of it and none of the next. Homes of a device hang in chains by their context.
 * Owns     its own memory. The chains are the caller's.
 * Threads  none of its own: the caller locks. What says so takes and gives memory, and is called without a lock.
 */
#ifndef EBB_HOME_H
#define EBB_HOME_H

#include <stdbool.h>
#include <stdint.h>

#include "ledger/block.h"
#include "policy/cells.h"

enum {
    HOME_CHAINS = 32,
    HOME_MIXED = CELL_CLASSES, /**< the first list of mixed bins */
    HOME_LISTS = 2 * CELL_CLASSES
};

/** First granule, plus 1, of those in a list; 0: none. */
struct home_list {
    uint32_t first, last;
};

struct home {
    struct home *next; /**< in its chain */
    uint64_t context;
    uint64_t group;
    bool is_fixed;
    uint32_t bins;                      /**< that it has, with room or without */
    uint64_t mixed;                     /**< bits: which lists of mixed bins have any */
    uint32_t mixed_units[CELL_CLASSES]; /**< that allocations of each class have in mixed bins */
    struct home_list list[HOME_LISTS];
};

/** All homes of a device. */
struct homes {
    struct home *chain[HOME_CHAINS];
};

/** The home for such an allocation. NULL: there is none. */
struct home *home_find(const struct homes *homes, const struct wanted *wanted);

/** An empty home for such allocations that is in no chain. NULL: there is no memory. No lock held. */
struct home *home_create(const struct wanted *wanted);

void home_add(struct homes *homes, struct home *home);

/** Take a home of a context out that has no bins. NULL: there is none. */
struct home *home_remove(struct homes *homes, uint64_t context);

/** Give back one that is in no chain; NULL: nothing. No lock held. */
void home_destroy(struct home *home);

/** A list of mixed bins has some, or none any more. */
void home_mixed_note(struct home *home, unsigned list);

/** The first list, from one of mixed bins on, that has any; HOME_LISTS: none. */
unsigned home_mixed_next(const struct home *home, unsigned list);

/** The list of mixed bins whose largest hole has so many units, 1 to CELL_GRANULE_UNITS. */
unsigned home_mixed_list(uint32_t units);

#endif
