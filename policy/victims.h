/* SPDX-License-Identifier: Apache-2.0 */
/*
 * victims.h - which blocks leave: least recently used first, by scanning their stamps.
 *
 * There is no list to keep in order on every use: a use writes a stamp, and the rare choice reads all of them
 * once. Exact: the result is what sorting every stamp would give. A million stamps cost one pass over 8 MB
 * while the victims wanted fit the scratch; each further scratch full costs one more pass. An order other than
 * that of the stamps costs a question for each candidate and pass.
 *
 * Owns     nothing, allocates nothing. The caller keeps what decides movable_bytes from changing meanwhile.
 * Races    stamps may be written meanwhile by threads without a lock, each a whole aligned word. A block
 * touched during the choice may be taken by its old or its new stamp; it is never returned twice if `newest`
 * is at most the clock when the call was made.
 */
#ifndef EBB_VICTIMS_H
#define EBB_VICTIMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** The latest possible stamp; at 3 GHz a clock that starts at 0 gets there in 97 years. */
#define VICTIMS_STAMP_MAX ((uint64_t)INT64_MAX)

/** A sensible scratch: 64 KiB. */
enum {
    VICTIMS_SCRATCH = 4096,
    VICTIMS_SCRATCH_MIN = 16
};

/** One candidate and its turn: a smaller rank leaves first, then a smaller order, then a smaller index. The caller
 *  provides an array of these as scratch memory. */
struct victim {
    uint64_t order; /**< its stamp, where `turn` says nothing else */
    uint32_t rank;
    uint32_t index;
};

/** Does `a` leave before `b`? */
static inline bool victims_before(const struct victim *a, const struct victim *b)
{
    if (a->rank != b->rank)
        return a->rank < b->rank;
    return a->order != b->order ? a->order < b->order : a->index < b->index;
}

struct victims {
    const uint64_t *stamp; /**< when each was last used, at most VICTIMS_STAMP_MAX; 0: not a candidate */
    size_t count;          /**< of stamps, at most 2^32 */
    uint64_t newest;       /**< only stamps up to here; UINT64_MAX: any */
    /** Bytes that would leave if `index` did; 0: not a victim after all. Asked once, in their turn. */
    uint64_t (*movable_bytes)(uint32_t index, void *arg);
    /** Rank and order of a candidate; false: it is none. Asked once a pass, with one answer during a choice.
     *  NULL: all are of one rank and leave by their stamps. */
    bool (*turn)(struct victim *victim, uint64_t stamp, void *arg);
    void *arg;
    struct victim *scratch;
    size_t scratch_count; /**< at least VICTIMS_SCRATCH_MIN */
};

/**
 * Choose those whose turn comes first until their bytes reach `need_bytes`.
 *
 * @out     gets their indexes, in their turn
 * Returns  how many, at most out_max. Without the last one their bytes were less than needed; where too few
 * can move it is all of them.
 */
size_t victims_choose(const struct victims *view, uint64_t need_bytes, uint32_t *out, size_t out_max);

#endif
