/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kind_figures.h - what is told of a device by kind: plain figures, and the words for them.
 *
 * Shape    kinds.h makes them, the live page and the reports have them.
 * Units    bytes.
 */
#ifndef EBB_KIND_FIGURES_H
#define EBB_KIND_FIGURES_H

#include <stdbool.h>
#include <stdint.h>

#include "ledger/kind.h"
#include "policy/budget.h"

extern const char *const kind_key[KIND_COUNT];   /**< in the statistics */
extern const char *const kind_words[KIND_COUNT]; /**< for people: so many bytes in these */
extern const char *const stay_key[STAY_COUNT];
extern const char *const stay_words[STAY_COUNT];

/** Allocations of a kind, over the life of the process. */
struct kind_tally {
    uint64_t count, peak_count, total; /**< that the program has, the most it had, all that it ever had */
    uint64_t bytes, peak_bytes;        /**< wherever they are, and of freed ones until they are given back */
};

struct kind_part {
    uint64_t count, bytes;
};

struct kind_figures {
    struct kind_tally tally; /**< its bytes with what pools keep and what is rounded up */
    uint64_t device_bytes, host_bytes, disk_bytes;
    uint64_t dropped_bytes; /**< nowhere: the program makes them again */
    uint64_t off_bytes;     /**< managed memory that is kept off the device, touched or not */
    uint64_t host_copy_bytes, disk_copy_bytes; /**< of what is on the device, or in host memory, as well */
    struct kind_part leaves;                   /**< of what is on the device: could now */
    struct kind_part away;                     /**< allocations of which nothing is on the device */
    struct kind_part stays[STAY_COUNT];        /**< of what is on the device: could not, and why */
};

struct kinds {
    struct budget budget; /**< of the device, at the same instant */
    struct kind_figures of[KIND_COUNT];
};

/** Is there anything of the kind, or has there been? */
static inline bool kind_occurred(const struct kind_figures *kind)
{
    return kind->tally.total || kind->tally.peak_bytes || kind->device_bytes;
}

#endif
